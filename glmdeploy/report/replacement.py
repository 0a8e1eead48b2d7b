"""A change of a text as the one piece that is replaced: how code-scanning services take fixes."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """The characters from one place of ``file`` up to another become ``text``. Lines and columns count from 1."""

    file: str
    start_line: int
    start_column: int
    end_line: int
    end_column: int
    text: str


def replacement(file: str, before: str, after: str) -> Replacement | None:
    """The smallest piece of ``before`` whose replacement gives ``after``; None where the two are equal.

    The end of a file that ends with a line's end counts as part of its last line.
    """
    # A byte order mark has no column.
    before, after = before.removeprefix("\ufeff"), after.removeprefix("\ufeff")
    if before == after:
        return None
    start = _common(before, after)
    tail = _common(before[start:][::-1], after[start:][::-1])
    end = len(before) - tail
    lines = before.splitlines(keepends=True)
    starts = [0, *accumulate(map(len, lines[:-1]))]
    rows = [bisect_right(starts, offset) - 1 for offset in (start, end)]
    return Replacement(
        file=file,
        start_line=rows[0] + 1,
        start_column=start - starts[rows[0]] + 1,
        end_line=rows[1] + 1,
        end_column=end - starts[rows[1]] + 1,
        text=after[start : len(after) - tail],
    )


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    both = zip(one, other, strict=False)
    return next((index for index, (left, right) in enumerate(both) if left != right), min(len(one), len(other)))
