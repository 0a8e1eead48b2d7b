"""Bars of block characters, in which each one begins where the one before it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PARTS = " ▏▎▍▌▋▊▉"
_LEAST_CELLS = 8


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A bar's name, its length, and that length as text."""

    name: str
    length: int
    shown: str
    color: str


def bars(rows: Sequence[Bar], width: int) -> Iterator[str]:
    """Each row's bar begins where the one before it ended. In a narrow terminal there are names and texts alone."""
    names, texts = max(len(row.name) for row in rows), max(len(row.shown) for row in rows)
    cells, whole = width - names - texts - 6, sum(row.length for row in rows) or 1
    start = 0
    for row in rows:
        line = f"  {row.name:<{names}}  "
        if cells >= _LEAST_CELLS:
            before, bar = _drawn(start / whole, row.length / whole, cells)
            line += f"{before}{click.style(bar, fg=row.color)}{' ' * (cells - len(before) - len(bar))}  "
        yield f"{line}{row.shown:>{texts}}"
        start += row.length


def _drawn(start: float, length: float, cells: int) -> tuple[str, str]:
    """The blanks before a bar, and the bar; both are shares of ``cells``. What is not nothing is at least a sliver."""
    if not length:
        return "", ""
    first = min(int(start * cells), cells - 1)
    eighths = round((start + length) * cells * 8) - first * 8
    full, part = divmod(max(min(eighths, (cells - first) * 8), 1), 8)
    return " " * first, "█" * full + _PARTS[part].strip()
