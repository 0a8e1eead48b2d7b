"""Changes between two plans, as text and as data."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from glmdeploy import redaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.plan.diff import Change

_SYMBOL_COLORS = {"+": "green", "-": "red", "~": "yellow"}


def changes_text(changes: Sequence[Change]) -> str:
    """Changes grouped by section, with Terraform's symbols."""
    lines = []
    for section, group in groupby(changes, key=lambda change: change.section):
        lines.append(click.style(section, bold=True))
        for change in group:
            symbol = click.style(change.symbol, fg=_SYMBOL_COLORS[change.symbol])
            values = [redaction.mask(_value(value)) for value in (change.old, change.new) if value is not None]
            lines.append(f"  {symbol} {change.name}: {' -> '.join(values)}")
    return "\n".join(lines)


def change_data(change: Change) -> dict[str, Any]:
    """One change as JSON data."""
    return {"section": change.section, "name": change.name, "old": change.old, "new": change.new}


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
