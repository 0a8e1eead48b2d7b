"""Bytes on disk that are addressed by their content, and the one-time URLs through which clients move them.

Modal's client sends small things in requests and large ones to a URL that the server hands out; here that is
the gateway, under unguessable paths.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.local.home import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 8 * 1024 * 1024
"""Bytes of a volume file's block (modal/_utils/blob_utils.py, 1.6.4: ``BLOCK_SIZE``)."""

_LINK_LIFETIME = 3600.0


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
        """Raises ValueError where ``data`` has another hash, OSError where it cannot be written."""
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
        """Copied, not linked: a container may change its files."""
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copyfile(self.path(sha256_hex), target)
        target.chmod(mode | 0o600)


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a URL stands for: ``length`` bytes of ``path`` from ``offset`` to read, or a file to write."""

    path: Path
    writable: bool
    offset: int = 0
    length: int | None = None
    expires_at: float


class Links:
    """URLs that only who was told can know; they work for an hour and end with the daemon."""

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
