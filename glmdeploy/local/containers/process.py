"""One container's process: started in a session of its own, its output kept, ended orderly or by force."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from glmdeploy.local.containers.bootstrap import kill_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.local.containers.forks import Forked
    from glmdeploy.local.containers.launch import Launch

BOOTSTRAP = Path(__file__).with_name("bootstrap.py")

KILL_AFTER = 5.0
"""Seconds between SIGTERM and SIGKILL."""

_CHUNK = 64 * 1024
_LAST_OUTPUT = 2.0


def kill_leftovers(containers: Path) -> None:
    """Kill what containers have left whose daemon and watcher were both killed: nobody else would.

    ``containers`` is the folder of their roots, which their processes have in their environment.
    """
    mine = f"\0GLMDEPLOY_LOCAL_ROOT={containers}/".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mine in b"\0" + (folder / "environ").read_bytes():
                os.kill(int(folder.name), signal.SIGKILL)


class ContainerProcess:
    """Its directories must be prepared; they are removed when it has ended.

    ``output`` gets the lines that came at once, redacted, and whether they came from standard error.
    """

    def __init__(self, launch: Launch, output: Callable[[list[str], bool], None]) -> None:
        self._launch = launch
        self._output = output
        self._process: asyncio.subprocess.Process | Forked | None = None
        self._ending: asyncio.Task[None] | None = None
        self._doomed = False

    async def run(self) -> int:
        """Start it and wait for its end; the exit code, negative for a signal.

        :raises OSError:
        """
        lifeline, held = os.pipe()
        printed, stdout = os.pipe()
        complained, stderr = os.pipe()
        # Pipes of our own: asyncio's would have wait() wait for whoever else still holds them.
        pumps = asyncio.gather(self._pump(printed, error=False), self._pump(complained, error=True))
        try:
            try:
                self._process = await self._start(lifeline, stdout, stderr)
            finally:
                for descriptor in (lifeline, stdout, stderr):
                    os.close(descriptor)
            if self._doomed:
                self.terminate()
            try:
                return await self._process.wait()
            finally:
                # Whatever it has left running ends with it. The session still exists: the watcher of the
                # lifeline is in it, so that its number cannot have been given to another one yet.
                self._kill()
                if not isinstance(self._process, asyncio.subprocess.Process):
                    self._process.release()
                self._process = None
        finally:
            os.close(held)
            if self._ending is not None:
                self._ending.cancel()
            with contextlib.suppress(TimeoutError):
                # A process that has left the group may hold the pipes open for longer.
                await asyncio.wait_for(pumps, _LAST_OUTPUT)
            for directory in (self._launch.root, self._launch.scratch):
                await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def _start(self, lifeline: int, stdout: int, stderr: int) -> asyncio.subprocess.Process | Forked:
        environment, folder = self._launch.environment, self._launch.root / "root"
        forked = await self._launch.forks.start(environment, folder, stdout=stdout, stderr=stderr, lifeline=lifeline)
        if forked is not None:
            return forked
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            str(BOOTSTRAP),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd=folder,
            env={**environment, "GLMDEPLOY_LOCAL_LIFELINE": str(lifeline)},
            pass_fds=(lifeline,),
            start_new_session=True,
        )

    def interrupt(self) -> None:
        """What Modal sends a container that shall stop: its exit hooks run."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)

    def give_up(self) -> None:
        """It is not started after all."""
        if self._ending is not None:
            self._ending.cancel()

    def end(self, *, after: float) -> None:
        """Terminate its first process ``after`` so many seconds, unless it has ended by itself, then kill them all.

        SIGTERM is for the first process alone: an engine is ended by the container's exit hooks, and its schedulers
        would drop the requests that it still finishes.
        """
        if self._ending is None or after == 0:
            if self._ending is not None:
                self._ending.cancel()
            self._ending = asyncio.ensure_future(self._end(after))

    async def _end(self, after: float) -> None:
        await asyncio.sleep(after)
        # It may not have been started yet.
        self._doomed = True
        self.terminate()
        await asyncio.sleep(KILL_AFTER)
        self._kill()

    def terminate(self) -> None:
        """Ask its first process to end; a Server runs its exit hooks then."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)

    def _kill(self) -> None:
        if self._process is not None:
            kill_session(self._process.pid)

    async def _pump(self, descriptor: int, *, error: bool) -> None:
        stream = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(stream)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: protocol, os.fdopen(descriptor, "rb", buffering=0)
        )
        lines = Lines(self._launch.redact, self._launch.redact.longest)
        try:
            while chunk := await stream.read(_CHUNK):
                if complete := lines.feed(chunk):
                    self._output(complete, error)
        finally:
            transport.close()
            if rest := lines.end():
                self._output(rest, error)


class Lines:
    """Output in lines, with secrets masked; a line that is very long comes in pieces, across which no secret stands.

    ``longest`` is the length of the longest secret; no more than that and ``limit`` characters are kept.
    """

    def __init__(self, redact: Callable[[str], str], longest: int, limit: int = _CHUNK) -> None:
        self._redact = redact
        self._longest = longest
        self._limit = limit
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that ``chunk`` completes."""
        *lines, self._rest = (self._rest + self._decoder.decode(chunk)).split("\n")
        if len(self._rest) > self._limit + self._longest:
            # Whole secrets are masked by this; the beginning of one can only stand at the end.
            self._rest = self._redact(self._rest)
            cut = len(self._rest) - self._longest
            if cut > 0:
                lines.append(self._rest[:cut])
                self._rest = self._rest[cut:]
        return [self._redact(line) for line in lines]

    def end(self) -> list[str]:
        """What is left once nothing more comes."""
        rest = self._rest + self._decoder.decode(b"", final=True)
        self._rest = ""
        return [self._redact(rest)] if rest else []
