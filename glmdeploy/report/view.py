"""What may be shown of a finding, a value and a file: for every format the same, and no secret."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload
from urllib.parse import quote

from glmdeploy import redaction
from glmdeploy.findings import dotted
from glmdeploy.profile.text import characters
from glmdeploy.profile.text.load import LOCAL, repository
from glmdeploy.records import record
from glmdeploy.resources import profiles_dir

if TYPE_CHECKING:
    from glmdeploy.findings import Finding, Severity

NO_FILES = ("", "<stdin>", "--set")
"""What stands for a file in the place of a value that no file holds."""


def root() -> Path:
    """The repository that the current folder is in, or the folder itself."""
    return repository(Path.cwd())


def in_repository(file: str) -> str | None:
    """The path from :func:`root`, with slashes; None for a file elsewhere, and for what is no file."""
    path = os.path.relpath(file, root()) if file not in NO_FILES else ".."
    return None if Path(path).parts[:1] == ("..",) else path


def uri(file: str) -> str:
    """The reference to a file: relative to :func:`root`, or absolute for one elsewhere."""
    path = in_repository(file)
    if path is not None or file in NO_FILES:
        return redaction.mask(quote(os.fsencode(path or file)))
    return redaction.mask(Path(file).absolute().as_uri())


UP = 2
"""Folders up to which a relative path is shorter to read than a whole one."""


def short(file: str) -> str:
    """The file as a person reads it, and can open it: from the current folder where that is near, else from ``~``.

    A profile that ships with the package is called by its bare name, which every command takes.
    """
    if file in NO_FILES:
        return file
    whole = Path(os.path.normpath(Path(file).absolute()))
    shipped = profiles_dir()
    try:
        relative = Path(os.path.relpath(whole, Path.cwd()))
    except (OSError, ValueError):  # a folder that is gone, or another drive
        return file
    if ".." not in relative.parts:
        return str(relative)
    if whole.parent == shipped and not (LOCAL / whole.name).exists():
        return whole.stem
    if relative.parts.count("..") <= UP and len(relative.parts) < len(whole.parts):
        return str(relative)
    home = Path.home()
    inside = whole.is_relative_to(home) and home != Path(home.anchor)
    return str(Path("~") / whole.relative_to(home)) if inside else str(whole)


@record
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
    text, start, end = redaction.masked(place.text, place.column - 1, place.column - 1 + length)
    return View(
        id=finding.id,
        severity=finding.severity,
        message=clean(finding.message),
        file=clean(short(place.file)),
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
    return None if text is None else redaction.mask(characters.shown(text, limit=sys.maxsize))


def shown(value: Any) -> str:
    """A value of a plan, of SGLang or of a catalog as people read it: text as it is, all else as JSON."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
