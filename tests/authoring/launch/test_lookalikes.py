"""Characters that nobody sees, or that look like others, are told by name, and read as they were meant."""

from __future__ import annotations

import pytest

from glmdeploy.authoring.launch.find import launches
from glmdeploy.findings import Severity

SERVER = "python3 -m sglang.launch_server"


def read(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    """The words of the launch in a text, and its errors with what stands at their places."""
    [found] = launches(text)
    faults = [(text[slice(*note.span)], note.message) for note in found.notes if note.severity is Severity.ERROR]
    return [word.text for word in found.words], faults


@pytest.mark.parametrize(
    ("written", "meant", "character", "name"),
    [
        ("\u2014tp 8", ["--tp", "8"], "\u2014", "an em dash (U+2014)"),
        ("\u2013tp 8", ["--tp", "8"], "\u2013", "an en dash (U+2013)"),
        ("\u2013-tp 8", ["--tp", "8"], "\u2013", "an en dash (U+2013)"),
        ("\u2012tp 8", ["--tp", "8"], "\u2012", "a figure dash (U+2012)"),
        ("--priority \u22121", ["--priority", "-1"], "\u2212", "a minus sign (U+2212)"),
        ("--tp\u00a08", ["--tp", "8"], "\u00a0", "a no-break space (U+00A0)"),
        ("\u00a0\u00a0--tp 8", ["--tp", "8"], "\u00a0", "a no-break space (U+00A0)"),
        ("--tp\u30008", ["--tp", "8"], "\u3000", "an ideographic space (U+3000)"),
        ("--\u200btp 8", ["--tp", "8"], "\u200b", "a zero width space (U+200B)"),
        ("--t\u00adp 8", ["--tp", "8"], "\u00ad", "a soft hyphen (U+00AD)"),
        ("--tp 8\ufeff", ["--tp", "8"], "\ufeff", "a byte order mark (U+FEFF)"),
        ("--tp\uff1d8", ["--tp=8"], "\uff1d", "a fullwidth equals sign (U+FF1D)"),
        ("--tp \uff18", ["--tp", "8"], "\uff18", "a fullwidth digit eight (U+FF18)"),
        ("--tp\u2011size 8", ["--tp-size", "8"], "\u2011", "a non-breaking hyphen (U+2011)"),
        ("--x \u201cy\u201d", ["--x", "y"], "\u201c", "a left double quotation mark (U+201C)"),
        ("--model a\u2010b/c", ["--model", "a-b/c"], "\u2010", "a hyphen (U+2010)"),
    ],
)
def test_what_was_meant(written: str, meant: list[str], character: str, name: str) -> None:
    words, faults = read(f"{SERVER} {written}")
    assert words == meant
    assert faults[0][0] == character
    assert faults[0][1].startswith(f"{name} stands ")


@pytest.mark.parametrize(
    "written",
    ["--x モデル８", "--x 'a\u201cb\u201d c'", "--x '\u2014'", "--x it\u2019s", '--x \'{"a": "\u2013"}\'', "--x é"],
)
def test_what_may_be_meant_as_it_is(written: str) -> None:
    words, faults = read(f"{SERVER} {written}")
    assert len(words) == 2
    assert faults == []


def test_in_quotes_only_what_is_invisible_is_told() -> None:
    [found] = launches(f"{SERVER} --x 'a\u200bb'")
    assert [(note.severity.value, note.message) for note in found.notes] == [
        ("warning", "a zero width space (U+200B) stands in this value, where nobody sees it")
    ]
    assert found.words[1].text == "a\u200bb"


@pytest.mark.parametrize("blank", [" ", "\t", "\u00a0", "\u2003", "\u3000", "  "])
def test_a_blank_behind_a_backslash(blank: str) -> None:
    text = f"{SERVER} --tp 8 \\{blank}\n  --port 1"
    words, [(_, message)] = read(text)
    assert words == ["--tp", "8"]
    assert "stands behind this backslash" in message
    assert "`--port 1` never reaches SGLang" in message


def test_line_ends() -> None:
    [windows] = launches(f"{SERVER} --tp 8 \\\r\n  --port 1\r\n")
    [mixed] = launches(f"cd x\n{SERVER} --tp 8 \\\r\n  --port 1\n")
    for found, severity in ((windows, "warning"), (mixed, "error")):
        assert [word.text for word in found.words] == ["--tp", "8", "--port", "1"]
        [note] = found.notes
        assert (note.severity, note.message[:24]) == (severity, "a carriage return (U+000")


def test_arrays_and_inner_shells_are_looked_through() -> None:
    assert read(f'A=(\u2014tp 8)\n{SERVER} "${{A[@]}}"')[0] == ["--tp", "8"]
    assert read(f"bash -c '{SERVER} \u2014tp\u00a08'")[0] == ["--tp", "8"]
    assert read("python3 \u2014m sglang.launch_server --tp 8")[0] == ["--tp", "8"]
