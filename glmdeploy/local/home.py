"""Where the embedded cloud keeps its state, and how a file is written there without being half-written."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


def default_home() -> Path:
    """``GLMDEPLOY_HOME``, else ``$XDG_STATE_HOME/glmdeploy``, else ``~/.local/state/glmdeploy``."""
    chosen = os.environ.get("GLMDEPLOY_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "glmdeploy"


@dataclass(frozen=True, kw_only=True)
class Home:
    """The layout of one home directory. Everything in it belongs to its owner alone (mode 0700)."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held with flock by the daemon as long as it lives."""
        return self.root / "lock"

    @property
    def state(self) -> Path:
        """What a running daemon says about itself; means nothing once the lock is free."""
        return self.root / "daemon.json"

    @property
    def settings(self) -> Path:
        """The ports, to take the same ones again."""
        return self.root / "settings.json"

    @property
    def credentials(self) -> Path:
        return self.root / "credentials.json"

    @property
    def database(self) -> Path:
        return self.root / "state.sqlite3"

    @property
    def daemon_log(self) -> Path:
        return self.root / "daemon.log"

    @property
    def modal_config(self) -> Path:
        """Stands in for ``~/.modal.toml``; never created, so that Modal's client reads no profile."""
        return self.root / "no-modal.toml"

    @property
    def files(self) -> Path:
        """Content-addressed files of mounts, by SHA-256."""
        return self.root / "files"

    @property
    def blobs(self) -> Path:
        """Uploads on their way to somewhere else, and large call arguments; emptied at start."""
        return self.root / "blobs"

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    @property
    def containers(self) -> Path:
        """Root directories of running containers; emptied at start."""
        return self.root / "containers"

    @property
    def scratch(self) -> Path:
        """A link to the directory of the containers' temporary files, whose own name is shorter."""
        return self.root / "scratch"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def hub(self) -> Path:
        return self.root / "hub"

    @property
    def bin(self) -> Path:
        """``python`` and ``python3`` for containers: the interpreter that runs the daemon."""
        return self.root / "bin"

    def contents(self) -> list[Path]:
        """What exists of all that the embedded cloud ever writes here; nothing of somebody else's."""
        names = [path.name for path in (self.lock, self.state, self.settings, self.credentials, self.database)]
        names += [
            f"{self.database.name}-wal",
            f"{self.database.name}-shm",
            self.daemon_log.name,
            "daemon.log.old",
        ]
        names += [path.name for path in (self.scratch, *self.directories)]
        return [path for path in (self.root / name for name in names) if os.path.lexists(path)]

    @property
    def directories(self) -> tuple[Path, ...]:
        return (self.files, self.blobs, self.volumes, self.containers, self.logs, self.hub, self.bin)

    def create(self) -> None:
        """Make the directories. Raises OSError where that is not possible."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)
        for directory in self.directories:
            directory.mkdir(mode=0o700, exist_ok=True)


def inside(path: PurePosixPath) -> PurePosixPath:
    """``path`` relative to the root it is meant for. Raises ValueError where it leads out of it."""
    if ".." in path.parts:
        raise ValueError(f"{path} leads out of its directory")
    return path.relative_to("/") if path.is_absolute() else path


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write ``data`` so that ``path`` holds either all of it or what it held before, even after a crash.

    Raises OSError; nothing is left behind then.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def require_space(directory: Path, size: int) -> None:
    """Raises the OSError of a full disk where ``size`` bytes more do not fit into ``directory``.

    For what a client would upload in many parts, each of which it would try again for minutes.
    """
    if shutil.disk_usage(directory).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory))


def sync_directory(path: Path) -> None:
    """Make a rename in ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
