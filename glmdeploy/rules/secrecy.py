"""Secrets in the lines that findings show."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy import redaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.findings import Finding, Location


def hide(findings: Sequence[Finding]) -> list[Finding]:
    """The findings with every value that one of them calls a secret masked, in whichever finding's line it stands."""
    secrets: dict[tuple[str, int, str], list[tuple[int, int]]] = defaultdict(list)
    for found in findings:
        if found.secret:
            secrets[_line(found.location)].append(_span(found.location))
    return [
        replace(found, location=_masked(found.location, sorted(secrets[line])))
        if (line := _line(found.location)) in secrets
        else found
        for found in findings
    ]


def _line(place: Location) -> tuple[str, int, str]:
    # All values of the command line have the same file and line.
    return place.file, place.line, place.text


def _span(place: Location) -> tuple[int, int]:
    return place.column - 1, place.column - 1 + place.length


def _masked(place: Location, secrets: Sequence[tuple[int, int]]) -> Location:
    """The place with asterisks for the ``secrets``, spans of its text in their order."""
    hidden: list[tuple[int, int]] = []
    for first, last in secrets:
        if hidden and first < hidden[-1][1]:
            hidden[-1] = (hidden[-1][0], max(last, hidden[-1][1]))
        else:
            hidden.append((first, last))
    start, end = (
        _moved(offset, hidden, end=at_end) for offset, at_end in zip(_span(place), (False, True), strict=True)
    )
    text = place.text
    for first, last in reversed(hidden):
        text = f"{text[:first]}{redaction.MASK}{text[last:]}"
    return replace(place, text=text, column=start + 1, length=max(end - start, 1))


def _moved(offset: int, hidden: Sequence[tuple[int, int]], *, end: bool) -> int:
    """Where ``offset`` is once the spans are masked; within one, where its asterisks begin or ``end``."""
    moved = offset
    for first, last in hidden:
        if last <= offset:
            moved += len(redaction.MASK) - (last - first)
        elif first < offset:
            moved += first - offset + (len(redaction.MASK) if end else 0)
    return moved
