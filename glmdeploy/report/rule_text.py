"""Guard rules as text for people and as JSON data."""

from __future__ import annotations

import shlex
import textwrap
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.report.text import COLORS
from glmdeploy.rules.base import GENERATIONS
from glmdeploy.rules.topics import by_topic, topic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from glmdeploy.rules.base import Example, Rule

EVERYTHING = "everything"
"""What a scope without limits says."""


def table(rules: Sequence[Rule], width: int | None) -> str:
    """One line a rule, under its topic: id, severity, title, and what it holds for where that is not everything.

    ``width`` is the terminal's, in columns: longer lines are cut there. None is for files and pipes, which cut nothing.
    """
    severities = max(len(rule.severity) for rule in rules)
    titles = max(len(rule.title) for rule in rules)
    blocks = []
    for name, group in by_topic(rules).items():
        rows = [_row(rule, severities, titles, width) for rule in group]
        blocks.append("\n".join((click.style(name[0].upper() + name[1:], bold=True), *rows)))
    return "\n\n".join(blocks)


def _row(rule: Rule, severities: int, titles: int, width: int | None) -> str:
    scope = "" if str(rule.scope) == EVERYTHING else str(rule.scope)
    row = f"{rule.id}  {rule.severity:{severities}}  {rule.title:{titles}}  {scope}".rstrip()
    if width is not None and len(row) > width:
        row = f"{row[: width - 1].rstrip()}…"
    # Escape codes have no width, so they come last.
    head = len(rule.id) + 2
    end = head + len(rule.severity)
    after = end + severities - len(rule.severity) + 2 + titles
    severity = click.style(row[head:end], fg=COLORS[rule.severity])
    scope = click.style(row[after:], dim=True) if row[after:] else ""
    return f"{click.style(row[:head], bold=True)}{severity}{row[end:after]}{scope}"


def page(rule: Rule, *, mended: bool, until: date, width: int) -> str:
    """The whole rule, in lines of at most ``width`` columns where they are prose.

    ``mended`` says whether ``validate --fix`` may mend it; ``until`` is the end of the waiver to paste.
    """
    severity = click.style(str(rule.severity), fg=COLORS[rule.severity], bold=True)
    sections = [
        ("Holds for", f"  {rule.scope}"),
        ("Why", _prose(rule.why, width)),
        ("Fix", _prose(rule.fix, width)),
        ("", _mended(mended)),
        ("Waiver", _waiver(rule, until)),
        ("Sources", "\n".join(f"  {source}" for source in rule.sources)),
        ("Examples that break it", "\n".join(f"  {command(example)}" for example in rule.fails)),
        ("Examples that do not", "\n".join(f"  {command(example)}" for example in rule.passes)),
    ]
    head = f"{click.style(rule.id, bold=True)} {severity}: {rule.title}"
    return "\n".join((head, *(f"{click.style(name, bold=True)}\n{text}" if name else text for name, text in sections)))


def _prose(text: str, width: int) -> str:
    # Not at hyphens: options are copied from here.
    return textwrap.fill(
        text, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )


def _mended(mended: bool) -> str:
    return f"  `glmdeploy validate --fix` {'can do this' if mended else 'does not do this: it needs a decision'}"


def _waiver(rule: Rule, until: date) -> str:
    if not rule.waivable:
        return "  It cannot be waived."
    return f"  waive:\n  - {{rule: {rule.id}, reason: why it does not hold here, until: {until}}}"


def command(example: Example) -> str:
    """The example as a command for a shell."""
    sets = (word for value in example.sets for word in ("--set", value))
    return shlex.join(("glmdeploy", "validate", example.profile, *sets))


def rule_data(rule: Rule, *, mended: bool) -> dict[str, Any]:
    """The whole rule as JSON data."""
    scope = rule.scope
    return {
        "id": rule.id,
        "title": rule.title,
        "severity": str(rule.severity),
        "topic": topic(rule.id),
        "scope": {
            "text": str(scope),
            "since": scope.since,
            "until": scope.until,
            "gpus": [GENERATIONS[major] for major in scope.gpu_majors],
            "architectures": list(scope.architectures),
        },
        "why": rule.why,
        "fix": rule.fix,
        "fixable": mended,
        "waivable": rule.waivable,
        "sources": list(rule.sources),
        "fails": [command(example) for example in rule.fails],
        "passes": [command(example) for example in rule.passes],
    }
