"""Apply the table of renames to settings: the words of one release become those of another, in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.renames import KEPT, RENAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.sglang.renames import Rename, Spelling

_TRUE = ("true", "1", "yes", "y")
_FALSE = ("false", "0", "no", "n")
"""What SGLang reads as a boolean in a variable, in any case (sglang/srt/environ.py, EnvBool)."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One application of ``rename``: the settings ``old`` became ``new``."""

    rename: Rename
    old: Mapping[str, Any]
    new: Mapping[str, Any]


def rewrite(settings: Mapping[str, Any], version: str) -> tuple[dict[str, Any], tuple[Step, ...]]:
    """``settings`` in the words of the release ``version``, and the steps that led there, in their order.

    Keys are canonical option names without dashes, or ``$NAME`` for a variable. What the table does not know stays
    as it is; new words take the place of the first of the old ones. Whether the release accepts the outcome is not
    asked here.
    """
    now = dict(settings)
    steps: list[Step] = []
    for rename, forward in _applicable(version):
        old, new = (rename.old, rename.new) if forward else (rename.new, rename.old)
        step = _step(rename, old, new, now, forward=forward)
        if step is not None:
            now = replaced(now, step.old, step.new)
            steps.append(step)
    return now, tuple(steps)


def replaced(settings: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` with ``new`` in the place of the first of ``old``; without an old one, at the end."""
    result: dict[str, Any] = {}
    placed = False
    for key, value in settings.items():
        if key not in old and key not in new:
            result[key] = value
        elif key in old and not placed:
            result |= new
            placed = True
        elif key in new and key not in old:
            # It said the same already (`_step` sees to that), and is written where the old one stood.
            continue
    return result if placed else result | dict(new)


def _applicable(version: str) -> list[tuple[Rename, bool]]:
    """The entries for a release, with their direction: down from the newest, up from the oldest.

    Of one release's entries, those that take several settings at once come first.
    """
    target = version_key(version)
    up = [row for row in RENAMES if version_key(row.since) <= target and row.direction != "back"]
    up.sort(key=lambda row: (version_key(row.since), -len(row.old)))
    down = [row for row in RENAMES if version_key(row.since) > target and row.direction != "forward"]
    down.sort(key=lambda row: (version_key(row.since), len(row.new)), reverse=True)
    return [*((row, False) for row in down), *((row, True) for row in up)]


def _step(rename: Rename, old: Spelling, new: Spelling, now: Mapping[str, Any], *, forward: bool) -> Step | None:
    taken = {key: now[key] for key in old if key in now}
    if len(taken) < len(old) or not _holds(rename, old, now) or (not old and any(key in now for key in new)):
        return None
    if forward and len(old) == 1 and list(old.values()) == [True] and list(taken.values()) == [False]:
        return Step(rename=rename, old=taken, new={})  # a switch that is off says nothing
    if not all(_matches(pattern, taken[key]) for key, pattern in old.items()):
        return None
    kept = next((taken[key] for key, pattern in old.items() if pattern is KEPT), None)
    words = rename.values if forward else {value: key for key, value in rename.values.items()}
    kept = words.get(kept, kept) if isinstance(kept, str) else kept
    given = {key: kept if value is KEPT else _written(key, value) for key, value in new.items()}
    if any(key in now and key not in old and now[key] != value for key, value in given.items()):
        return None  # the other spelling is there too, and says something else
    return Step(rename=rename, old=taken, new=given)


def _holds(rename: Rename, old: Spelling, now: Mapping[str, Any]) -> bool:
    return all(now.get(key) in values for key, values in rename.given.items()) and not any(
        key in now for key in rename.unless if key not in old
    )


def _matches(pattern: object, value: object) -> bool:
    if pattern is KEPT:
        return True
    if isinstance(pattern, bool) and isinstance(value, str):
        return value.lower() in (_TRUE if pattern else _FALSE)
    return value is pattern if isinstance(pattern, bool) else value == pattern


def _written(key: str, value: object) -> object:
    return str(int(value)) if key.startswith("$") and isinstance(value, bool) else value
