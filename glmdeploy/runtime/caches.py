"""What SGLang's compilers keep: made on a container's own disk, and carried by the kernels volume as one file.

A folder of caches that several containers write over a network ends in EBUSY (triton #11512), and its thousands of
small files are slow to read there. So the compile stage's process has its caches on the disk of its container, and when
it is done they are packed into one archive of the volume; a server unpacks it onto its own disk, at the same path,
before SGLang starts. What a server compiles beyond that stays in its container.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

CACHES = "/var/cache/glmdeploy"
"""The folder of the caches in the containers of both stages: Inductor and ninja write down absolute paths."""

_BLOCK = 1 << 20

_LEFT_OUT = ("lock", "locks", "tmp")
"""Names of what no other process may find: PyTorch waits for ever for who made the file ``lock`` (``FileBaton`` in
``torch/utils/file_baton.py``)."""

_LEFT_OUT_STARTS = ("tmp.pid_", ".staging-")
"""How unfinished entries begin: Triton's (``runtime/cache.py``), SGLang's (``kernels/jit/utils/compile/loader.py``)."""

_NANOSECONDS = "glmdeploy.mtime_ns"
"""Header of each file: ninja compares times to the nanosecond, and a tar archive's own are rounded when read."""


class DamagedCaches(Exception):
    """An archive that is not what the compile stage wrote."""


class _Hashed(io.RawIOBase):
    """A file that is written or read from its beginning to its end, with the hash and the number of its bytes."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, data: Any) -> int:
        self._file.write(data)
        return self._seen(data)

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._file.read(size)
        self._seen(data)
        return data

    def _seen(self, data: Any) -> int:
        self.hash.update(data)
        self.size += len(data)
        return len(data)


def caches_archive(key: str) -> str:
    """The name of the archive for ``key``, in glmdeploy's own folder of the kernels volume."""
    return f"caches-{key}.tar"


def make_caches(environment: Mapping[str, str], folder: Path) -> None:
    """Make the folders below ``folder`` that the variables name: not every compiler makes more than the last one.

    :raises OSError:
    """
    for value in environment.values():
        if value.startswith(f"{folder}/"):
            Path(value).mkdir(parents=True, exist_ok=True)


def pack_caches(folder: Path, archive: Path) -> dict[str, Any]:
    """Write the files below ``folder`` into ``archive``.

    Returns its ``sha256``, its size in ``bytes`` and the number of ``files`` in it. Nothing is written where there are
    none. The archive has its name only when it is whole.

    :raises OSError:
    """
    files = sorted(_finished(folder))
    if not files:
        return {}
    archive.parent.mkdir(parents=True, exist_ok=True)
    draft = archive.with_name(f"{archive.name}.new")
    try:
        with draft.open("wb") as file:
            hashed = _Hashed(file)
            with tarfile.open(fileobj=hashed, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_BLOCK) as tar:
                for path in files:
                    _add(tar, path, str(path.relative_to(folder)))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(archive)
    finally:
        draft.unlink(missing_ok=True)
    return {"sha256": hashed.hash.hexdigest(), "bytes": hashed.size, "files": len(files)}


def unpack_caches(archive: Path, packed: Mapping[str, Any], folder: Path) -> int:
    """Write the archive's files below ``folder``; how many. ``packed`` is what :func:`pack_caches` told of it.

    Nothing is left of an archive that cannot be read, or that is another one.

    :raises DamagedCaches: where the archive is not the one that was packed.
    :raises OSError:
    """
    try:
        with archive.open("rb") as file:
            hashed = _Hashed(file)
            with tarfile.open(fileobj=hashed, mode="r|", bufsize=_BLOCK) as tar:
                count = sum(_extract(tar, member, folder) for member in tar)
            while hashed.read(_BLOCK):  # what follows the last file belongs to the archive too
                pass
        if hashed.hash.hexdigest() != packed.get("sha256"):
            raise DamagedCaches(f"{archive.name} is not what was packed")
    except tarfile.TarError as fault:
        shutil.rmtree(folder, ignore_errors=True)
        raise DamagedCaches(f"{archive.name} cannot be read: {fault}") from None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return count


def _finished(folder: Path) -> Iterator[Path]:
    """The files of the caches that are of use to another process."""
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if _is_finished(name)]
        yield from (Path(root, name) for name in names if _is_finished(name) and Path(root, name).is_file())


def _is_finished(name: str) -> bool:
    return name not in _LEFT_OUT and not name.startswith(_LEFT_OUT_STARTS) and not name.endswith(".lock")


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    with path.open("rb") as file:
        state = os.fstat(file.fileno())
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = state.st_size, state.st_mode & 0o777, int(state.st_mtime)
        entry.pax_headers = {_NANOSECONDS: str(state.st_mtime_ns)}
        tar.addfile(entry, file)


def _extract(tar: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path) -> bool:
    """Write one file, and nothing outside of the folder; whether it is one."""
    name, content = PurePosixPath(entry.name), tar.extractfile(entry) if entry.isreg() else None
    if content is None or name.is_absolute() or ".." in name.parts:
        return False
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(content, file, _BLOCK)
    target.chmod(entry.mode | 0o600)
    times = int(entry.pax_headers.get(_NANOSECONDS, int(entry.mtime) * 10**9))
    os.utime(target, ns=(times, times))
    return True
