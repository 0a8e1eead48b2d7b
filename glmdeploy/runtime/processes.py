"""Child processes of a container: output passed on without secrets, and a whole tree ended when it must be."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

TAIL_LINES = 30


class Process:
    """A child whose output is passed on line by line, with ``secrets`` replaced by ``***``."""

    def __init__(self, command: list[str], env: dict[str, str], secrets: list[str]) -> None:
        self._secrets = [secret for secret in secrets if secret]
        self._tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self._child = subprocess.Popen(
            command,
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._pump = threading.Thread(target=self._pass_on, daemon=True)
        self._pump.start()

    def _pass_on(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            for secret in self._secrets:
                line = line.replace(secret, "***")  # noqa: PLW2901
            self._tail.append(line)
            sys.stdout.write(line)
            sys.stdout.flush()

    def ended(self) -> int | None:
        """Exit code, or None while it runs."""
        return self._child.poll()

    def wait(self, seconds: float | None = None) -> int | None:
        """Exit code, or None when it still runs after ``seconds``."""
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def workers(self) -> list[int]:
        """Ids of the live processes that it started, without Python's own resource trackers."""
        return descendants(self._child.pid)

    def tail(self) -> str:
        """The last lines of output."""
        self._pump.join(timeout=1)
        return "".join(self._tail)

    def stop(self, grace: float) -> None:
        """SIGTERM; SIGKILL for it and all that it started when it still runs after ``grace`` seconds."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            if self.wait(grace) is None:
                self.kill()

    def kill(self) -> None:
        """End it and all that it started, at once."""
        for pid in [*self.workers(), self._child.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._child.wait()


def descendants(root: int) -> list[int]:
    """Live processes below ``root``, from /proc; empty where there is none (macOS)."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            tracker = b"resource_tracker" in (folder / "cmdline").read_bytes()
        except OSError:  # it ended in the meantime
            continue
        if state != "Z" and not tracker:
            parents.setdefault(int(parent), []).append(int(folder.name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found
