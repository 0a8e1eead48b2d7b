"""Compares a verification with a former one: which figures are worse by more than is tolerated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.errors import GlmdeployError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from glmdeploy.operate.verification import Verification

COMPARED = ("p50", "p90")
"""Of a figure of several values: the mean follows outliers, the 99th percentile of few requests is the slowest."""

ONCE = ("health_ms", "chat_ms", "slot_freed_after_s")
"""Measured once, and so too much a matter of chance to be compared."""

LESS_IS_BETTER = "_ms"
"""What the names of such figures end with; of all others more is better."""


@dataclass(frozen=True, kw_only=True)
class Worse:
    """``name`` has the level of concurrency before it, where it is of one: ``load 8 request_latency_ms p50``."""

    name: str
    before: float
    now: float

    @property
    def percent(self) -> float | None:
        """By how much it is worse; None of a figure that was 0."""
        return abs(self.now - self.before) / abs(self.before) * 100 if self.before else None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """``unmeasured`` are figures that the baseline has and this verification does not."""

    compared: int
    worse: tuple[Worse, ...]
    unmeasured: tuple[str, ...]


def read_baseline(file: Path) -> dict[str, float]:
    """The figures of a former ``verify --json``.

    :raises GlmdeployError: where the file is none.
    """
    try:
        data = json.loads(file.read_bytes())
    except OSError as fault:
        raise GlmdeployError(f"cannot read {file}: {fault.strerror}") from None
    except json.JSONDecodeError as fault:
        raise GlmdeployError(f"{file}:{fault.lineno}:{fault.colno}: no JSON: {fault.msg}") from None
    except (ValueError, RecursionError):
        raise GlmdeployError(f"{file}:1:1: no JSON") from None
    try:
        found = flat(data["figures"], data["load"])
    except (LookupError, TypeError, AttributeError):
        found = {}
    if not found:
        raise GlmdeployError(
            f"{file}: there are no figures in it", advice="a baseline is what `glmdeploy verify --json` printed"
        )
    return found


def compare(before: Mapping[str, float], now: Verification, tolerance: float) -> Comparison:
    """The figures that both have. ``tolerance`` in percent."""
    measured = flat(now.figures, now.load)
    both = [name for name in before if name in measured]
    worse = [
        Worse(name=name, before=before[name], now=measured[name])
        for name in both
        if _is_worse(name, before[name], measured[name], tolerance / 100)
    ]
    return Comparison(
        compared=len(both), worse=tuple(worse), unmeasured=tuple(name for name in before if name not in measured)
    )


def flat(figures: Mapping[str, Any], load: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Each figure that can be compared, by its name and, of a level of the load, its concurrency."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        if name in ONCE:
            continue
        _add(found, name, value)
    for level in load:
        for name, value in level.items():
            if name.endswith(("_ms", "_per_s", "_tokens")):
                _add(found, f"load {level['concurrency']} {name}", value)
    return found


def _add(found: dict[str, float], name: str, value: Any) -> None:
    if isinstance(value, dict):
        for part in COMPARED:
            if part in value:
                _add(found, f"{name} {part}", value[part])
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found[name] = float(value)


def _is_worse(name: str, before: float, now: float, share: float) -> bool:
    if name.partition(" p")[0].endswith(LESS_IS_BETTER):
        return now > before * (1 + share)
    return now < before * (1 - share)
