"""A volume's files on disk, as clients list, read, write, copy and remove them.

A volume is a directory; a container may have put anything into it, symbolic links included. Clients name
files by paths within the volume, and nothing outside it can be reached that way.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from glmdeploy.local.home import inside, sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


class VolumeFiles:
    """Raises ValueError for a path that leaves the volume, and OSError as the file system does."""

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
                os.fchmod(file.fileno(), mode or 0o644)
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
            if not path.is_dir():
                shutil.copy2(path, final)
            elif recursive:
                shutil.copytree(path, final, symlinks=True, dirs_exist_ok=True)
            else:
                raise ValueError(f"{source} is a directory; copy it with recursive=True")


_TEMPORARY = ".glmdeploy-upload-"
