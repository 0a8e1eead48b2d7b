"""The rules that a new release makes due for a look, for who maintains them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from glmdeploy.report.rules import by_topic
from glmdeploy.report.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.rules.rule import Rule

_WHAT_TO_DO = (
    "Read each one's sources and what the release does. Where the issue ended, give the rule `until`, the last release"
    " that has it; else `looked` with today's date and this release."
)


def look_text(rules: Sequence[Rule], release: str) -> str:
    """The rules under their subjects, each with its scope, its last look and its sources."""
    if not rules:
        return f"Every rule about an issue without an end was held against SGLang {release}."
    lines = [f"{counted(len(rules), 'rule')} to hold against SGLang {release}:"]
    for topic, group in by_topic(rules).items():
        lines += ["", click.style(topic[0].upper() + topic[1:], bold=True)]
        for rule in group:
            lines.append(
                f"{rule.id}  {rule.title} ({rule.scope}; looked at on {rule.looked.date}, {rule.looked.release})"
            )
            lines += [f"    {source}" for source in rule.sources]
    return "\n".join((*lines, "", _WHAT_TO_DO))


def look_data(rules: Sequence[Rule], release: str) -> dict[str, Any]:
    """The same as JSON data."""
    return {
        "release": release,
        "due": [
            {
                "id": rule.id,
                "title": rule.title,
                "topic": str(rule.topic),
                "since": rule.scope.since,
                "looked": {"date": rule.looked.date, "release": rule.looked.release},
                "sources": list(rule.sources),
            }
            for rule in rules
        ],
    }
