"""What holds for any input: JSON is read as JSON reads it, places are right, and nothing else is raised."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from glmdeploy.errors import ProfileError
from glmdeploy.profile.text.characters import check, decode
from glmdeploy.profile.text.document import Document, build
from glmdeploy.profile.text.load import read_text
from glmdeploy.profile.text.yaml12 import FAST, PURE, read_mapping

if TYPE_CHECKING:
    from glmdeploy.findings import Location

# JSON allows DEL as it is in a string; PyYAML, which follows YAML 1.1 there, does not.
texts = st.text(st.characters(exclude_characters="\x7f", exclude_categories=["Cs"]), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18) + 1, 10**18 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
mappings = st.dictionaries(texts, values, max_size=5)

YAML_PIECES = [
    "a",
    "b: ",
    ":",
    "- ",
    "? ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "&a ",
    "*a ",
    "!!str ",
    "!x ",
    "|",
    ">",
    "'",
    '"',
]
YAML_PIECES += [
    "#",
    " #",
    "\\",
    "%",
    "@",
    "`",
    "\n",
    "\n  ",
    "\t",
    "  ",
    "\r\n",
    "---\n",
    "...\n",
    "~",
    "1",
    "<<: ",
    "é",
]
pieces = st.lists(st.sampled_from(YAML_PIECES), max_size=40).map("".join)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], Any]:
    """Every path in a value, with what stands there."""
    found = {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found |= paths(inner, (*path, key))
    return found


def assert_places_are_right(document: Document, text: str) -> None:
    """Each place lies in the text, and what is underlined there is what JSON writes for the key or value."""
    lines = text.split("\n")
    found = paths(document.data)
    assert document.marks.keys() == found.keys()
    for path, value in found.items():
        mark = document.marks[path]
        for place, written in ((mark.value, value), (mark.key, path[-1] if path else None)):
            if place is None:
                assert not path or isinstance(path[-1], int)
                continue
            assert place.file == "p.yaml"
            assert place.text == lines[place.line - 1]
            underlined = place.text[place.column - 1 : place.column - 1 + place.length]
            assert len(underlined) == place.length
            if isinstance(written, dict | list):
                if place.text[place.column - 1] in "[{":
                    assert text_after(lines, place.line, place.column).startswith(
                        "[" if isinstance(written, list) else "{"
                    )
            else:
                assert json.dumps(json.loads(underlined)) == json.dumps(written)


def text_after(lines: list[str], line: int, column: int) -> str:
    return lines[line - 1][column - 1 :]


@given(mappings, st.sampled_from([None, 0, 2]))
@example({"\U0001f680": "\U0001f680", "é": [{"": None}]}, None)
def test_json_is_yaml(data: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(data, indent=indent)
    document = read_text(text, "p.yaml")
    assert json.dumps(document.data) == text_of(data)
    assert_places_are_right(document, text)


def text_of(data: Any) -> str:
    return json.dumps(json.loads(json.dumps(data)))


def blocks(value: Any, indent: int) -> str:
    """A value in block style, with its scalars as JSON writes them."""
    if isinstance(value, dict) and value:
        pairs = ((json.dumps(key) + ":", inner) for key, inner in value.items())
    elif isinstance(value, list) and value:
        pairs = (("-", inner) for inner in value)
    else:
        return " " + json.dumps(value) + "\n"
    return "\n" + "".join(" " * indent + lead + blocks(inner, indent + 2) for lead, inner in pairs)


@given(mappings, st.sampled_from([FAST, PURE]))
def test_blocks_are_read_like_flows(data: dict[str, Any], loader: Any) -> None:
    text = "# a comment" + blocks(data, 0) if data else "{}"
    document = build(read_mapping(check(text, "p.yaml"), loader=loader), files=(), keep_nulls=True)
    assert json.dumps(document.data) == text_of(data)
    assert_places_are_right(document, text)


def places_in(text: str, loader: Any) -> list[Location]:
    """The places of a document's keys and values, or of its faults."""
    try:
        document = build(read_mapping(check(text, "p.yaml"), loader=loader), files=())
    except ProfileError as error:
        return [finding.location for finding in error.findings]
    return [place for mark in document.marks.values() for place in (mark.value, mark.key) if place]


@given(st.text() | pieces, st.sampled_from([FAST, PURE]))
@example('a: "\\U00110000"', PURE)
@example("%YAML 1." + "1" * 5000 + "\n--- a", PURE)
@example("a: !<%FF> b", PURE)
@example("\ud800", FAST)
def test_any_text_is_read_or_refused_in_place(text: str, loader: Any) -> None:
    places = places_in(text, loader)
    assert places
    for place in places:
        assert place.file == "p.yaml"
        assert 1 <= place.column <= len(place.text) + 1
        assert place.length >= 1
        assert 1 <= place.line <= 1 + text.count("\n") + text.count("\r")
        assert place.column - 1 + place.length <= max(len(place.text), place.column)


@given(st.binary() | pieces.map(lambda text: text.encode("utf-16")))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        root = read_mapping(decode(data, "p.yaml"))
    except ProfileError as error:
        places = [finding.location for finding in error.findings]
    else:
        places = [root.location]
    assert places
    assert all(place.file == "p.yaml" for place in places)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 500_000,
        "a: " + "{a: " * 100_000,
        "- " * 300_000,
        "? " * 300_000,
        "a: &a b\n" + "".join(f"k{i}: *a\n" for i in range(80_000)),
        "#" * 1_000_000,
        "\n" * 1_000_000,
        "a: '" + "''" * 400_000,
        '"' + "\\ud83d" * 10_000,
        "a" * 1_000_000,
        "!" * 500_000,
        "a: 1\n" * 200_000,
    ],
    ids=lambda text: repr(text[:10]),
)
def test_hostile_input_is_refused_at_once(text: str) -> None:
    with pytest.raises(ProfileError):
        read_text(text, "p.yaml")


def test_size_is_checked_before_parsing() -> None:
    for text in ("#" * (1024 * 1024 + 1), "#" + "é" * (512 * 1024)):
        with pytest.raises(ProfileError, match="larger than 1 MiB"):
            read_text(text, "p.yaml")
        with pytest.raises(ProfileError, match="larger than 1 MiB"):
            decode(text.encode(), "p.yaml")
