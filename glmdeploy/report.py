"""Findings and changes as text for people and as JSON for programs. Returns strings; only ``cli`` prints."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.findings import Severity, dotted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from glmdeploy.diff import Change
    from glmdeploy.findings import Finding

_COLORS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_SYMBOL_COLORS = {"+": "green", "-": "red", "~": "yellow"}


def finding_text(finding: Finding) -> str:
    """One finding over several lines: place, message, the line with a caret, what was expected, what to do."""
    place = finding.location
    waived = finding.waived is not None
    color = "cyan" if waived else _COLORS[finding.severity]
    label = click.style(f"{'waived' if waived else finding.severity} {finding.id}", fg=color, bold=True)
    lines = [f"{place.file}:{place.line}:{place.column}: {label}: {finding.message}"]
    if place.text:
        number = str(place.line)
        # Tabs stay tabs, so that the caret stands under its character whatever the terminal's tab width.
        indent = "".join("\t" if char == "\t" else " " for char in place.text[: place.column - 1])
        length = max(1, min(place.length, len(place.text) - place.column + 1))
        lines += [
            f"  {number} | {place.text}",
            f"  {' ' * len(number)} | {indent}{click.style('^' * length, fg=color)}",
        ]
    details = [
        ("expected", finding.expected),
        ("waived", finding.waived),
        ("fix", None if waived else finding.fix),
        *(("see", link) for link in finding.links if not waived),
    ]
    lines += [f"  {name}: {text}" for name, text in details if text]
    return "\n".join(lines)


def finding_data(finding: Finding) -> dict[str, Any]:
    """One finding as JSON data; keys without a value are left out."""
    data = {
        "id": finding.id,
        "severity": str(finding.severity),
        "message": finding.message,
        "file": finding.location.file,
        "line": finding.location.line,
        "column": finding.location.column,
        "path": dotted(finding.path),
        "expected": finding.expected,
        "fix": finding.fix,
        "links": list(finding.links),
        "waived": finding.waived,
    }
    return {key: value for key, value in data.items() if value not in (None, [], "")}


def summary(findings: Iterable[Finding], profiles: int) -> str:
    """``2 errors, 1 warning in 3 profiles``."""
    standing = [finding.severity for finding in findings if not finding.waived]
    counts = [_count(standing.count(severity), str(severity)) for severity in (Severity.ERROR, Severity.WARNING)]
    return f"{', '.join(counts)} in {_count(profiles, 'profile')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def changes_text(changes: Sequence[Change]) -> str:
    """Changes grouped by section, with Terraform's symbols."""
    lines = []
    for section, group in groupby(changes, key=lambda change: change.section):
        lines.append(click.style(section, bold=True))
        for change in group:
            symbol = click.style(change.symbol, fg=_SYMBOL_COLORS[change.symbol])
            values = [_value(value) for value in (change.old, change.new) if value is not None]
            lines.append(f"  {symbol} {change.name}: {' -> '.join(values)}")
    return "\n".join(lines)


def change_data(change: Change) -> dict[str, Any]:
    """One change as JSON data."""
    return {"section": change.section, "name": change.name, "old": change.old, "new": change.new}


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
