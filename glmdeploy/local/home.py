"""The home of an embedded cloud: where it keeps its state, its ports and token pair, and how to write a file whole."""

from __future__ import annotations

import errno
import hmac
import json
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TextIO

from glmdeploy.errors import LocalCloudError

if TYPE_CHECKING:
    import socket


def default_home() -> Path:
    """``GLMDEPLOY_HOME``, else ``$XDG_STATE_HOME/glmdeploy``, else ``~/.local/state/glmdeploy``."""
    chosen = os.environ.get("GLMDEPLOY_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "glmdeploy"


@dataclass(frozen=True, kw_only=True)
class Home:
    """The layout of one home directory. Everything in it belongs to its owner alone: mode 0600, or 0700."""

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
    def proxy_token(self) -> Path:
        """What opens web functions and Servers with proxy authentication."""
        return self.root / "proxy-token.json"

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
        files = (self.lock, self.state, self.settings, self.credentials, self.proxy_token, self.database)
        names = [path.name for path in files]
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
        """Make the directories.

        :raises OSError: where that is not possible.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for directory in (self.root, *self.directories):
            directory.mkdir(mode=0o700, exist_ok=True)
            directory.chmod(0o700)
        for path in self.contents():
            # Earlier versions left some of them readable for all.
            if path.is_file() and not path.is_symlink():
                path.chmod(0o600)


def inside(path: PurePosixPath) -> PurePosixPath:
    """``path`` relative to the root it is meant for.

    :raises ValueError: where it leads out of it.
    """
    if ".." in path.parts:
        raise ValueError(f"{path} leads out of its directory")
    return path.relative_to("/") if path.is_absolute() else path


def open_private(path: Path | str) -> TextIO:
    """A file to append text to, made for its owner alone where there is none.

    :raises OSError:
    """
    return open(path, "a", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600))


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write ``data`` so that ``path`` holds either all of it or what it held before, even after a crash.

    :raises OSError: where it cannot be written; nothing is left behind then.
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


def listen(
    settings: Path, gateway_port: int | None
) -> tuple[socket.socket, socket.socket, socket.socket, tuple[str, ...]]:
    """Listening sockets of the gateway, the control plane and the hub, and what the user should know of them.

    ``settings`` remembers the ports, which stay the same over restarts where they are still free. Raises
    LocalCloudError for a ``gateway_port`` that is taken.
    """
    saved = saved_ports(settings)
    notes: list[str] = []
    listeners: dict[str, socket.socket] = {}
    for name in ("gateway", "control", "hub"):
        wanted = saved.get(name, 0)
        if name == "gateway" and gateway_port is not None:
            listeners[name] = _asked_for(gateway_port)
            continue
        try:
            listeners[name] = listen_on(wanted)
        except OSError:
            listeners[name] = listen_on(0)
            if name != "hub":
                notes.append(_moved(name, wanted, url(listeners[name])))
    write_atomically(settings, json.dumps({name: port(each) for name, each in listeners.items()}).encode())
    return listeners["gateway"], listeners["control"], listeners["hub"], tuple(notes)


def url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{port(listener)}"


def port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _moved(name: str, before: int, now: str) -> str:
    what = {
        "gateway": "web URLs of functions that were deployed before",
        "control": "environment variables of shells that were set up before",
    }
    return f"port {before} is taken, {now} is used instead: {what[name]} do not work any more"


def _asked_for(number: int) -> socket.socket:
    try:
        return listen_on(number)
    except OSError as fault:
        raise LocalCloudError(
            f"port {number} is not available: {fault.strerror}", advice="choose another port, or none at all"
        ) from fault


def saved_ports(settings: Path) -> dict[str, int]:
    """Of ``gateway``, ``control`` and ``hub``, as the last daemon had them; empty where none has run."""
    try:
        return {name: int(number) for name, number in json.loads(settings.read_bytes()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def listen_on(number: int) -> socket.socket:
    """A listening socket of this machine alone; 0 is any free port. :raises OSError: where it is taken."""
    import socket  # completion reads this file, and has no time

    # With the protocol named, or asyncio does not turn Nagle's algorithm off: 40 ms for every answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", number))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A token pair of one embedded cloud: random, made once per home, readable by its owner alone."""

    token_id: str
    token_secret: str = field(repr=False)

    def match(self, token_id: str, token_secret: str) -> bool:
        """Takes as long for a wrong secret as for the right one."""
        same_id = hmac.compare_digest(_bytes(token_id), _bytes(self.token_id))
        return hmac.compare_digest(_bytes(token_secret), _bytes(self.token_secret)) and same_id


def _bytes(text: str) -> bytes:
    """A header's text as it came: what is no UTF-8 is no reason to fail."""
    return text.encode(errors="surrogateescape")


def load_credentials(path: Path, *, prefixes: tuple[str, str] = ("ak", "as")) -> Credentials:
    """The credentials in ``path``; made where there are none, with Modal's ``prefixes`` of a token and its secret.

    :raises OSError:
    :raises ValueError:
    """
    try:
        data = json.loads(path.read_bytes())
        return Credentials(token_id=data["token_id"], token_secret=data["token_secret"])
    except FileNotFoundError:
        token_id, token_secret = f"{prefixes[0]}-{secrets.token_hex(11)}", f"{prefixes[1]}-{secrets.token_hex(24)}"
        created = Credentials(token_id=token_id, token_secret=token_secret)
    except (KeyError, TypeError, ValueError) as fault:
        raise ValueError(f"{path} holds no token pair") from fault
    content = {"token_id": created.token_id, "token_secret": created.token_secret}
    write_atomically(path, json.dumps(content).encode())
    return created


def load_proxy_token(home: Home) -> Credentials:
    """The proxy token of the workspace: its id is sent as ``Modal-Key``, its secret as ``Modal-Secret``.

    :raises OSError:
    :raises ValueError:
    """
    return load_credentials(home.proxy_token, prefixes=("wk", "ws"))
