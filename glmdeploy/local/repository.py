"""The repositories of the embedded hub: the files of a tiny model, with their hashes as Git has them.

They are made in memory when they are asked for, and the last few are kept: what is made depends on the repository's
name and the commit alone, so that a flood of names costs neither memory nor disk.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from glmdeploy.local import tiny_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MODIFIED = datetime(2026, 1, 1, tzinfo=UTC)
"""When every file of every repository was written: always the same, as its content is."""

_KEPT = 16
"""Repositories in memory, of 300 kB each."""

# One part of `org/name`, as huggingface_hub's validate_repo_id has it.
_NAME = re.compile(r"(?!.*(--|\.\.))\w([\w.-]{0,94}\w)?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class File:
    """A file of a repository.

    ``blob_id`` is what Git calls the file: the SHA-1 of its content, or of its pointer where Git LFS stores
    the content, which is then known by ``sha256``. ``pointer_size`` is that pointer's size in bytes.
    """

    path: str
    content: bytes
    blob_id: str
    sha256: str | None = None
    pointer_size: int | None = None

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def etag(self) -> str:
        return self.sha256 or self.blob_id


@dataclass(frozen=True, kw_only=True)
class Repository:
    """``organization/name`` as it is at ``commit``."""

    id: str
    commit: str
    files: Mapping[str, File]


class HeadError(Exception):
    """A file that shall name the commit of a branch and does not; the message is for the user."""


def valid_name(name: str) -> bool:
    """Whether ``name`` may be the organization or the name in a repository's id."""
    return _NAME.fullmatch(name) is not None


def resolve(root: Path, repo: str, revision: str) -> str | None:
    """The commit that ``revision`` of ``repo`` names, None if there is no such revision.

    Any commit hash is a commit of any repository: the embedded hub cannot know the real ones, and a profile that pins
    one must work with it. The branch main names the commit that the file ``<repo>.main`` under ``root`` holds, where
    there is one, else always the same.

    :raises HeadError: where that file holds no commit.
    """
    if revision != "main":
        return revision if _COMMIT.fullmatch(revision) else None
    moved = root / f"{repo}.main"
    try:
        commit = moved.read_text(encoding="utf-8", errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return tiny_model.head(repo)
    except OSError as fault:
        raise HeadError(f"{moved} cannot be read: {fault.strerror}") from fault
    if not _COMMIT.fullmatch(commit):
        raise HeadError(f"{moved} holds no commit: 40 digits, 0-9 and a-f")
    return commit


def load(root: Path, repo: str, commit: str) -> Repository:
    """``repo`` at ``commit``. Its name must be valid (:func:`valid_name`).

    Where ``root`` has a folder of that name, its files are the repository's at every commit.

    :raises OSError: where such a folder cannot be read.
    """
    own = root / repo
    if own.is_dir():
        contents = {path.name: path.read_bytes() for path in sorted(own.iterdir()) if path.is_file()}
        return _repository(repo, commit, contents)
    return _made(repo, commit)


@functools.lru_cache(maxsize=_KEPT)
def _made(repo: str, commit: str) -> Repository:
    return _repository(repo, commit, tiny_model.files(repo, commit))


def _repository(repo: str, commit: str, contents: Mapping[str, bytes]) -> Repository:
    return Repository(id=repo, commit=commit, files={name: _file(name, content) for name, content in contents.items()})


def _file(name: str, content: bytes) -> File:
    if not name.endswith(".safetensors"):
        return File(path=name, content=content, blob_id=_blob_id(content))
    digest = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n".encode()
    return File(path=name, content=content, blob_id=_blob_id(pointer), sha256=digest, pointer_size=len(pointer))


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()
