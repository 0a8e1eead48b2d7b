"""A finding as it may be shown: without the secrets and the invisible characters that a profile may hold."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from glmdeploy import tokens
from glmdeploy.findings import dotted
from glmdeploy.report.places import NO_FILES
from glmdeploy.source.text import shown

if TYPE_CHECKING:
    from glmdeploy.findings import Finding, Severity


@dataclass(frozen=True, kw_only=True)
class View:
    """What reporters know of a finding; each text but ``text`` is one line of printable characters.

    ``line``, ``column`` and ``length`` are those of the file. ``text`` is the line with its secrets masked, and
    ``text[start:end]`` what a caret underlines there.
    """

    id: str
    severity: Severity
    message: str
    file: str
    line: int
    column: int
    length: int
    text: str
    start: int
    end: int
    path: str
    expected: str | None
    fix: str | None
    links: tuple[str, ...]
    waived: str | None
    fixable: bool
    """Whether ``--fix`` may mend it."""


def view(finding: Finding) -> View:
    """What may be shown of a finding."""
    place = finding.location
    length = max(1, min(place.length, len(place.text) - place.column + 1))
    text, start, end = tokens.masked(place.text, place.column - 1, place.column - 1 + length)
    return View(
        id=finding.id,
        severity=finding.severity,
        message=clean(finding.message),
        file=clean(place.file),
        line=place.line,
        column=place.column,
        length=length,
        text=text,
        start=start,
        end=max(end, start + 1),
        path=clean(dotted(finding.path)),
        expected=clean(finding.expected),
        fix=clean(finding.fix),
        links=tuple(map(clean, finding.links)),
        waived=clean(finding.waived),
        fixable=bool(finding.edits) and finding.waived is None and place.file not in NO_FILES,
    )


@overload
def clean(text: str) -> str: ...
@overload
def clean(text: None) -> None: ...
def clean(text: str | None) -> str | None:
    """The text without secrets, on one line: what cannot be seen, and could steer a terminal, is escaped."""
    return None if text is None else tokens.mask(shown(text, limit=sys.maxsize))
