"""Texts that become arguments without a shell, and what Docker Compose and Kubernetes fill in."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from glmdeploy.authoring.formats.interpolation import interpolated
from glmdeploy.authoring.formats.phrase import split
from glmdeploy.authoring.formats.references import expanded
from glmdeploy.authoring.launch.launch import Word
from glmdeploy.authoring.launch.words import ShellError


def word(text: str) -> Word:
    return Word(text=text, span=(0, len(text)), raw=text, offsets=tuple(range(len(text))))


@given(st.text(st.sampled_from("ab-=\\'\" \n\t${}#,[]")))
def test_a_text_is_split_as_a_shell_would(text: str) -> None:
    assume("\\\n" not in text)  # shlex keeps the newline, a shell joins the lines
    assume(not text.endswith("\\"))  # shlex refuses it, a shell keeps it
    try:
        expected = shlex.split(text)
    except ValueError:
        with pytest.raises(ShellError):
            split(word(text))
        return
    # In double quotes shlex takes a backslash before " and \ alone off; before $ and ` a shell does too.
    assume(not re.search(r"\\[$`]", text))
    words, operator = split(word(text))
    assert operator is None
    assert [each.text for each in words] == expected
    for each in words:
        assert [text[at] for at in each.offsets] == list(each.text)


@pytest.mark.parametrize(
    ("text", "words", "operator"),
    [
        ("a b && c d", ["a", "b"], "&& c d"),
        ("a>log", ["a"], ">log"),
        ("a 'b;c'", ["a", "b;c"], None),
        ("a \\\n  b", ["a", "b"], None),
    ],
)
def test_the_operators_of_a_shell_end_it(text: str, words: list[str], operator: str | None) -> None:
    found, rest = split(word(text))
    assert [each.text for each in found] == words
    assert (rest.text if rest else None) == operator


@pytest.mark.parametrize(
    ("text", "expected", "unknown"),
    [
        ("$$A $${B}", "$A ${B}", ()),
        ("${A}/$B", "${A}/$B", ("${A}", "$B")),
        ("${A:-x}${B-y}", "xy", ()),
        ("${A:-${B:-z}}", "z", ()),
        ("${A:-}", "", ()),
        ("${A:?must be set}", "${A:?must be set}", ("${A:?must be set}",)),
        ("${A:+x}y", "y", ()),
        ("${A:-$$B}", "$B", ()),
        ("cost: 5$", "cost: 5$", ()),
    ],
)
def test_what_compose_fills_in(text: str, expected: str, unknown: tuple[str, ...]) -> None:
    found = interpolated(word(text))
    assert (found.text, found.unknown) == (expected, unknown)
    assert [text[at] for at in found.offsets] == list(expected)


@pytest.mark.parametrize("text", ["${A", "${A:-${B}", "${A:-" * 30 + "}" * 30])
def test_braces_that_compose_cannot_read(text: str) -> None:
    with pytest.raises(ShellError):
        interpolated(word(text))


@pytest.mark.parametrize(
    ("text", "expected", "unknown"),
    [
        ("$(A)/x", "1/x", ()),
        ("$$(A)", "$(A)", ()),
        ("$(B)", "${B}", ("${B}",)),
        ("$(C)", "$(C)", ("$(C)",)),
        ("$A ${A}", "$A ${A}", ()),
        ("--name={{.Name}}", "--name={{.Name}}", ("{{.Name}}",)),
    ],
)
def test_what_kubernetes_fills_in(text: str, expected: str, unknown: tuple[str, ...]) -> None:
    env = {"A": Word(text="1", span=(0, 1)), "B": Word(text="$B", span=(0, 1), unknown=("$B",))}
    found = expanded(word(text), env)
    assert (found.text, found.unknown) == (expected, unknown)
    assert len(found.offsets) == len(expected)


@given(st.text(st.sampled_from("$${}(AB):-?+ x"), max_size=40))
def test_whatever_is_filled_in_has_its_places(text: str) -> None:
    for fill in (interpolated, lambda each: expanded(each, {"A": Word(text="1", span=(0, 1))})):
        try:
            found = fill(word(text))
        except ShellError:
            continue
        assert len(found.offsets) == len(found.text)
        assert all(each in found.text for each in found.unknown)
