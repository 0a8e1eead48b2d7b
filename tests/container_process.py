"""A container's first process, for tests: runs a piece of Python with the runtime at hand, in a session of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from support import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Container:
    """Output is in ``log``; ``folder`` is its own, and in its environment as ``HERE``."""

    process: subprocess.Popen[bytes]
    folder: Path
    log: Path

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def output(self) -> str:
        return self.log.read_bytes().decode(errors="replace")

    def said(self, text: str) -> None:
        """Wait until the output has the text."""
        wait_until(lambda: text in self.output() or self.process.poll() is not None)
        assert text in self.output(), self.output()[-3000:]

    def members(self) -> dict[int, str]:
        """The live processes of its session, and those with its variable, by their commands."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.is_member(folder):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def is_member(self, folder: Path) -> bool:
        """Of a folder of /proc. A process that gives itself a title may lose its variables by that."""
        state, _, _, session = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:4]
        if state in "ZX":
            return False
        mine = f"HERE={self.folder}".encode()
        return int(session) == self.process.pid or mine in (folder / "environ").read_bytes().split(b"\0")


@contextlib.contextmanager
def container(folder: Path, code: str, **variables: str) -> Iterator[Container]:
    """Runs ``code`` during the block; what is left of it afterwards is ended."""
    log = folder / "log"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GLMDEPLOY_", "MODAL_"))}
    environment = {**clean, "PYTHONPATH": str(ROOT), "HERE": str(folder), **variables}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    started = Container(process, folder, log)
    try:
        yield started
    finally:
        process.kill()
        process.wait()
        for pid in started.members():
            os.kill(pid, signal.SIGKILL)
        while started.members():
            time.sleep(0.02)


class Looker:
    """Looks at every process of a container but its first, as often as it can, during its block."""

    def __init__(self, one: Container) -> None:
        self.arguments: set[str] = set()
        self.environments: set[str] = set()
        self.looks = 0
        self._one = one
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Looker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        first = Path("/proc") / str(self._one.process.pid)
        own = (first / "cmdline").read_bytes().rstrip(b"\0")
        while not self._done.is_set():
            self.looks += 1
            for folder in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    arguments = (folder / "cmdline").read_bytes()
                    # A child that has not become its program yet still is a picture of the first process, and one
                    # that is just becoming it shows nothing, or something of both.
                    if not arguments or arguments.startswith(own) or not self._one.is_member(folder):
                        continue
                    environment = (folder / "environ").read_text("latin-1")
                    if (folder / "cmdline").read_bytes() == arguments:
                        self.arguments.add(arguments.decode("latin-1"))
                        self.environments.add(environment)
