"""The line at the top of a profile by which editors find its schema, and the file that the line names.

The line is a relative path, and the file lies in the profile's own repository: so it says the same on every machine,
without a network, and where glmdeploy is not installed. `yaml-language-server` takes such a path from the folder of the
profile, without following links (``resolveSchemaRef`` of its ``yamlSchemaService.js``, 1.25.0).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from glmdeploy.errors import GlmdeployError
from glmdeploy.profile.release_schema import release_file
from glmdeploy.profile.text.load import repository
from glmdeploy.resources import schemas_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = ".glmdeploy"
"""Below the root of a repository, or beside a profile that is in none: where the schemas of its profiles lie."""

_LINE = re.compile(r"#\s+yaml-language-server\s*:\s*\$schema(?:=|:\s*)(?P<place>\S+)")
_OURS = re.compile(r"(?:.*/)?profile(?:-[0-9][\w.]*?)?\.schema\.json")
"""What such a line names where glmdeploy wrote it, in this version or in one before it."""


def schema_line(file: Path, release: str) -> str:
    """The comment for the top of the profile ``file``, which need not be there yet and is on SGLang ``release``.

    Who writes it calls :func:`keep_schema` too. A release that has no catalog gets the schema of all releases.
    """
    place, folder = _place(file, release)
    return f"# yaml-language-server: $schema={Path(os.path.relpath(place, folder)).as_posix()}"


def keep_schema(file: Path, release: str) -> Path | None:
    """Put the schema where the line of the profile ``file`` says; the path, where something had to be written.

    A copy that another version of glmdeploy made is replaced. In a checkout of glmdeploy nothing is copied.

    :raises GlmdeployError: if it cannot be written.
    """
    (place, _), source = _place(file, release), release_file(release)
    try:
        text = source.read_bytes()
        if place.is_file() and place.read_bytes() == text:
            return None
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text)
    except OSError as error:
        raise GlmdeployError(f"cannot write {place}: {error.strerror}") from None
    return place


def with_line(text: str, line: str) -> str:
    """A profile's text with ``line`` in the place of the schema line that it has, else on top; line ends stay."""
    rows = text.splitlines(keepends=True)
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    for index, _ in _lines(rows):
        end = rows[index][len(rows[index].rstrip("\r\n")) :]
        return "".join([*rows[:index], (mark if index == 0 else "") + line + end, *rows[index + 1 :]])
    end = "\r\n" if rows and rows[0].endswith("\r\n") else "\n"
    return f"{mark}{line}{end}{text.removeprefix(mark)}"


def has_line(text: str) -> bool:
    """Whether the text has a schema line that glmdeploy wrote."""
    return any(_OURS.fullmatch(place) for _, place in _lines(text.splitlines()))


def _place(file: Path, release: str) -> tuple[Path, Path]:
    """Where the schema of a profile is, and the folder of the profile, from which the line leads there."""
    source, folder = release_file(release).resolve(), Path(os.path.abspath(file)).parent
    checkout = schemas_dir().resolve().parent
    if (checkout / "pyproject.toml").is_file() and folder.resolve().is_relative_to(checkout):
        return source, folder.resolve()
    return repository(folder) / FOLDER / source.name, folder


def _lines(rows: list[str]) -> Iterator[tuple[int, str]]:
    """The schema lines among the comments before the first key: number, and what each names."""
    for index, row in enumerate(rows):
        row = row.removeprefix("\ufeff")
        if row.strip() and not row.startswith("#"):
            return
        if found := _LINE.match(row):
            yield index, found["place"]
