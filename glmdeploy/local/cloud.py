"""Starting, finding and stopping the embedded cloud. Imports nothing heavy: the command line uses it for all.

One daemon runs per home directory. Whether it runs is decided by a lock that it holds, never by a process id:
after ``kill -9`` the lock is free, whatever the files say.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from glmdeploy.errors import LocalCloudError
from glmdeploy.local.home import Home, default_home, open_private, write_atomically
from glmdeploy.local.sdk_parts import check_sdk

ALREADY_RUNNING = 75
"""The daemon's exit code where another one holds the lock."""

_ANSWERS_WITHIN = 5.0
"""Seconds that a daemon has for the first byte of its answer."""
_POLL = 0.05
_LOG_LINES = 20


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A running embedded cloud. ``started_at`` is in seconds since the epoch; ``notes`` are sentences.

    ``engines`` is the folder in which it looks for the real engine: the one of the shell that started it.
    """

    pid: int
    home: Path
    engines: Path
    server_url: str
    gateway_url: str
    hub_url: str
    token_id: str
    token_secret: str = field(repr=False)
    started_at: float
    notes: tuple[str, ...] = ()


def home() -> Path:
    """``GLMDEPLOY_HOME``, else ``$XDG_STATE_HOME/glmdeploy``, else ``~/.local/state/glmdeploy``."""
    return default_home()


def status() -> Cloud | None:
    """The embedded cloud that runs, or None. Takes a few seconds at most.

    :raises LocalCloudError: where its files cannot be read, or it runs and does not answer.
    """
    place = Home(root=home())
    if not _locked(place):
        return None
    try:
        state = json.loads(place.state.read_bytes())
        if state.get("stopping"):
            return None
        state |= {name: Path(state[name]) for name in ("home", "engines")} | {"notes": tuple(state["notes"])}
        running = Cloud(**state, **json.loads(place.credentials.read_bytes()))
    except FileNotFoundError:
        return None  # It is just starting.
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise LocalCloudError(
            f"what the daemon says about itself in {place.root} is not understood: {fault}",
            advice="another version of glmdeploy may have started it: stop it, then start it again",
        ) from fault
    return running if _answers(running) else None


def start(*, port: int | None = None, timeout: float = 30.0) -> Cloud:
    """Start the embedded cloud unless it runs. ``port`` is the gateway's, ``timeout`` is in seconds.

    Two calls at once end with one daemon.

    :raises LocalCloudError: with the reason why it did not start.
    :raises SdkError: where the Modal SDK that is installed lacks what it needs.
    """
    check_sdk()
    running = status()
    if running is None:
        running = _launch(Home(root=home()), port, time.monotonic() + timeout)
    actual = urlsplit(running.gateway_url).port
    if port is not None and actual != port:
        raise LocalCloudError(
            f"the embedded cloud runs already, with its gateway on port {actual}",
            advice="stop it first to give it another port",
        )
    return running


def stop(*, timeout: float = 45.0) -> bool:
    """Stop it and its containers, after ``timeout`` seconds by force. False where it did not run.

    :raises LocalCloudError: where the daemon cannot be ended.
    """
    place = Home(root=home())
    if not _locked(place):
        return False
    deadline = time.monotonic() + timeout
    for number, until in ((signal.SIGTERM, deadline), (signal.SIGKILL, deadline + 5.0)):
        told: set[int] = set()
        while time.monotonic() < until:
            if not _locked(place):
                return True
            pid = _daemon_pid(place)
            if pid is not None and pid not in told:
                told.add(pid)
                _signal(pid, number)
                # A stopped process hears of nothing else before.
                _signal(pid, signal.SIGCONT)
            time.sleep(_POLL)
    raise LocalCloudError("the embedded cloud does not stop", advice=f"see {place.daemon_log}")


def reset() -> None:
    """Stop it and delete all that it has stored: apps, secrets, volumes, logs.

    :raises LocalCloudError:
    """
    stop()
    place = Home(root=home())
    try:
        for path in place.contents():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        if place.root.is_dir() and not any(place.root.iterdir()):
            place.root.rmdir()
    except OSError as fault:
        raise LocalCloudError(f"{place.root} could not be emptied: {fault}") from fault


def environ(cloud: Cloud) -> dict[str, str]:
    """Variables that make Modal's SDK and command line talk to ``cloud``, and ignore ``~/.modal.toml``."""
    variables = {
        "MODAL_SERVER_URL": cloud.server_url,
        "MODAL_TOKEN_ID": cloud.token_id,
        "MODAL_TOKEN_SECRET": cloud.token_secret,
        "MODAL_ENVIRONMENT": "main",
        "MODAL_CONFIG_PATH": str(Home(root=cloud.home).modal_config),
        "MODAL_DISABLE_API_PROXY": "1",
    }
    # Modal's client refuses a token beside OAuth credentials.
    return variables | {name: "" for name in os.environ if name.startswith("MODAL_OAUTH_")}


def read_secret(name: str, key: str, *, environment: str = "main") -> str:
    """A secret's value, straight from the store.

    :raises LocalCloudError: where there is none.
    """
    # Only here, to keep the import of this module cheap.
    import sqlite3

    from glmdeploy.local.state.store import Store

    place = Home(root=home())
    found = None
    if place.database.is_file():
        try:
            with contextlib.closing(Store(place.database, read_only=True)) as store:
                found = store.secrets.get(name=name, environment=environment)
        except sqlite3.Error as fault:
            raise LocalCloudError(f"{place.database} cannot be read: {fault}") from fault
    if found is None or key not in found.contents:
        raise LocalCloudError(
            f"the embedded cloud has no secret `{name}`" + (f" with the key `{key}`" if found else "")
        )
    return found.contents[key]


def read_proxy_token() -> tuple[str, str]:
    """The id and the secret of the workspace's proxy token, which web functions and Servers may ask for.

    :raises LocalCloudError: where there is none yet.
    """
    place = Home(root=home())
    try:
        held = json.loads(place.proxy_token.read_bytes())
        return str(held["token_id"]), str(held["token_secret"])
    except FileNotFoundError:
        raise LocalCloudError("the embedded cloud has never run here: it has no proxy token") from None
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise LocalCloudError(f"{place.proxy_token} cannot be read: {type(fault).__name__}") from None


def announce(cloud: Cloud) -> None:
    """Written by the daemon once it is ready. The token is not in it: that has a file of its own."""
    state: dict[str, Any] = {**asdict(cloud), "home": str(cloud.home), "engines": str(cloud.engines)}
    del state["token_id"], state["token_secret"]
    write_atomically(Home(root=cloud.home).state, json.dumps(state).encode())


def announce_end(place: Home) -> None:
    """Written by the daemon when it begins to stop: it must still be found, but not be used any more."""
    write_atomically(place.state, json.dumps({"pid": os.getpid(), "stopping": True}).encode())


def _launch(place: Home, port: int | None, deadline: float) -> Cloud:
    try:
        place.create()
        if place.daemon_log.exists() and place.daemon_log.stat().st_size > 1024 * 1024:
            place.daemon_log.replace(place.daemon_log.with_suffix(".log.old"))
        start_of_log = place.daemon_log.stat().st_size if place.daemon_log.exists() else 0
        process = _spawn(place, port)
    except OSError as fault:
        raise LocalCloudError(
            f"the embedded cloud cannot use {place.root}: {fault.strerror or fault}",
            advice="set GLMDEPLOY_HOME to a directory that can be written",
        ) from fault
    while time.monotonic() < deadline:
        code = process.poll()
        if code not in {None, ALREADY_RUNNING}:
            raise _not_started(place, start_of_log, f"it ended with exit code {code}")
        if running := status():
            return running
        if code == ALREADY_RUNNING and not _locked(place):
            # The other one has been stopped in the meantime.
            process = _spawn(place, port)
        time.sleep(_POLL)
    process.terminate()
    raise _not_started(place, start_of_log, "it was not ready in time")


def _spawn(place: Home, port: int | None) -> subprocess.Popen[bytes]:
    with open_private(place.daemon_log) as output:
        return subprocess.Popen(
            [sys.executable, "-m", "glmdeploy.local.daemon", *([str(port)] if port is not None else [])],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env={**os.environ, "GLMDEPLOY_HOME": str(place.root), "PYTHONPATH": _python_path()},
            start_new_session=True,
            umask=0o077,
        )


def _not_started(place: Home, start_of_log: int, reason: str) -> LocalCloudError:
    with place.daemon_log.open("rb") as file:
        file.seek(start_of_log)
        lines = file.read().decode(errors="replace").splitlines()
    return LocalCloudError(
        f"the embedded cloud did not start: {reason}",
        advice="\n".join([f"the end of {place.daemon_log}:", *lines[-_LOG_LINES:]]),
    )


def _python_path() -> str:
    """The daemon must find the package that started it, wherever that was imported from."""
    package = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))


def _daemon_pid(place: Home) -> int | None:
    """None while it starts."""
    try:
        return int(json.loads(place.state.read_bytes())["pid"])
    except (OSError, ValueError, KeyError):
        return None


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError as fault:
        raise LocalCloudError(f"the daemon, process {pid}, belongs to another user") from fault


def hold_lock(place: Home) -> bool:
    """Take the daemon's lock until this process ends. False where another daemon has it."""
    descriptor = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            # Who only looks shares the lock for a moment; who runs does not share it.
            if _locked(place):
                os.close(descriptor)
                return False


def _locked(place: Home) -> bool:
    try:
        with place.lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except BlockingIOError:
        return True
    except OSError as fault:
        raise LocalCloudError(f"{place.lock} cannot be read: {fault.strerror}") from fault
    return False


def _answers(running: Cloud) -> bool:
    """Whether its control plane says something; False where nothing listens, as while it starts or stops.

    The kernel accepts connections for a process that is stopped too: only an answer is a sign of life.

    :raises LocalCloudError: where none comes.
    """
    parts = urlsplit(running.server_url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=_ANSWERS_WITHIN) as connection:
            # The beginning of every HTTP/2 connection, with settings that are empty.
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
            return bool(connection.recv(1))
    except TimeoutError as fault:
        raise LocalCloudError(
            f"the embedded cloud runs (process {running.pid}) but has not answered for {_ANSWERS_WITHIN:g} s",
            advice=f"if it was stopped, `kill -CONT {running.pid}` wakes it up; `glmdeploy local stop` ends it",
        ) from fault
    except OSError:
        return False
