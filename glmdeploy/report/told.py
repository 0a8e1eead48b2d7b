"""What is told of a change: a step's row, a note, the last words of others. Data alone, which is quick to load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from glmdeploy.report.words import about

RUNNING, DONE, FAILED, DOUBTED = "running", "done", "failed", "doubted"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A step: ``text`` is what it does, or came to; ``seconds`` it took so far.

    ``fraction`` is how much of it is done, between 0 and 1, and ``left`` about how many seconds it still takes; None
    where nobody knows.
    """

    name: str
    state: str
    text: str = ""
    seconds: float = 0.0
    fraction: float | None = None
    left: float | None = None


@dataclass(frozen=True, kw_only=True)
class Note:
    """What is to be known beside the steps; ``warning`` where it is a doubt, ``passing`` where it holds meanwhile."""

    text: str
    warning: bool = False
    passing: bool = False


@dataclass(frozen=True, kw_only=True)
class Output:
    """The last lines that others said before a step failed."""

    lines: tuple[str, ...]


Told: TypeAlias = "Row | Note | Output"


def progress_words(row: Row) -> str:
    """What the row that runs does, with how far it is: ``loading weights  61 %, about 3 min left``."""
    far = f"{row.fraction * 100:.0f} %" if row.fraction is not None else ""
    left = f"about {about(max(row.left, 1))} left" if row.left is not None else ""
    return "  ".join(filter(None, [row.text, ", ".join(filter(None, [far, left]))]))
