"""What a rule asked for and nobody knows: so that a rule that could not judge is not taken for one that approves."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Gap(StrEnum):
    """What is not known, as messages call it."""

    MODEL = "the model"
    MEMORY = "memory"
    VALUES = "effective values"
    REFUSED = "a value that is refused"
    """It stands in the profile, and is none: what it is to become decides, so nothing is concluded from it."""


_met: ContextVar[set[Gap] | None] = ContextVar("_met", default=None)


def miss(gap: Gap) -> None:
    """Note that something was asked for that is not known."""
    met = _met.get()
    if met is not None:
        met.add(gap)


def refused() -> None:
    """Note that something was asked for that the profile says wrongly."""
    miss(Gap.REFUSED)


@contextmanager
def gaps() -> Iterator[set[Gap]]:
    """The gaps that were met within."""
    met: set[Gap] = set()
    token = _met.set(met)
    try:
        yield met
    finally:
        _met.reset(token)
