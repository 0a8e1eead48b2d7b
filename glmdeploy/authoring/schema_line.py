"""The line at the top of a profile by which editors find its schema, and the file that the line names.

The line is a relative path, and the file lies in the profile's own repository: so it says the same on every machine,
without a network, and where glmdeploy is not installed. `yaml-language-server` takes such a path from the folder of the
profile, without following links (``resolveSchemaRef`` of its ``yamlSchemaService.js``, 1.25.0).
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from glmdeploy.authoring.own_file import OwnFile
from glmdeploy.errors import GlmdeployError
from glmdeploy.profile import schema
from glmdeploy.profile.release_schema import generate, release_file
from glmdeploy.profile.text.load import repository
from glmdeploy.resources import checkout
from glmdeploy.sglang import catalog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.profile.text.document import Document

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
    place, _ = _place(file, release)
    if place == release_file(release).resolve():
        return None
    text = (generate(release) if release in catalog.versions() else schema.generate()).encode("utf-8")
    try:
        if place.is_file() and place.read_bytes() == text:
            return None
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text)
    except OSError as error:
        raise GlmdeployError(f"cannot write {place}: {error.strerror}") from None
    here = Path.cwd()
    return place.relative_to(here) if place.is_relative_to(here) else place


def name_schema(document: Document) -> tuple[str, ...]:
    """Name the schema of a profile's release at the top of its file, and keep it there; the files that changed.

    :raises GlmdeployError: if the profile says no release that is known, or a file cannot be written.
    """
    file = OwnFile.read(document.files[0])
    if file.name.endswith(".json"):
        raise GlmdeployError(f"{file.name} is JSON, which has no comments", advice="keep the profile as YAML")
    release = release_of(document)
    changed = replace(file, text=with_line(file.text, schema_line(Path(file.name), release)))
    kept = keep_schema(Path(file.name), release)
    changed.write()
    return (*([str(kept)] if kept else []), *([file.name] if changed.text != file.text else []))


def release_of(document: Document) -> str:
    """The release that a profile is on. :raises GlmdeployError: if it says none, or one that has no catalog."""
    engine = document.data.get("sglang")
    release = engine.get("version") if isinstance(engine, dict) else None
    if not isinstance(release, str):
        raise GlmdeployError(f"{document.files[0]} says no SGLang release", advice="it stands in `sglang.version`")
    return known(release)


def known(release: str) -> str:
    """The release itself. :raises GlmdeployError: if it has no catalog."""
    if release not in catalog.versions():
        raise GlmdeployError(
            f"glmdeploy does not know SGLang {release}", advice=f"known releases: {', '.join(catalog.versions())}"
        )
    return release


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
    source, folder = release_file(release).resolve(), Path(os.path.normpath(Path.cwd() / file)).parent
    home = checkout()
    if home and folder.resolve().is_relative_to(home):
        return source, folder.resolve()
    return repository(folder) / FOLDER / source.name, folder


def _lines(rows: list[str]) -> Iterator[tuple[int, str]]:
    """The schema lines among the comments before the first key: number, and what each names."""
    for index, row in enumerate(row.removeprefix("\ufeff") for row in rows):
        if row.strip() and not row.startswith("#"):
            return
        if found := _LINE.match(row):
            yield index, found["place"]
