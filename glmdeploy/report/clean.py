"""What could be removed from the volumes, and what was: as text and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.findings import listed
from glmdeploy.report.grid import UNLIMITED, Cell, columns
from glmdeploy.report.words import count_bytes, counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.operate.clean import Survey
    from glmdeploy.operate.leftovers import Leftover
    from glmdeploy.operate.target import Target

_WORDS = {"runtime": "container side"}


def survey_text(found: Survey, target: Target) -> str:
    """The leftovers with their bytes, what is left alone, and what all of it is kept for."""
    lines = list(_leftover_lines(found.leftovers)) if found.leftovers else ["Nothing to remove."]
    return "\n".join([*lines, *_left_alone(found), _kept(found, target)])


def _leftover_lines(leftovers: Sequence[Leftover]) -> Iterator[str]:
    rows = [
        [
            Cell(text=f"- {_WORDS.get(each.kind, each.kind)}", style="red"),
            Cell(text=each.name),
            Cell(text=count_bytes(each.size)),
            Cell(text=each.volume),
        ]
        for each in leftovers
    ]
    yield from columns(rows, UNLIMITED)


def _left_alone(found: Survey) -> Iterator[str]:
    for volume, why in sorted(found.busy.items()):
        yield f"left alone: the volume {volume}, for {why}"
    for each in found.contents:
        if each.half:
            yield f"left alone: {count_bytes(each.half)} of downloads under way in {each.volume}"
        if each.other:
            size = f" ({count_bytes(each.other_size)})" if each.other_size else ""
            yield f"left alone: {counted(each.other, 'file')}{size} in {each.volume} that glmdeploy does not know"


def _kept(found: Survey, target: Target) -> str:
    kept = sum(each.kept for each in found.contents)
    if not found.apps:
        return f"No app of glmdeploy is deployed on {target}; kept: {count_bytes(kept)}."
    apps = listed([f"{counted(count, 'plan')} of {app}" for app, count in found.apps.items()])
    return f"Kept: {count_bytes(kept)}, for {apps}."


def bytes_text(leftovers: Sequence[Leftover]) -> str:
    """The bytes of the leftovers together."""
    return count_bytes(sum(each.size for each in leftovers))


def leftover_text(leftover: Leftover) -> str:
    """A leftover on one line."""
    kind = _WORDS.get(leftover.kind, leftover.kind)
    return f"{kind} {leftover.name} from {leftover.volume} ({count_bytes(leftover.size)})"


def kept_after_all(count: int) -> str:
    """That something changed between the question and the removal."""
    return f"{counted(count, 'leftover')} stayed: something needs them by now."


def survey_data(found: Survey, removed: Sequence[Leftover]) -> dict[str, Any]:
    """The same as JSON data; ``removed`` are the leftovers that are gone."""
    return {
        "leftovers": [
            {
                "kind": each.kind,
                "name": each.name,
                "volume": each.volume,
                "bytes": each.size,
                "paths": list(each.paths),
                "removed": each in removed,
            }
            for each in found.leftovers
        ],
        "apps": [{"app": app, "plans": count} for app, count in found.apps.items()],
        "left_alone": [{"volume": volume, "why": why} for volume, why in sorted(found.busy.items())],
        "volumes": [
            {
                "volume": each.volume,
                "kept_bytes": each.kept,
                "downloading_bytes": each.half,
                "unknown_files": each.other,
                "unknown_bytes": each.other_size,
            }
            for each in found.contents
        ],
    }
