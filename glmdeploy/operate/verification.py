"""What a verification is asked for, and what came of it: data alone, without Modal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.operate.canary import Canary

STAND_IN = "glmdeploy-stand-in"
"""What the stand-in's header ``Server`` says."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """``state`` is ``ok``, ``failed`` or ``skipped``; ``asked_again`` says why it was made twice, where it was."""

    name: str
    state: str
    words: str
    asked_again: str = ""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """``figures`` have their units in their names; ``load`` has those of each level of concurrency."""

    url: str
    app: str | None
    where: str
    """``here`` or ``container``: from where it was asked."""
    checks: tuple[Check, ...]
    figures: Mapping[str, Any] = field(default_factory=dict)
    load: tuple[Mapping[str, Any], ...] = ()
    stand_in: bool = False
    """Whether the embedded cloud's stand-in answered, whose figures say nothing of SGLang."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed; what was skipped does not count."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.state == "failed")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked beside the checks that are always made."""

    quick: bool = False
    """Only health, key, model, and an answer of it."""
    canary: Canary | None = None
    concurrency: tuple[int, ...] = ()
    """Clients at a time, level by level; none for no load."""
    requests: int | None = None
    """Of each level; three for each client unless given."""
    bench: bool = False
    """Whether SGLang's own benchmark makes the load, in a container of the server's image."""
    start_seconds: float | None = None
    """How long it may take to wake up; unless given, the profile's start-up limit and two minutes."""

    def data(self) -> dict[str, Any]:
        return {
            "quick": self.quick,
            "canary": self.canary.data() if self.canary else None,
            "concurrency": [] if self.bench else list(self.concurrency),
            "requests": self.requests,
        }


def verification(found: Mapping[str, Any], *, url: str, app: str | None, where: str) -> Verification:
    """What the checks came to, as their data says."""
    return Verification(
        url=url,
        app=app,
        where=where,
        checks=tuple(Check(**check) for check in found["checks"]),
        figures=found["figures"],
        load=tuple(found["load"]),
        stand_in=found["engine"] == STAND_IN,
    )
