"""YAML of other programs is read as it is written, with the place of each character."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.errors import ProfileError
from glmdeploy.profile.text.foreign import Tree, read_stream

if TYPE_CHECKING:
    from collections.abc import Iterator


def plain(tree: Tree) -> Any:
    """The data of a tree, scalars as text."""
    if tree.entries is not None:
        return {name: plain(pair.value) for name, pair in tree.entries.items()}
    if tree.items is not None:
        return [plain(item) for item in tree.items]
    return tree.text


def scalars(tree: Tree) -> Iterator[Tree]:
    if tree.entries is not None:
        for pair in tree.entries.values():
            yield pair.key
            yield from scalars(pair.value)
    elif tree.items is not None:
        for item in tree.items:
            yield from scalars(item)
    else:
        yield tree


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: yes\nb: 1:30\nc: 0o7", [{"a": "yes", "b": "1:30", "c": "0o7"}]),
        ("a: 1\n---\nb: 2\n--- \n# nothing\n", [{"a": "1"}, {"b": "2"}]),
        ("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}", [{"x": {"a": "1", "b": "2"}, "y": {"b": "3", "a": "1"}}]),
        (
            "x: &x {a: 1}\ny: &y {a: 2, b: 2}\nz: {<<: [*x, *y]}",
            [{"x": {"a": "1"}, "y": {"a": "2", "b": "2"}, "z": {"a": "1", "b": "2"}}],
        ),
        ("'<<': 1", [{"<<": "1"}]),
        ("- !Ref a\n- !reset null", [["a", "null"]]),
        ('{\n\t"a": [true, 1.50]\n}', [{"a": ["true", "1.50"]}]),
        ('a: "\\ud83d\\ude00"', [{"a": "\U0001f600"}]),
        ("? a\n: b", [{"a": "b"}]),
        ("%YAML 1.1\n---\na: b\n...\n", [{"a": "b"}]),
        ("{H100:4}", [{"H100:4": ""}]),
        ("", []),
        ("# only a comment\n", []),
    ],
)
def test_data(text: str, expected: list[Any]) -> None:
    assert [plain(each) for each in read_stream(text, "x")] == expected


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 1\na: 2", (2, 1), "given twice"),
        ("a: *b", (1, 4), "refers to nothing"),
        ("a: &a [*a]", (1, 8), "inside the value"),
        ("{a: {b: 1}: 2}", (1, 11), ""),
        ("? [a]\n: b", (1, 3), "a key is text, not a list"),
        ("a: {<<: 1}", (1, 9), "a merge key takes a mapping"),
        ("a: 'b", (1, 4), "never closed"),
        ("a: \x07", (1, 4), "U+0007"),
        ("a:\n\tb: 1", (2, 1), "tab"),
        ("[" * 100 + "]" * 100, (1, 65), "nested deeper than 64"),
    ],
)
def test_faults_have_a_place(text: str, place: tuple[int, int], message: str) -> None:
    with pytest.raises(ProfileError) as raised:
        read_stream(text, "x")
    found = raised.value.findings[0]
    assert (found.location.line, found.location.column) == place
    assert message in found.message


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{each}: &a{each} [{', '.join([f'*a{each - 1}'] * 10)}]" for each in range(1, 9)]
    with pytest.raises(ProfileError, match="10,000 keys and values"):
        read_stream("\n".join(lines), "x")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: |\n  one \\\n    two\n\n  three # four\n", "one \\\n  two\n\nthree # four\n"),
        ("a: >-\n  one\n  two\n\n  three\n", "one two\nthree"),
        ("a: |2-\n    one\n", "  one"),
        ("a: one\n  two\n\n  three", "one two\nthree"),
        ("a: 'it''s\n  here'", "it's here"),
        ('a: "b \\t\\u00e9 \\\n  c\\n"', "b \té c\n"),
        ("a: &x !!str one", "one"),
        ("a: |\r\n  one\r\n  two\r\n", "one\ntwo\n"),
        ("a: \U0001f600 é z", "\U0001f600 é z"),
    ],
)
def test_each_character_has_its_place(text: str, value: str) -> None:
    [tree] = read_stream(text, "x")
    assert tree.entries is not None
    scalar = tree.entries["a"].value
    assert scalar.text == value
    assert len(scalar.offsets) == len(value)
    for character, offset in zip(value, scalar.offsets, strict=True):
        assert text[offset] == character or text[offset] == "\\" or (character.isspace() and text[offset].isspace())
    assert list(scalar.offsets) == sorted(scalar.offsets)


DATA = st.recursive(
    st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from("\n\t '\"\\#:"), max_size=30
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc-_ é", max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(DATA, st.sampled_from(["yaml", "folded", "quoted", "json"]))
def test_what_was_written_is_read_and_stands_there(data: Any, form: str) -> None:
    if form == "json":
        text = json.dumps(data, indent=1)
    else:
        style = {"yaml": None, "folded": ">", "quoted": '"'}[form]
        text = yaml.safe_dump(data, default_style=style, allow_unicode=True, width=20)
    found = read_stream(text, "x")
    assert [plain(each) for each in found] == ([data] if found else [])
    for tree in found:
        for scalar in scalars(tree):
            assert len(scalar.offsets) == len(scalar.text or "")
            for character, offset in zip(scalar.text or "", scalar.offsets, strict=True):
                assert 0 <= offset < len(text)
                assert text[offset] in (character, "\\") or character.isspace()


@given(st.text(st.sampled_from("abc:-[]{}&*!|>'\"#%@`,?\n\t \\<~") | st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_read_or_refused_at_a_place(text: str) -> None:
    try:
        read_stream(text, "x")
    except ProfileError as error:
        assert all(each.location.line >= 1 for each in error.findings)
