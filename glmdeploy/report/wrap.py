"""Lines for a terminal: text goes on below itself, indented, and what people copy is never broken."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import click

from glmdeploy.report.grid import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Sequence

NARROWEST = 40
"""Columns. A narrower terminal breaks lines by itself."""

_LEAST = 20
"""Columns that the last cell of a table's row has at least."""

_BEFORE = 24
"""Columns of a line that are kept before the place that is meant, as long as there is room."""

_HELD = "\x01"
"""A blank at which no line is broken; :func:`glmdeploy.report.view.clean` leaves none in a text of others."""

_PIECE = re.compile(r"(?:`[^`\n]+`|[^\s`]|`)+")
"""What stays together: a word, and a text in backticks, which is code, with what touches it."""


def whole(text: str) -> str:
    """The text as one word, which no line parts: a path with blanks. :func:`lines` gives it its blanks again."""
    return text.replace(" ", _HELD)


def columns_of(text: str) -> int:
    """The columns that a text takes in a terminal: escape codes none, an ideograph two, a combining mark none."""
    plain = click.unstyle(text)
    return len(plain) if plain.isascii() else sum(map(_columns, plain))


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def lines(text: str, width: int, *, indent: int | None = None) -> list[str]:
    """One line of text in lines of at most ``width`` columns, broken between words.

    What goes on below stands ``indent`` columns in, or two more than the text's own first line. Code in backticks,
    a path and a URL stay whole, in a line that is too long if need be. Where nothing needs to be broken the text is
    as it was.
    """
    return _broken(text, max(width, NARROWEST), indent)


def _broken(text: str, width: int, indent: int | None = None) -> list[str]:
    if width >= UNLIMITED or columns_of(text) <= width:
        return [text.replace(_HELD, " ")]
    own = len(text) - len(text.lstrip(" "))
    below = " " * (own + 2 if indent is None else indent)
    made: list[str] = []
    line, taken = " " * own, own
    for number, piece in enumerate(_PIECE.findall(text)):
        size = columns_of(piece)
        if number and taken + 1 + size > width:
            made.append(line)
            line, taken = below + piece, len(below) + size
        else:
            line, taken = f"{line}{' ' if number else ''}{piece}", taken + size + bool(number)
    return [each.replace(_HELD, " ") for each in (*made, line)]


def table(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """The rows with their cells below each other, two blanks between; the last one goes on below itself.

    Where that one would have less than :data:`_LEAST` columns, or more lines than below, it stands below the others. A
    cell in the middle that is much longer than others moves what follows in its own row alone. Cells may have escape
    codes.
    """
    width = max(width, NARROWEST)
    sizes = [_size([row[at] for row in rows], width) for at in range(max(map(len, rows), default=1) - 1)]
    made = []
    for row in rows:
        *head, last = row
        padded = "".join(
            cell + " " * (max(size - columns_of(cell), 0) + 2) for cell, size in zip(head, sizes, strict=True)
        )
        start = columns_of(padded)
        beside = _broken(last, width - start, 0) if start + _LEAST <= width else []
        stacked = [f"    {line}" for line in _broken(last, width - 4, 0) if last]
        if 0 < len(beside) <= len(stacked) + 1 or (not last and start <= width):
            made += [(padded + "".join(beside[:1])).rstrip(), *(" " * start + line for line in beside[1:])]
        else:
            narrow, joined = start + _LEAST > width, "  ".join(filter(None, row))
            if narrow and columns_of(joined) <= width:
                made.append(joined)
                continue
            above = "  ".join(filter(None, head)) if narrow else padded.rstrip()
            made += (
                [above] if columns_of(above) <= width else _broken("  ".join(map(whole, filter(None, head))), width, 4)
            )
            made += stacked
    return made


def _size(cells: Sequence[str], width: int) -> int:
    """The columns of a table's column: those of its longest cell, but for a few that are much longer than the rest."""
    sizes = sorted(map(columns_of, cells))
    usual = sizes[len(sizes) * 9 // 10]
    return sizes[-1] if width >= UNLIMITED or sizes[-1] <= usual + 4 else usual


def wrapped(text: str, width: int, *, indent: int | None = None) -> str:
    """What :func:`lines` makes of each line of a text, as one text."""
    return "\n".join(made for line in text.split("\n") for made in lines(line, width, indent=indent))


def cut(text: str, start: int, end: int, width: int) -> tuple[str, int, int]:
    """A piece of ``text`` in ``width`` columns around ``text[start:end]``, and where that stands in the piece.

    An ellipsis stands for what was cut off at a side. The key before the place is more telling than what comes after.
    """
    first, last = start, min(max(end, start + 1), len(text))
    size = columns_of(text[first:last])
    while size > width - 2 and last > first + 1:
        last -= 1
        size -= _columns(text[last])
    while first > 0 or last < len(text):
        before = first > 0 and (last == len(text) or start - first <= max(_BEFORE, last - end))
        at = first - 1 if before else last
        left, right = first - before > 0, last + (not before) < len(text)
        if size + _columns(text[at]) + left + right > width:
            break
        first, last, size = first - before, last + (not before), size + _columns(text[at])
    head, tail = "…" * (first > 0), "…" * (last < len(text))
    moved = len(head) - first
    return f"{head}{text[first:last]}{tail}", start + moved, min(end, last) + moved
