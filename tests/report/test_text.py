"""Findings as people read them in a terminal."""

from __future__ import annotations

import click
from hypothesis import given
from hypothesis import strategies as st
from reporting import TOKEN, finding, fixable

from glmdeploy.findings import Location, Severity
from glmdeploy.profile.text.load import standard_input
from glmdeploy.profile.text.sets import FILE
from glmdeploy.report.text import finding_text
from glmdeploy.report.view import NO_FILES


def text(**values: object) -> list[str]:
    return click.unstyle(finding_text(finding(**values))).splitlines()  # type: ignore[arg-type]


def test_all_parts() -> None:
    assert text(expected="eight", fix="write 8", links=("https://example.org",)) == [
        "a.yaml:3:7: error GLM020: something is wrong",
        "  3 |   tp: 4",
        "    |       ^",
        "  expected: eight",
        "  fix: write 8",
        "  see: https://example.org",
    ]


def test_a_remark_is_one_line() -> None:
    assert text(severity=Severity.INFO, fix="nothing", links=("https://example.org",)) == [
        "a.yaml:3:7: info GLM020: something is wrong"
    ]


def test_what_can_be_mended_says_so() -> None:
    lines = click.unstyle(finding_text(fixable(fix="write 8"))).splitlines()
    assert lines[-1] == "  fix: write 8 (`glmdeploy validate --fix` does this)"
    assert click.unstyle(finding_text(fixable())).endswith("  fix: `glmdeploy validate --fix` does this")


def test_what_stands_in_no_file_cannot_be_mended_there() -> None:
    assert set(NO_FILES) == {"", FILE, standard_input().name}
    for file in NO_FILES:
        place = Location(file=file, line=1, column=1)
        assert finding_text(fixable(fix="write 8", location=place)).endswith("  fix: write 8")


def test_waived() -> None:
    assert text(waived="measured", fix="write 8", links=("https://example.org",))[0].endswith(
        "waived GLM020: something is wrong"
    )
    assert text(waived="measured", fix="write 8")[3:] == ["  waived: measured"]
    assert "--fix" not in finding_text(fixable(waived="measured"))


def test_the_caret_stands_under_what_is_meant_when_a_token_is_masked() -> None:
    line = f"\tkey: {TOKEN} # tp: 4"
    place = Location(file="a.yaml", line=3, column=line.index("4") + 1, text=line, length=1)
    _, shown, caret = text(location=place)
    assert TOKEN not in shown
    assert shown[caret.index("^")] == "4"
    assert caret.count("\t") == 1
    place = Location(file="a.yaml", line=3, column=line.index(TOKEN) + 1, text=line, length=len(TOKEN))
    _, shown, caret = text(location=place)
    assert shown[caret.index("^") : caret.rindex("^") + 1] == "hf_***"


@given(st.text(), st.text(), st.text())
def test_nothing_invisible_reaches_a_terminal(message: str, fix: str, reason: str) -> None:
    for found in (finding(message, fix=fix), finding(message, waived=reason)):
        lines = click.unstyle(finding_text(found)).split("\n")
        assert all(line.isprintable() for line in lines), lines
