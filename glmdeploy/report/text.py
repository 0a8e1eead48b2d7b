"""Findings and failures as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from glmdeploy import redaction
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity
from glmdeploy.report.grid import UNLIMITED
from glmdeploy.report.view import view
from glmdeploy.report.wrap import NARROWEST, columns_of, cut, whole, wrapped

if TYPE_CHECKING:
    from glmdeploy.errors import GlmdeployError
    from glmdeploy.findings import Finding
    from glmdeploy.report.view import View

COLORS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}

_MENDED = "`glmdeploy validate --fix` does this"

_BELOW = 4
"""Columns before what goes on below a finding's line."""


def finding_line(finding: Finding, width: int = UNLIMITED) -> str:
    """One finding in a line: place, severity, id and message; ``glmdeploy rules ID`` tells the rest.

    What ``width`` columns do not hold goes on below.
    """
    return wrapped(_line(view(finding)), width, indent=_BELOW)


def finding_text(finding: Finding, width: int = UNLIMITED) -> str:
    """One finding over several lines: place, message, the line with a caret, what was expected, what to do.

    A remark, which nobody needs to act on, is one line.
    """
    seen = view(finding)
    lines = [_line(seen)]
    if seen.severity is not Severity.INFO:
        lines += [f"  {name}: {text}" for name, text in _details(seen) if text]
    text, *details = (wrapped(line, width, indent=_BELOW) for line in lines)
    excerpt = _excerpt(seen, width) if seen.text and seen.severity is not Severity.INFO else []
    return "\n".join([text, *excerpt, *details])


def _line(seen: View) -> str:
    label = click.style(f"{seen.severity if seen.waived is None else 'waived'} {seen.id}", fg=_color(seen), bold=True)
    return f"{whole(f'{seen.file}:{seen.line}:{seen.column}')}: {label}: {seen.message}"


def _color(seen: View) -> str:
    return COLORS[seen.severity if seen.waived is None else Severity.INFO]


def _excerpt(seen: View, width: int) -> list[str]:
    number, text, start, end = str(seen.line), seen.text, seen.start, seen.end
    room = max(width, NARROWEST) - len(number) - len("   | ")
    if columns_of(text) > room:
        # A tab has as many columns as the terminal likes: where they count, there are none.
        text, start, end = cut(text.replace("\t", " "), start, end, room)
    # Elsewhere tabs stay tabs, so that the caret stands under its character whatever the terminal's tab width.
    indent = "".join("\t" if char == "\t" else " " * columns_of(char) for char in text[:start])
    carets = "^" * max(1, columns_of(text[start:end]))
    return [
        f"  {number} | {text}",
        f"  {' ' * len(number)} | {indent}{click.style(carets, fg=_color(seen))}",
    ]


def _details(seen: View) -> list[tuple[str, str | None]]:
    if seen.waived is not None:
        return [("waived", seen.waived)]
    fix = seen.fix
    if seen.fixable:
        fix = f"{fix} ({_MENDED})" if fix else _MENDED
    return [("expected", seen.expected), ("fix", fix), *(("see", link) for link in seen.links)]


def error_text(error: GlmdeployError, width: int = UNLIMITED) -> str:
    """What a failure says: of its findings the errors, or its message and what to do."""
    if isinstance(error, ProfileError) and error.findings:
        # What else was found is not why it failed: `glmdeploy validate` tells that.
        faults = [each for each in error.findings if each.severity is Severity.ERROR] or error.findings
        return "\n".join(finding_text(finding, width) for finding in faults)
    label = click.style("error", fg="red", bold=True)
    lines = filter(None, (f"{label}: {redaction.mask(error.message)}", redaction.mask(error.advice or "")))
    return wrapped("\n".join(lines), width)
