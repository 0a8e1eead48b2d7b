"""Where a version of a model's files lies in the weights volume, what its mark says, and whether the files are those.

The folder of a version is ``ORG/NAME/COMMIT`` in the volume (:func:`sub_path`). In it lie the model's files, below
``NAME``, and the mark ``.glmdeploy/weights.json``, which is written last::

    {"repo": ..., "revision": ..., "commit": ..., "files": {PATH: {"size": BYTES, "sha256": HEX}, ...}}

A file that the hub does not keep in Git LFS has ``git`` in place of ``sha256``: the SHA-1 of its Git blob.
"""

from __future__ import annotations

import hashlib
import queue
import re
import stat
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from glmdeploy.runtime.markers import read_marker

WEIGHTS_MARK = "weights.json"

PIECE_BYTES = 4 * 2**20
"""Bytes that are read and hashed at once."""

READERS = 16
"""Files that are read, copied or fetched at the same time."""


def sub_path(repo: str, revision: str) -> str:
    """The folder of a version in the volume. ``revision`` is the commit where it is known, else as it is written."""
    return f"{repo}/{revision.replace('/', '--')}"


def weights_mark(version: Path) -> dict[str, Any]:
    """The mark in a version's folder; empty when there is none, or none that can be understood."""
    mark = read_marker(version, WEIGHTS_MARK)
    return mark if is_manifest(mark) else {}


def is_manifest(manifest: dict[str, Any]) -> bool:
    """Whether the data has the shape of a manifest: a mark may have been damaged like any other file."""
    files = manifest.get("files")
    return (
        all(isinstance(manifest.get(key), str) for key in ("repo", "revision", "commit"))
        and isinstance(files, dict)
        and all(inside(path) and _is_entry(entry) for path, entry in files.items())
    )


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict) or type(size := entry.get("size")) is not int or size < 0:
        return False
    digests = [(name, entry[name]) for name in ("sha256", "git") if name in entry]
    length = {"sha256": 64, "git": 40}
    return len(digests) == 1 and all(
        isinstance(text, str) and re.fullmatch(f"[0-9a-f]{{{length[name]}}}", text) for name, text in digests
    )


def inside(path: str) -> bool:
    """Whether a file of a repository stays below the folder that it is written to."""
    parts = path.split("/")
    return bool(path) and "\0" not in path and not any(part in ("", ".", "..") for part in parts)


def size_of(path: Path) -> int:
    """Size in bytes of a regular file; -1 where there is none."""
    try:
        found = path.stat()
    except OSError:
        return -1
    return found.st_size if stat.S_ISREG(found.st_mode) else -1


def missing(manifest: dict[str, Any], folder: Path) -> list[str]:
    """The files of the manifest that are not below the model's folder, or have another size there."""
    return [path for path, entry in manifest["files"].items() if size_of(folder / path) != entry["size"]]


def shortcoming(version: Path, repo: str, commit: str | None, name: str) -> str | None:
    """Why the folder of a version cannot be used, in one sentence; None where it is complete.

    ``name`` is the model's folder in it. Where ``commit`` is None any commit will do. Sizes are compared, no content.
    """
    mark = weights_mark(version)
    if not mark:
        return f"{version} has no mark of complete weights"
    if mark["repo"] != repo or commit not in (None, mark["commit"]):
        return f"{version} has {mark['repo']} at {mark['commit']}, not {repo} at {commit or 'any commit'}"
    if lost := missing(mark, version / name):
        return f"{len(lost)} files of {repo} are missing or not whole in {version}, as {lost[0]}"
    return None


def verify(
    manifest: dict[str, Any], folder: Path, seen: Callable[[str, int], object] | None = None, readers: int = READERS
) -> list[str]:
    """The files of the manifest whose content below the model's folder is another one. Reads every byte, in parallel.

    ``seen`` is told how many bytes of a file were read. A file that cannot be read is a wrong one.
    """
    work: queue.SimpleQueue[str] = queue.SimpleQueue()
    for path in sorted(manifest["files"], key=lambda path: -manifest["files"][path]["size"]):
        work.put(path)
    wrong: list[str] = []

    def read() -> None:
        while True:
            try:
                path = work.get_nowait()
            except queue.Empty:
                return
            if not is_right(folder / path, manifest["files"][path], partial(seen, path) if seen else None):
                wrong.append(path)

    threads = [threading.Thread(target=read, daemon=True) for _ in range(min(readers, len(manifest["files"])))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(wrong)


def is_right(file: Path, entry: dict[str, Any], seen: Callable[[int], object] | None = None) -> bool:
    """Whether the file has the content that the manifest's entry names. ``seen`` is told how many bytes were read."""
    if size_of(file) != entry["size"]:
        return False
    digest = Digest(entry)
    at = 0
    try:
        for piece in pieces_of(file):
            digest.update(piece)
            at += len(piece)
            if seen:
                seen(at)
    except OSError:
        return False
    return digest.matches()


def pieces_of(file: Path) -> Iterator[memoryview]:
    """The file's content, piece by piece; each is valid until the next one is asked for.

    :raises OSError:
    """
    buffer = memoryview(bytearray(PIECE_BYTES))
    with file.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            yield buffer[:count]


class Digest:
    """Hash of a file whose bytes pass by, to be compared with the one that the manifest's entry names."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self._wanted: str = entry.get("sha256") or entry["git"]
        if "sha256" in entry:
            self._hash = hashlib.sha256()
        else:  # as Git names a blob
            self._hash = hashlib.sha1(b"blob %d\0" % entry["size"], usedforsecurity=False)

    def update(self, data: bytes | memoryview) -> None:
        self._hash.update(data)

    def matches(self) -> bool:
        return self._hash.hexdigest() == self._wanted
