"""Annotations of GitHub Actions: the form of workflow commands, and their escapes."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from reporting import finding, run_of

from glmdeploy.findings import Location, Severity
from glmdeploy.report.github import command, workflow_commands

COMMAND = re.compile(r"::(error|warning|notice) ([^\r\n]*?)::([^\r\n]*)")


def unescaped(text: str) -> str:
    """As the runner reads it (ActionCommand.cs of actions/runner): the percent sign last."""
    for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, character)
    return text


@given(st.text(), st.text(), st.text())
def test_the_runner_reads_what_was_meant(message: str, title: str, file: str) -> None:
    line = command("error", {"file": file, "line": 3, "title": title}, message)
    match = COMMAND.fullmatch(line)
    assert match, "one line, and no colons or commas of a value between the properties"
    properties = dict(part.split("=", 1) for part in match[2].split(","))
    assert {key: unescaped(value) for key, value in properties.items()} == {"file": file, "line": "3", "title": title}
    # In a message colons and commas stay, and their codes are not escapes.
    assert match[3].replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%") == message


def test_annotation() -> None:
    found = finding("50% of it: wrong, really", expected="more", fix="write 8", links=("https://example.org",))
    assert workflow_commands(run_of(found)) == (
        "::error file=a.yaml,line=3,col=7,endColumn=8,title=GLM020::"
        "50%25 of it: wrong, really%0Aexpected: more%0Afix: write 8%0Ahttps://example.org"
    )


def test_levels() -> None:
    levels = [workflow_commands(run_of(finding(severity=severity))).split()[0] for severity in Severity]
    assert levels == ["::error", "::warning", "::notice"]


def test_what_is_in_no_file_of_the_repository_has_its_place_in_the_message() -> None:
    for file in ("<stdin>", "--set", "/elsewhere/a.yaml"):
        found = finding(location=Location(file=file, line=3, column=5))
        assert workflow_commands(run_of(found)) == f"::error title=GLM020::{file}:3:5: something is wrong"


def test_waived_and_repeated_findings_are_not_told() -> None:
    assert workflow_commands(run_of()) == ""
    assert workflow_commands(run_of(finding(waived="measured"))) == ""
    assert workflow_commands(run_of(finding(), finding())).count("\n") == 0
