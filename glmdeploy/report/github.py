"""Findings as annotations of GitHub Actions: workflow commands, one a line.

Their form: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands; their escapes:
``packages/core/src/command.ts`` of actions/toolkit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.report.view import clean, in_repository, view

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.findings import Finding
    from glmdeploy.report.run import Run

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def workflow_commands(run: Run) -> str:
    """One annotation a finding that stands. The same place of a file that several profiles share is told once."""
    return "\n".join(dict.fromkeys(_annotation(finding) for finding in run.findings if finding.waived is None))


def _annotation(finding: Finding) -> str:
    seen = view(finding)
    file = in_repository(finding.location.file)
    place: dict[str, str | int] = {}
    message = seen.message
    if file is not None:
        place = {"file": clean(file), "line": seen.line, "col": seen.column, "endColumn": seen.column + seen.length}
    elif seen.file:
        message = f"{seen.file}:{seen.line}:{seen.column}: {message}"
    parts = (message, seen.expected and f"expected: {seen.expected}", seen.fix and f"fix: {seen.fix}", *seen.links)
    return command(_COMMANDS[seen.severity], {**place, "title": seen.id}, "\n".join(filter(None, parts)))


def command(name: str, properties: Mapping[str, str | int], message: str) -> str:
    """``::name key=value,key=value::message``, escaped."""
    written = ",".join(f"{key}={_escaped(str(value), ':,')}" for key, value in properties.items())
    return f"::{name} {written}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    # The percent sign first, since the escapes begin with it.
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
