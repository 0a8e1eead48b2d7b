"""A model repository of the embedded hub: the files of a tiny model, with their hashes as Git has them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from glmdeploy.local import tiny_model

if TYPE_CHECKING:
    from pathlib import Path

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
    location: Path
    size: int
    blob_id: str
    sha256: str | None = None
    pointer_size: int | None = None

    @property
    def etag(self) -> str:
        return self.sha256 or self.blob_id

    def read(self, part: range) -> bytes:
        """The bytes of the file whose offsets are in ``part``, a range without steps."""
        with self.location.open("rb") as file:
            file.seek(part.start)
            return file.read(len(part))


@dataclass(frozen=True, kw_only=True)
class Repository:
    """``head`` is the commit of the branch main."""

    id: str
    head: str
    files: dict[str, File]
    modified: datetime

    def commit(self, revision: str) -> str | None:
        """The commit that ``revision`` names, None if there is no such revision.

        Any commit hash is a commit of this repository, and all have the same content: the embedded hub cannot
        know the real ones, and a profile that pins one must work with it.
        """
        if revision == "main":
            return self.head
        return revision if _COMMIT.fullmatch(revision) else None


def valid_name(name: str) -> bool:
    """Whether ``name`` may be the organization or the name in a repository's id."""
    return _NAME.fullmatch(name) is not None


def load(root: Path, organization: str, name: str) -> Repository:
    """The repository ``organization/name``, whose files lie under ``root``; they are written on first use.

    Both names must be valid (:func:`valid_name`). Raises OSError.
    """
    repo = f"{organization}/{name}"
    directory = root / organization / name
    if not directory.is_dir():
        directory.parent.mkdir(parents=True, exist_ok=True)
        tiny_model.write(directory, repo)
    files = {path.name: _file(path) for path in sorted(directory.iterdir())}
    listing = "".join(f"{file.blob_id} {file.path}\n" for file in files.values())
    return Repository(
        id=repo,
        head=hashlib.sha1(f"{repo}\n{listing}".encode(), usedforsecurity=False).hexdigest(),
        files=files,
        modified=datetime.fromtimestamp(directory.stat().st_mtime, UTC),
    )


def _file(path: Path) -> File:
    content = path.read_bytes()
    if path.suffix != ".safetensors":
        return File(path=path.name, location=path, size=len(content), blob_id=_blob_id(content))
    digest = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n".encode()
    return File(
        path=path.name,
        location=path,
        size=len(content),
        blob_id=_blob_id(pointer),
        sha256=digest,
        pointer_size=len(pointer),
    )


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()
