"""Scalars that are written: each reader takes them for just the value that was meant, wherever they stand."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.profile.text.load import read_text
from glmdeploy.profile.text.scalars import write

TRICKY = st.text(st.sampled_from("ab1.:-+#,[]{}&*!|>'\"%@`?=<~ \\/_$(0xeEnyé"), max_size=8)
TEXTS = TRICKY | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    TEXTS | st.integers(-(10**9), 10**9) | st.booleans() | st.none() | st.floats(-(10**6), 10**6, allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS.filter(bool), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=examples(500))
@given(text=TEXTS)
@example("on")
@example("<<")
@example("1:30")
@example("0b1")
@example("1_000")
@example("2020-01-31")
@example("---")
@example("...")
@example("=")
@example("a:")
@example("a #b")
@example("\x7f\x85\u2028\ufeff")
@example("\U000f0000")
def test_each_reader_takes_a_text_for_itself(text: str) -> None:
    written = write(text)
    for line, value in ((f"a: {written}", text), (f"a: [{written}, {{b: {written}}}]", [text, {"b": text}])):
        assert read_text(line, "f").data == {"a": value}
        assert yaml.safe_load(line) == {"a": value}, "YAML 1.1, as other tools read it"
    if text:
        assert read_text(f"{written}: {written}", "f").data == {text: text}
        assert yaml.safe_load(f"{{{written}: {written}, b: 1}}")[text] == (1 if text == "b" else text)


@given(value=VALUES)
def test_each_value_is_read_back(value: Any) -> None:
    for quote in (False, True):
        assert json.dumps(read_text(f"a: {write(value, quote=quote)}", "f").data["a"]) == json.dumps(value)


# JSON has no one escape for what lies beyond the first 65,536 characters, and YAML not JSON's two.
@given(value=VALUES.filter(lambda value: max(json.dumps(value, ensure_ascii=False)) < "\U00010000"))
def test_what_is_quoted_is_json(value: Any) -> None:
    assert json.loads(write(value, quote=True)) == value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("fp8_e4m3", "fp8_e4m3"),
        ("0.5.12.post1", "0.5.12.post1"),
        ("lmsysorg/sglang:v0.5.11-cu130", "lmsysorg/sglang:v0.5.11-cu130"),
        ("long enough", "long enough"),
        ("/dg-cache", "/dg-cache"),
        ("--flag", "--flag"),
        ("it's", "it's"),
        ("1h", "1h"),
        ("8", '"8"'),
        ("true", '"true"'),
        ("yes", '"yes"'),
        ("", '""'),
        ('{"a": 1}', "'{\"a\": 1}'"),
        ("a\n\x1b", '"a\\n\\u001b"'),
        (True, "true"),
        (None, "null"),
        (0.85, "0.85"),
        ({"a": [1, "b c", {}]}, "{a: [1, b c, {}]}"),
    ],
)
def test_form(value: Any, written: str) -> None:
    assert write(value) == written
