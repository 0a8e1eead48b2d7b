"""The container side's source: the files that a deployment carries, and their digest, which is part of its plan."""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE = Path(__file__).resolve().parents[1]
LARGEST = 16 * 1024 * 1024
"""Bytes of a packed source that are read at most."""


class SourceError(ValueError):
    """What was packed is no source, or not the one that it should be."""


@cache
def files() -> Mapping[str, bytes]:
    """This release's files by their paths in the package: ``__init__.py``, which has the version, and ``runtime/``."""
    paths = [PACKAGE / "__init__.py", *sorted((PACKAGE / "runtime").glob("*.py"))]
    return {path.relative_to(PACKAGE).as_posix(): path.read_bytes() for path in paths}


def digest(of: Mapping[str, bytes] | None = None) -> str:
    """SHA-256, in hexadecimal, of the paths and the contents; of this release's without files."""
    sha = hashlib.sha256()
    for path, content in sorted((files() if of is None else of).items()):
        sha.update(f"{path}\0{len(content)}\0".encode() + content)
    return sha.hexdigest()


def packed() -> bytes:
    """This release's files as a zip archive, the same bytes whenever it is made."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in sorted(files().items()):
            archive.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def unpacked(archive: bytes, expected: str) -> dict[str, bytes]:
    """The files of an archive whose digest is ``expected``.

    :raises SourceError: for anything else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            if sum(each.file_size for each in opened.infolist()) > LARGEST:
                raise SourceError(f"larger than {LARGEST} bytes")
            found = {each.filename: opened.read(each) for each in opened.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as fault:
        raise SourceError(f"no archive: {fault}") from None
    for path in map(PurePosixPath, found):
        if path.is_absolute() or ".." in path.parts:
            raise SourceError(f"a path that leads out of it: {path}")
    if digest(found) != expected:
        raise SourceError("not the source that the plan was made with")
    return found
