"""Columns and bars for people, drawn by rich, which is imported when there is something to draw."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from glmdeploy.records import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

UNLIMITED = 100_000
"""Columns of a file or a pipe, where no line is broken."""

_LEAST_CELLS = 8


@record
class Cell:
    """A text in a style of rich, such as ``bold`` or ``red``."""

    text: str
    style: str = ""


@record
class Bar:
    """A bar's name, its length, and that length as text."""

    name: str
    length: int
    shown: str
    color: str


def columns(rows: Sequence[Sequence[Cell]], width: int) -> list[str]:
    """The rows in lines of at most ``width`` columns, with escape codes: what is too long goes on below itself."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in max(rows, key=len, default=()):
        table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*(Text.assemble((cell.text, cell.style)) for cell in row))
    return _lines(table, width)


def bars(rows: Sequence[Bar], width: int) -> list[str]:
    """A line each; a bar begins where the one before it ended. In a narrow terminal there are names and texts alone."""
    from rich import bar
    from rich.table import Table
    from rich.text import Text

    names, texts = max(len(row.name) for row in rows), max(len(row.shown) for row in rows)
    cells, whole = width - names - texts - 6, sum(row.length for row in rows) or 1
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="left" if cells >= _LEAST_CELLS else "right")
    table.add_column(no_wrap=True, justify="right")
    start = 0
    for row in rows:
        name, text = Text(f"  {row.name}"), Text(row.shown)
        if cells < _LEAST_CELLS:
            table.add_row(name, text)
        else:
            # What is not nothing is at least a sliver: an eighth of a cell.
            begin = min(start, whole - whole / cells / 8)
            end = max(start + row.length, begin + whole / cells / 8) if row.length else start
            table.add_row(name, bar.Bar(whole, begin, end, width=cells, color=row.color), text)
        start += row.length
    return _lines(table, width)


def _lines(table: Table, width: int) -> list[str]:
    """What a terminal with 16 colors is sent; printing takes the escape codes out where they are not wanted."""
    from rich.console import Console

    console = Console(
        file=io.StringIO(),
        width=width,
        height=25,  # of no use, but without it rich gives a dumb terminal 80 columns
        force_terminal=True,
        color_system="standard",
        no_color=False,
        legacy_windows=False,
    )
    with console.capture() as captured:
        console.print(table, highlight=False, soft_wrap=False)
    return [line.rstrip() for line in captured.get().splitlines()]
