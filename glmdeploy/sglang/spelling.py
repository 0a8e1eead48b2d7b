"""What may have been meant by a name that is none: near spellings only, and never the opposite.

The one place that suggests by spelling: options, variables, keys, choices, names of GPUs, rules.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST = 2
"""Slips at most: a letter lost, added or taken for another, or two neighbours in the wrong order."""

_NO = frozenset({"disable", "disabled", "no", "not", "off", "skip", "without"})
_YES = frozenset({"enable", "enabled", "enforce", "on", "with"})
"""Words that turn the rest of a name round, or say that it is not."""


def nearest(name: str, known: Iterable[str], *, most: int = 3) -> tuple[str, ...]:
    """The ``known`` names that ``name`` is probably a slip of, the nearest first, at most ``most``; often none.

    A name is near that has the same words, whatever their order, case and signs between them; whose words begin with
    those of ``name``, one by one; or that is at most :data:`MOST` slips away, and no more than one for each three
    letters; with one of the same words, the others are not. A name that says the opposite is never near:
    ``disable-x`` is not for ``enable-x``, ``no-x`` or ``x``.
    """
    asked = _words(name)
    plain = "-".join(asked)
    limit = min(MOST, max(1, len(plain) // 3)) if len(plain) > 1 else 0
    ranked: list[tuple[int, int, str]] = []
    for place, each in enumerate(known):
        words = _words(each)
        steps = _steps(asked, words, plain, limit)
        if steps is not None and not opposite(asked, words):
            ranked.append((steps, place, each))
    same = [entry for entry in ranked if entry[0] == 0]
    return tuple(each for _, _, each in sorted(same or ranked)[:most])


def same(one: str, other: str) -> bool:
    """Whether two names differ in nothing but case and the signs between their words."""
    return _words(one) == _words(other)


def opposite(asked: Sequence[str], words: Sequence[str]) -> bool:
    """Whether one name's words deny what the other's say.

    A word of ``asked`` that stands where the other name denies, and is a slip of that word, denies as well.
    """
    own = sum(word in _NO for word in asked)
    other = sum(word in _NO for word in words)
    if len(asked) == len(words) and ("no", "on") in zip(asked[1:], words[1:], strict=True):
        own -= 1  # inside a name, where `on` is a word of its own (`sleep-on-idle`)
    if own == other:
        return False
    meant = [word for word in asked if word not in _NO and word not in _YES]
    slips = sum(any(distance(word, no, 1) is not None for word in meant) for no in words if no in _NO)
    return own + slips != other


@lru_cache(maxsize=65536)
def distance(one: str, other: str, limit: int) -> int | None:
    """How many slips part two texts, by optimal string alignment; None where it is more than ``limit``."""
    if abs(len(one) - len(other)) > limit:
        return None
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        now = [row]
        for column, wanted in enumerate(other, start=1):
            cost = min(last[column] + 1, now[-1] + 1, last[column - 1] + (letter != wanted))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == wanted:
                cost = min(cost, before[column - 2] + 1)
            now.append(cost)
        if min(now) > limit:
            return None
        before, last = last, now
    return last[-1] if last[-1] <= limit else None


@lru_cache(maxsize=4096)
def _words(name: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[^0-9a-z]+", name.lower()) if word)


def _steps(asked: Sequence[str], words: Sequence[str], plain: str, limit: int) -> int | None:
    if sorted(asked) == sorted(words):
        return 0
    steps = distance(plain, "-".join(words), limit)
    if steps is None and len(asked) == len(words) and len(plain) > MOST:
        cut = zip(asked, words, strict=True)
        return MOST + 1 if all(len(part) > 1 and word.startswith(part) for part, word in cut) else None
    return steps
