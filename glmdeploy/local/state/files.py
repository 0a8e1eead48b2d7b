"""Bytes on disk: files by their content, the one-time URLs through which clients move them, and volumes."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from glmdeploy.local.home import inside, sync_directory, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


BLOCK = 8 * 1024 * 1024
"""Bytes of a volume file's block (modal/_utils/blob_utils.py, 1.6.4: ``BLOCK_SIZE``)."""

_LINK_LIFETIME = 3600.0

_TEMPORARY = ".glmdeploy-upload-"


def private(mode: int) -> int:
    """``mode`` for the owner alone: to read and write, and to execute where anybody might."""
    return 0o700 if mode & 0o111 else 0o600


class FileStore:
    """Files by the SHA-256 of their content, in hexadecimal."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, sha256_hex: str) -> Path:
        if len(sha256_hex) != 64 or not set(sha256_hex) <= set("0123456789abcdef"):
            raise ValueError(f"{sha256_hex!r} is not a SHA-256")
        return self._root / sha256_hex[:2] / sha256_hex

    def exists(self, sha256_hex: str) -> bool:
        return self.path(sha256_hex).is_file()

    def put(self, sha256_hex: str, data: bytes) -> None:
        """Keep ``data`` under its hash.

        :raises ValueError: where it has another hash.
        :raises OSError: where it cannot be written.
        """
        if hashlib.sha256(data).hexdigest() != sha256_hex:
            raise ValueError("the content does not have the hash that was announced")
        path = self.path(sha256_hex)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomically(path, data)

    def adopt(self, sha256_hex: str, source: Path) -> None:
        """Move ``source`` in. Raises as :meth:`put` does."""
        with source.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256_hex:
                raise ValueError("the content does not have the hash that was announced")
        path = self.path(sha256_hex)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        source.replace(path)

    def copy(self, sha256_hex: str, target: Path, mode: int) -> None:
        """Copied, not linked: a container may change its files. Of ``mode`` only whether it may be executed counts."""
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copyfile(self.path(sha256_hex), target)
        target.chmod(private(mode))


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a URL stands for: ``length`` bytes of ``path`` from ``offset`` to read, or a file to write."""

    path: Path
    writable: bool
    offset: int = 0
    length: int | None = None
    expires_at: float


class Links:
    """URLs that only who was told can know; they work for an hour and end with the daemon.

    Modal's client sends small things in requests and large ones to a URL that the server hands out; here that is the
    gateway, under unguessable paths.
    """

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}
        self.base_url = ""

    def upload(self, path: Path) -> str:
        return self._add(Link(path=path, writable=True, expires_at=time.monotonic() + _LINK_LIFETIME))

    def download(self, path: Path, *, offset: int = 0, length: int | None = None) -> str:
        expires_at = time.monotonic() + _LINK_LIFETIME
        return self._add(Link(path=path, writable=False, offset=offset, length=length, expires_at=expires_at))

    def find(self, token: str) -> Link | None:
        link = self._links.get(token)
        return link if link and link.expires_at > time.monotonic() else None

    def _add(self, link: Link) -> str:
        # All links live equally long, so the oldest are first.
        while self._links and next(iter(self._links.values())).expires_at < time.monotonic():
            del self._links[next(iter(self._links))]
        token = secrets.token_urlsafe(24)
        self._links[token] = link
        return f"{self.base_url}/{token}"


class VolumeFiles:
    """A volume's files on disk, as clients list, read, write, copy and remove them.

    A volume is a directory; a container may have put anything into it, symbolic links included. Clients name files by
    paths within the volume, and nothing outside it can be reached that way.

    :raises ValueError: for a path that leaves the volume.
    :raises OSError: as the file system does.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, name: str) -> Path:
        """Where ``name`` lies. Symbolic links are followed, but not out of the volume."""
        path = self._root / inside(PurePosixPath(name))
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise ValueError(f"{name} leads out of the volume")
        return path

    def name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def entries(self, name: str, *, recursive: bool) -> Iterator[tuple[str, os.stat_result]]:
        """The entries of a directory, or a file's own; temporary files of an upload are not listed."""
        start = self.path(name)
        if not start.is_dir():
            yield self.name(start), start.lstat()
            return
        for path in sorted(start.iterdir()):
            if path.name.startswith(_TEMPORARY):
                continue
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            yield self.name(path), status
            if recursive and stat.S_ISDIR(status.st_mode):
                yield from self.entries(self.name(path), recursive=True)

    @contextmanager
    def writing(self, name: str, mode: int) -> Iterator[BinaryIO]:
        """Replaces the file at the end of the block, or leaves everything as it was."""
        target = self.path(name)
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=_TEMPORARY)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fchmod(file.fileno(), private(mode))
                os.fsync(file.fileno())
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync_directory(target.parent)

    def remove(self, name: str, *, recursive: bool) -> None:
        path = self.path(name)
        if path == self._root:
            raise ValueError("the volume's root cannot be removed")
        if not path.is_dir() or path.is_symlink():
            path.unlink()
        elif recursive:
            shutil.rmtree(path)
        else:
            raise ValueError(f"{name} is a directory; remove it with recursive=True")

    def copy(self, sources: list[str], target: str, *, recursive: bool) -> None:
        """As cp does."""
        destination = self.path(target)
        if len(sources) > 1 and not destination.is_dir():
            raise ValueError(f"{target} is not a directory")
        for source in sources:
            path = self.path(source)
            final = destination / path.name if destination.is_dir() else destination
            if final.resolve().is_relative_to(path.resolve()):
                raise ValueError(f"{source} cannot be copied into itself")
            if not path.is_dir():
                shutil.copy2(path, final)
                final.chmod(private(final.stat().st_mode))
            elif recursive:
                shutil.copytree(path, final, symlinks=True, dirs_exist_ok=True)
            else:
                raise ValueError(f"{source} is a directory; copy it with recursive=True")
