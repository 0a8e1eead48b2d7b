"""The file of an accuracy canary: what it may hold, and where it is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.errors import GlmdeployError
from glmdeploy.operate.canary import SHIPPED, Canary, parse_canary, read_canary

if TYPE_CHECKING:
    from pathlib import Path

GOOD = '{"prompt": "a", "equal": "b"}'


def test_all_that_a_file_may_hold() -> None:
    text = "\n".join(
        [
            '{"pass_mark": 0.5}',
            "",
            GOOD,
            '{"prompt": "a", "contains": ["b", "c"], "max_tokens": 5}',
            '{"prompt": "a", "regex": "^b$"}\r',
            '{"prompt": "a", "number": 1, "tolerance": 0.5}',
        ]
    )
    found = parse_canary(text, "mine.jsonl")
    assert (len(found.items), found.pass_mark) == (4, 0.5)
    assert found.data()["items"][1] == {"prompt": "a", "contains": ["b", "c"], "max_tokens": 5}
    assert parse_canary(GOOD, "mine.jsonl") == Canary(items=(json.loads(GOOD),), pass_mark=1.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{GOOD}\n{{'prompt': 1}}", "2:2: no JSON: "),
        ("[1]", "1:1: a line must be a JSON object"),
        ("", "1:1: there is no question in it"),
        ('{"pass_mark": 1}', "1:1: there is no question in it"),
        (f'{GOOD}\n{{"pass_mark": 1}}', "2:2: `pass_mark` belongs into the first line"),
        ('{"pass_mark": 0}', "1:2: `pass_mark` must be a share, above 0 and up to 1"),
        ('{"pass_mark": true}', "1:2: `pass_mark` must be a share"),
        ('{"prompt": "a", "pass_mark": 1}', "1:17: `pass_mark` stands alone in its line"),
        ('{"prompt": "a", "is": "b"}', "1:17: `is` is not known: there are prompt, equal, contains, regex, number, "),
        ('{"equal": "b"}', "1:1: `prompt` must be a text"),
        ('{"prompt": " ", "equal": "b"}', "1:2: `prompt` must be a text"),
        ('{"prompt": "a"}', "1:1: one check is wanted: equal, contains, regex, number"),
        ('{"prompt": "a", "equal": "b", "regex": "b"}', "1:31: one check is wanted"),
        ('{"prompt": "a", "number": "1"}', "1:17: `number` must be a number"),
        ('{"prompt": "a", "number": NaN}', "1:1: NaN is no number of JSON"),
        ('{"prompt": "a", "contains": []}', "1:17: `contains` must be a text, or a list of texts"),
        ('{"prompt": "a", "equal": ""}', "1:17: `equal` must be a text"),
        ('{"prompt": "a", "regex": "("}', "1:17: `regex` is no regular expression: missing )"),
        ('{"prompt": "a", "equal": "b", "tolerance": 1}', "1:31: `tolerance` must be a number from 0 on"),
        ('{"prompt": "a", "number": 1, "tolerance": -1}', "1:30: `tolerance` must be a number from 0 on"),
        ('{"prompt": "a", "equal": "b", "max_tokens": 0}', "1:31: `max_tokens` must be a whole number"),
        ("[" * 100_000, "1:1: no JSON"),
        (f'{{"prompt": "a", "number": {"9" * 5000}}}', "1:1: no JSON: "),
    ],
)
def test_where_it_is_wrong(text: str, said: str) -> None:
    with pytest.raises(GlmdeployError) as raised:
        parse_canary(text, "mine.jsonl")
    assert raised.value.message.startswith(f"mine.jsonl:{said}")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    with pytest.raises(GlmdeployError, match="No such file"):
        read_canary(file)
    file.write_bytes(GOOD.encode() + b"\n\xff")
    with pytest.raises(GlmdeployError) as raised:
        read_canary(file)
    assert raised.value.message == f"{file}:2:1: it is not UTF-8"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert len(read_canary(file).items) == 1
    assert read_canary(SHIPPED).pass_mark == 0.9


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
KEY = st.sampled_from(["prompt", "equal", "contains", "regex", "number", "tolerance", "max_tokens", "pass_mark", "x"])


@given(st.lists(st.dictionaries(KEY, JSON | st.sampled_from(["a", 1, ["a"], "("]), max_size=4) | JSON, max_size=4))
def test_any_lines_are_taken_or_refused_with_a_place(lines: list[Any]) -> None:
    text = "\n".join(json.dumps(line) for line in lines)
    check_taken_or_refused(text)


@given(st.text())
def test_any_text_is_taken_or_refused_with_a_place(text: str) -> None:
    check_taken_or_refused(text)


def check_taken_or_refused(text: str) -> None:
    try:
        found = parse_canary(text, "f")
    except GlmdeployError as error:
        file, line, column, _ = error.message.split(":", 3)
        assert file == "f"
        assert 1 <= int(line) <= text.count("\n") + 1
        assert int(column) >= 1
    else:
        assert found.items
        assert 0 < found.pass_mark <= 1
