"""Containers as forks of one process that has imported Modal's SDK once: half a second of a core less for each.

The process is ``zygote``, started with the first container. Whatever a container has that the zygote was not started
with, and that counts before or while those modules are imported, gets it a fresh process instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

STARTUP = {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
"""The variables that decide how Python itself starts, as every container has them unless its image says otherwise."""

_PROGRAM = Path(__file__).with_name("zygote.py")
_ROOM = 64 * 1024
"""Bytes that a container's variables may take; the system allows 128 KiB for one string."""
_PATIENCE = 60.0
"""Seconds to wait for the zygote's imports."""
_DEATHS = 3
"""How often a zygote may die before no other is started."""
_PACKET = 64 * 1024
_LOOK_AGAIN = 0.1
"""Seconds between two looks at a process that nobody can wait for."""
_LOST = 255
"""The exit code of such a one."""

_BEFORE_PYTHON = ("PYTHON", "LD_", "LC_", "LANG", "GLIBC_", "MALLOC_", "OPENSSL_", "SSL_")
"""What the names of variables begin with that the loader, the C library, OpenSSL or Python read by themselves."""
_AGAIN = frozenset({"PYTHONPATH", "HOME", "PATH", "TZ"})
"""Variables that the zygote's children heed, whatever the zygote has."""


class UnfitError(Exception):
    """Why a container gets a fresh process."""


class Forked:
    """A container's first process, with what is used here of :class:`asyncio.subprocess.Process`.

    Its number is given to no other process before :meth:`release`.
    """

    def __init__(self, pid: int, status: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status

    async def wait(self) -> int:
        said = await _receive(self._status)
        if not said:
            log.warning("the zygote died before process %d, whose exit code nobody knows", self.pid)
            while _exists(self.pid):  # noqa: ASYNC110 (nothing else tells)
                await asyncio.sleep(_LOOK_AGAIN)
        self.returncode = int(said.split()[1]) if said else _LOST
        return self.returncode

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def release(self) -> None:
        self._status.close()


class Zygote:
    """The process, which ends with its control socket. ``told`` is what it has said of itself (``zygote.hello``)."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, told: Mapping[str, Any]) -> None:
        self._process = process
        self._control = control
        self._told = told

    @classmethod
    async def start(cls, containers: Path) -> Zygote:
        """Start it and wait for its imports.

        :raises OSError: TimeoutError too.
        :raises UnfitError:
        """
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control.setblocking(False)
        with theirs:
            process = subprocess.Popen(  # noqa: ASYNC220 (it does not wait)
                [sys.executable, "-P", str(_PROGRAM), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
                # The mark by which kill_leftovers finds it, and the room for what its children show in /proc.
                env={
                    **STARTUP,
                    "MODAL_IS_REMOTE": "1",
                    "GLMDEPLOY_LOCAL_ROOT": f"{containers}/",
                    "GLMDEPLOY_LOCAL_ROOM": "-" * _ROOM,
                },
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        try:
            hello = await asyncio.wait_for(_receive(control), _PATIENCE)
            if not hello:
                raise UnfitError("it has died while it started")
        except BaseException:
            control.close()
            process.kill()
            raise
        return cls(process, control, json.loads(hello))

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._control.close()

    def check(self, environment: Mapping[str, str]) -> None:
        """:raises UnfitError:"""
        check(self._told, environment)

    async def fork(
        self, environment: Mapping[str, str], folder: Path, *, stdout: int, stderr: int, lifeline: int
    ) -> Forked:
        """:raises OSError:
        :raises UnfitError: where the zygote has died.
        """
        status, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        status.setblocking(False)
        try:
            with theirs, os.fdopen(os.memfd_create("parameters"), "w+b") as parameters:
                parameters.write(json.dumps({"environment": dict(environment), "folder": str(folder)}).encode())
                parameters.seek(0)
                handed = [parameters.fileno(), stdout, stderr, lifeline, theirs.fileno()]
                try:
                    socket.send_fds(self._control, [b"1"], handed)
                except OSError as fault:
                    raise UnfitError(f"the zygote does not take it: {fault}") from None
            said = await _receive(status)
            if not said:
                raise UnfitError("the zygote has died")
            word, number = said.decode().split()
            if word == "failed":
                raise OSError(int(number), os.strerror(int(number)))
            if word == "ended":
                raise OSError(f"it ended while it was started, with {int(number)}")
            return Forked(int(number), status)
        except BaseException:
            status.close()
            raise


class Forks:
    """Has a zygote once a container is started; ``containers`` is the folder of their roots."""

    def __init__(self, containers: Path) -> None:
        self._containers = containers
        self._one_at_a_time = asyncio.Lock()
        self._zygote: Zygote | None = None
        self._deaths = 0
        self._never = "" if sys.platform == "linux" else "the system does not show whose a fork is"

    async def start(
        self, environment: Mapping[str, str], folder: Path, *, stdout: int, stderr: int, lifeline: int
    ) -> Forked | None:
        """A container's first process; None, with the reason in the log, where it has to be a fresh one.

        :raises OSError:
        """
        try:
            zygote = await self._living()
            zygote.check(environment)
            return await zygote.fork(environment, folder, stdout=stdout, stderr=stderr, lifeline=lifeline)
        except UnfitError as fault:
            log.info("container %s gets a fresh process: %s", folder.parent.name, fault)
            return None

    async def _living(self) -> Zygote:
        async with self._one_at_a_time:
            if self._zygote is not None and not self._zygote.alive:
                self._zygote.close()
                self._zygote = None
                self._deaths += 1
                if self._deaths == _DEATHS:
                    self._never = f"the zygote has died {_DEATHS} times"
            if self._never:
                raise UnfitError(self._never)
            if self._zygote is None:
                try:
                    self._zygote = await Zygote.start(self._containers)
                except (OSError, UnfitError) as fault:
                    self._never = f"there is no zygote: {fault}"
                    raise UnfitError(self._never) from None
            return self._zygote


def check(told: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Whether a fork of the zygote that has ``told`` this is, with these variables, as a fresh process would be.

    :raises UnfitError:
    """
    if told["refusal"]:
        raise UnfitError(told["refusal"])
    if sum(len(os.fsencode(name + value)) + 2 for name, value in environment.items()) > told["room"]:
        raise UnfitError("its variables are too long")
    if any("\0" in name + value or not name or "=" in name for name, value in environment.items()):
        raise UnfitError("no variables can be like its own")
    began = {name: value for name, value in environment.items() if name.startswith(_BEFORE_PYTHON)}
    began |= {name: environment[name] for name in set(told["variables"]) & set(environment)}
    there = {**STARTUP, "MODAL_IS_REMOTE": "1"}
    if names := sorted(name for name, value in began.items() if name not in _AGAIN and there.get(name) != value):
        raise UnfitError(f"it has other values of {', '.join(names)}")
    if names := sorted(set(there) - set(environment)):
        raise UnfitError(f"it has no {', '.join(names)}")
    taken = {*told["modules"], "sitecustomize", "usercustomize"}
    for folder in filter(None, environment["PYTHONPATH"].split(os.pathsep)):
        with contextlib.suppress(OSError):
            if names := sorted({name.partition(".")[0] for name in os.listdir(folder)} & taken):  # noqa: PTH208
                raise UnfitError(f"it has a {', '.join(names)} of its own in {folder}")


async def _receive(connection: socket.socket) -> bytes:
    """The next packet; nothing once the other end is closed."""
    try:
        return await asyncio.get_running_loop().sock_recv(connection, _PACKET)
    except ConnectionError:
        return b""


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
