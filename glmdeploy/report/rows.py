"""The rows of :mod:`glmdeploy.report.steps` as lines: aligned where there is room, wrapped where there is none."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from glmdeploy.report.told import DONE, DOUBTED, FAILED, RUNNING, Note, Output, Row, progress_words
from glmdeploy.report.words import about, duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.report.told import Told

WIDEST = 100
"""Columns to which times are set; of a file or a pipe too."""
NAME = 10
NARROW = 60
"""Below so many columns the name stands alone above what it says."""
BAR, LEAST_BAR = 24, 8
LEAST_OUTPUT = 40
_MARKS = {DONE: ("✓", "green"), FAILED: ("✗", "red"), DOUBTED: ("!", "yellow"), RUNNING: (" ", "cyan")}


def told_lines(told: Told, width: int) -> list[str]:
    """A step that has ended, or a note; each line at most ``width`` columns, a word that is longer aside."""
    if isinstance(told, Output):
        return output_lines(told.lines, width)
    if isinstance(told, Note):
        label = "warning: " if told.warning else ""
        indent = "      " if told.warning else "  "
        return _wrapped(f"{label}{told.text}", min(width, WIDEST), indent, f"{indent}  ")
    mark, color = _MARKS[told.state]
    return [*_row(told, click.style(mark, fg=color), told.text, _took(told.seconds), width)]


def live_lines(row: Row, width: int, spinner: str) -> list[str]:
    """The step that runs, in one line, with a bar where it is known how far it is."""
    width = min(width, WIDEST)
    took = _took(row.seconds)
    head = f"  {spinner} {row.name:<{NAME}}  "
    left = f"about {about(max(row.left, 1))} left" if row.left is not None else ""
    if row.fraction is None:
        words = "  ".join(filter(None, [row.text, left]))
    else:
        after = ", ".join(filter(None, [f"{row.fraction * 100:.0f} %", left]))
        room = width - len(head) - len(row.text) - len(after) - len(took) - 6
        bar = f"{_bar(row.fraction, min(room, BAR))}  " if room >= LEAST_BAR else ""
        words = f"{row.text}  {bar}{after}"
    room = width - len(head) - len(took) - 2
    if len(words) > room:
        words = f"{words[: max(room - 1, 0)]}…"
    return [f"{head}{words:<{room}}  {took}"]


def coming_line(name: str) -> str:
    """A step that has not begun."""
    return f"    {name}"


def plain_progress(row: Row, width: int) -> list[str]:
    """Where nothing is redrawn: a sign of life of a step that takes minutes."""
    words = progress_words(row) or "goes on"
    return [*_row(row, " ", words, _took(row.seconds), width)]


def output_lines(lines: Sequence[str], width: int) -> list[str]:
    """The last lines of others, below the step that failed; each cut to the width of a terminal."""
    room = min(max(width, LEAST_OUTPUT), WIDEST) - 8
    return [f"      | {line if len(line) <= room else line[: room - 1] + '…'}" for line in lines]


def _took(seconds: float) -> str:
    return "< 1 s" if seconds < 1 else duration(round(seconds))


def _bar(fraction: float, cells: int) -> str:
    done = round(fraction * cells)
    return "█" * done + "░" * (cells - done)


def _row(row: Row, mark: str, text: str, took: str, width: int) -> Iterator[str]:
    width = min(width, WIDEST)
    if width < NARROW:
        yield f"  {mark} {row.name}{took:>{max(width - 4 - len(row.name), len(took) + 2)}}"
        yield from _wrapped(text, width, "    ", "    ")
        return
    first, *more = textwrap.wrap(
        text, width - NAME - 8 - len(took), break_long_words=False, break_on_hyphens=False
    ) or [""]
    lead = f"  {mark} {row.name:<{NAME}}  "
    plain = len(f"    {row.name:<{NAME}}  ")
    yield f"{lead}{first:<{width - plain - len(took) - 2}}  {took}"
    for line in more:
        yield " " * plain + line


def _wrapped(text: str, width: int, first: str, further: str) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
    )
