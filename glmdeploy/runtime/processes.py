"""A child process of a container and all that it starts: one group, ended as a whole, with nothing left.

The group is in the container's own session. Orphans stay below this process, their subreaper (Linux, prctl(2)), so that
what has left the group is found too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glmdeploy.runtime.exits import explained, memory_kills
from glmdeploy.runtime.masking import Mask
from glmdeploy.runtime.output import Pump

END_SECONDS = 30
"""How long SIGKILL may take: a process that waits for a GPU ends when the driver lets it go."""

DRAIN_SECONDS = 10
"""How long the last lines may take to be passed on."""

PROC = Path("/proc")
"""What tells of processes; it is not there on macOS."""

PR_SET_CHILD_SUBREAPER = 36
"""Of ``linux/prctl.h``."""

OWN_GROUP: dict[str, Any] = {"process_group": 0} if sys.version_info >= (3, 11) else {"preexec_fn": os.setpgrp}
"""What makes a child the first of a group: an image of SGLang may have Python 3.10, which it runs on."""


class Process:
    """A child whose output is passed on with secrets hidden, and which takes all that it started with it.

    A container has one at a time: what loses its parent meanwhile is taken to be this one's.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        mask: Mask,
        *,
        see: Callable[[bytes], None] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start it with this environment and no other variable. ``see``: as for ``output.Pump``.

        :raises OSError: when it cannot be started.
        """
        _adopt_orphans()
        self._before = {each.pid for each in _below(os.getpid())}
        self._memory_kills = memory_kills()
        source, sink = os.pipe()
        try:
            self._child = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                pass_fds=pass_fds,
                **OWN_GROUP,
            )
        except BaseException:
            os.close(source)
            raise
        finally:
            os.close(sink)
        self.pid = self._child.pid
        self._pump = Pump(source, mask, see)

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
        return [each.pid for each in self._members() if each.pid != self.pid and not each.is_tracker]

    def stop(self, grace: float) -> int | None:
        """SIGTERM for the first process alone; SIGKILL for all that is left when it ended, or after ``grace`` seconds.

        SGLang drains on the first; its schedulers would end at once, and streams with them. Returns the exit code, None
        where even SIGKILL has not ended it.
        """
        try:
            if self._child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    self._child.send_signal(signal.SIGTERM)
                self.wait(grace)
        finally:
            self.kill()
        return self._child.poll()

    def kill(self) -> None:
        """End it and all that it started, at once; return when they have ended and their output is passed on."""
        deadline = time.monotonic() + END_SECONDS
        while True:
            self._send_kill()
            self.wait(0.05)
            left = self._members()
            if (not left and self._child.poll() is not None) or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        self._pump.drain(DRAIN_SECONDS)

    def explained(self) -> str:
        """Its exit code and what that means; it must have ended."""
        code = self.wait(0)
        if code is None:
            return "does not end"
        return explained(code, self.tail(), memory_kills() - self._memory_kills)

    def tail(self) -> str:
        """The last lines of output, with secrets hidden."""
        return self._pump.tail()

    def _send_kill(self) -> None:
        members = self._members()
        # A group's number may be another one's when nobody is left in it; where nobody can be seen it is not known.
        unseen = not (PROC / "self").exists()
        if unseen or self._child.poll() is None or any(each.group == self.pid for each in members):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        for each in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(each.pid, signal.SIGKILL)

    def _members(self) -> list[Member]:
        """The live processes of its group, those below it, and those that lost their parents since it began.

        Those that ended are awaited where they became children of this process.
        """
        own = os.getpid()
        all_below = _below(own)
        children: dict[int, set[int]] = {}
        for each in all_below:
            children.setdefault(each.parent, set()).add(each.pid)
        mine = {each.pid for each in all_below if each.group == self.pid}
        orphans = {each.pid for each in all_below if each.parent == own and each.group != os.getpgrp()}
        waiting = [*mine, *(orphans - self._before)]
        if self._child.returncode is None:
            waiting.append(self.pid)
        while waiting:
            pid = waiting.pop()
            mine.add(pid)
            waiting += children.get(pid, set()) - mine
        for each in all_below:
            if each.pid in mine and each.is_dead and each.parent == own and each.pid != self.pid:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(each.pid, os.WNOHANG)
        return [each for each in all_below if each.pid in mine and not each.is_dead]


@dataclass(frozen=True, kw_only=True)
class Member:
    """A process as /proc shows it."""

    pid: int
    parent: int
    group: int
    is_dead: bool
    """It ended, and its parent has not awaited it."""
    is_tracker: bool
    """One of Python's resource trackers, which end by themselves."""


def _adopt_orphans() -> None:
    """Become the parent of every process below whose own parent ends; where the system has no such thing, nothing."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _below(root: int) -> list[Member]:
    """The processes below ``root``, from /proc; none where there is none (macOS)."""
    children: dict[int, list[Member]] = {}
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):  # it ended in the meantime
            state, parent, group = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
            found = Member(
                pid=int(folder.name),
                parent=int(parent),
                group=int(group),
                is_dead=state in "ZX",
                is_tracker=b"resource_tracker" in (folder / "cmdline").read_bytes(),
            )
            children.setdefault(found.parent, []).append(found)
    found_below: list[Member] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found_below += below
        waiting += [each.pid for each in below]
    return found_below
