"""What a rule asked for and nobody knows: so that a rule that could not judge is not taken for one that approves."""

from __future__ import annotations

from contextvars import ContextVar
from enum import StrEnum


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


class gaps:  # noqa: N801 - it is used as a function
    """``with gaps() as met``: the gaps that were met within. Entered for every rule, so no generator."""

    __slots__ = ("_token",)

    def __enter__(self) -> set[Gap]:
        met: set[Gap] = set()
        self._token = _met.set(met)
        return met

    def __exit__(self, *_: object) -> None:
        _met.reset(self._token)
