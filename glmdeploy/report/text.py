"""Findings and failures as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from glmdeploy import redaction
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity
from glmdeploy.report.view import view
from glmdeploy.report.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from glmdeploy.errors import GlmdeployError
    from glmdeploy.findings import Finding
    from glmdeploy.report.view import View

COLORS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}

_MENDED = "`glmdeploy validate --fix` does this"


def finding_line(finding: Finding) -> str:
    """One finding on one line: place, severity, id and message; ``glmdeploy rules ID`` tells the rest."""
    seen = view(finding)
    label = click.style(f"{seen.severity if seen.waived is None else 'waived'} {seen.id}", fg=_color(seen), bold=True)
    return f"{seen.file}:{seen.line}:{seen.column}: {label}: {seen.message}"


def finding_text(finding: Finding) -> str:
    """One finding over several lines: place, message, the line with a caret, what was expected, what to do.

    A remark, which nobody needs to act on, is one line.
    """
    seen = view(finding)
    lines = [finding_line(finding)]
    if seen.severity is not Severity.INFO:
        lines += _excerpt(seen) if seen.text else []
        lines += [f"  {name}: {text}" for name, text in _details(seen) if text]
    return "\n".join(lines)


def _color(seen: View) -> str:
    return COLORS[seen.severity if seen.waived is None else Severity.INFO]


def _excerpt(seen: View) -> list[str]:
    number = str(seen.line)
    # Tabs stay tabs, so that the caret stands under its character whatever the terminal's tab width.
    indent = "".join("\t" if char == "\t" else " " for char in seen.text[: seen.start])
    return [
        f"  {number} | {seen.text}",
        f"  {' ' * len(number)} | {indent}{click.style('^' * (seen.end - seen.start), fg=_color(seen))}",
    ]


def _details(seen: View) -> list[tuple[str, str | None]]:
    if seen.waived is not None:
        return [("waived", seen.waived)]
    fix = seen.fix
    if seen.fixable:
        fix = f"{fix} ({_MENDED})" if fix else _MENDED
    return [("expected", seen.expected), ("fix", fix), *(("see", link) for link in seen.links)]


def error_text(error: GlmdeployError) -> str:
    """What a failure says: its findings, or its message and what to do."""
    if isinstance(error, ProfileError) and error.findings:
        return "\n".join(map(finding_text, error.findings))
    label = click.style("error", fg="red", bold=True)
    return "\n".join(filter(None, (f"{label}: {redaction.mask(error.message)}", redaction.mask(error.advice or ""))))


def summary(findings: Iterable[Finding], profiles: int) -> str:
    """``2 errors, 1 warning in 3 profiles``; remarks are counted where there are any."""
    standing = [finding.severity for finding in findings if finding.waived is None]
    counts = [
        counted(standing.count(severity), str(severity))
        for severity in Severity
        if severity is not Severity.INFO or severity in standing
    ]
    return f"{', '.join(counts)} in {counted(profiles, 'profile')}"
