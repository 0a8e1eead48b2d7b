"""Watches a ready engine until it hangs; :mod:`glmdeploy.runtime.judge` has the rules.

A thread of its own asks ``/health``, for that can wait a minute for an answer; another one looks into the kernel
caches, which may lie on a slow volume. What they found last, the output and /proc are read about once a second.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from glmdeploy.runtime.judge import POLL_SECONDS, Hang, HangLimits, Judge, Reading, blind_rules
from glmdeploy.runtime.output import say
from glmdeploy.runtime.prober import Prober
from glmdeploy.runtime.vitals import ProcessTable, Vital, described, newest_file

DECODE_LINE = b"Decode batch"
"""What SGLang logs of a decoding scheduler, after time and rank (``metrics_reporter.py``, 0.5.10 to 0.5.23)."""

DECODE_LINE_WITHIN = 120
"""Bytes of a line in which that must come: what a request says, where requests are logged, comes later."""

LINE_PASSES = 40
"""Passes for each of those: SGLang's default ``--decode-log-interval``."""

CACHES_SECONDS = 5
"""Seconds between two looks into the kernel caches."""


class Watch:
    """Says when the engine at ``url`` hangs. It never raises, and ends nothing by itself."""

    def __init__(
        self,
        *,
        url: str,
        api_key: str | None,
        settings: Mapping[str, Any],
        caches: Sequence[Path],
        processes: Callable[[int], tuple[Vital, ...] | None] | None = None,
    ) -> None:
        """``settings`` is the plan's ``server.health``; ``caches`` are the folders that kernels are compiled into.

        Between two probes lies a twelfth of the limit at most, or a small limit could not be kept by any engine.
        ``processes`` reads the engine's processes; by default from /proc.
        """
        limit = float(settings["limit"])
        interval = min(float(settings["interval"]), limit / 12)
        self._limits = HangLimits(
            limit=limit,
            compiling=float(settings["compiling"]),
            decoding=settings["decoding"] != "off",
            ranks=int(settings["ranks"]),
            counted=interval + 2 * POLL_SECONDS if settings["decoding"] == "loads" else 0.0,
        )
        self._lines: int | None = 0 if settings["decoding"] == "lines" else None
        self._loads = settings["decoding"] == "loads" or self._limits.ranks > 0
        self._prober = Prober(
            url,
            api_key,
            interval=interval,
            timeout=float(settings["timeout"]),
            loads=self._loads,
        )
        self._judge = Judge(self._limits)
        self._caches = caches
        self._changed: float | None = None
        self._looking: threading.Thread | None = None
        self._looked = 0.0
        self._loads_read = 0
        self._began = 0.0
        self._read_processes = processes or ProcessTable().read
        self._past: collections.deque[tuple[float, tuple[Vital, ...]]] = collections.deque()
        self._said: set[str] = set()
        self.longest = 0.0
        """Seconds of the longest silence so far."""

    def see(self, line: bytes) -> None:
        """Take notice of a line of the engine's output. One thread calls this for all lines."""
        if self._lines is not None and line.find(DECODE_LINE, 0, DECODE_LINE_WITHIN) >= 0:
            self._lines += 1

    def run(self, pid: int, stopping: threading.Event) -> str | None:
        """Watch the ready engine whose first process is ``pid``; return None when ``stopping`` is set.

        When it hangs, return what to tell: a line with the rule, and a line for each process.
        """
        ended = threading.Event()
        prober = threading.Thread(target=self._prober.run, args=(ended,), name="prober", daemon=True)
        try:
            prober.start()
        except RuntimeError as error:  # no thread can be started
            self._say("prober", f"/health cannot be asked: {error}")
        try:
            while not stopping.wait(self._limits.between):
                try:
                    told = self._look(pid, time.monotonic(), probing=prober.is_alive())
                except Exception as error:
                    self._say("watch", f"the watch failed, and goes on: {error!r}")
                    continue
                if told and not stopping.is_set():
                    return told
        finally:
            ended.set()
        return None

    def _look(self, pid: int, now: float, *, probing: bool) -> str | None:
        reading = self._reading(pid, now, probing=probing)
        self._began = self._began or now
        waited = now - self._began >= self._limits.limit  # for an answer of /v1/loads
        loads = self._prober.signs.loads if self._loads and waited else None
        for rule, reason in blind_rules(reading, self._limits, loads).items():
            self._say(rule, f"rule {rule} of the watch for hangs is off: {reason}")
        hang = self._judge.judge(reading)
        self.longest = max(self.longest, self._judge.quiet)
        processes = reading.processes or ()
        self._past.append((now, processes))
        while self._past[0][0] < now - self._limits.window:
            self._past.popleft()
        return self._told(hang, now, processes) if hang else None

    def _reading(self, pid: int, now: float, *, probing: bool) -> Reading:
        """Processes before lines: the waking that follows a line shows in this reading, or as well in the next."""
        processes = self._read_processes(pid)
        signs = self._prober.signs
        fresh = signs.loads != self._loads_read
        self._loads_read = signs.loads
        return Reading(
            at=now,
            answered=signs.answered,
            asked=signs.asked and probing,
            compiling=any(one.compiles for one in processes or ()) or self._cached(now),
            decoded=signs.decoded if self._lines is None else float(self._lines * LINE_PASSES),
            processes=processes,
            ranks=signs.ranks if fresh else None,
        )

    def _cached(self, now: float) -> bool:
        """Whether kernels have been written lately. Looked for only when nothing was heard for a third of the limit."""
        if not self._caches or self._judge.quiet < self._limits.limit / 3:
            return False
        busy = self._looking is not None and self._looking.is_alive()
        if not busy and now - self._looked >= CACHES_SECONDS * self._limits.between:
            self._looked = now
            self._looking = threading.Thread(target=self._look_into_caches, name="caches", daemon=True)
            try:
                self._looking.start()
            except RuntimeError as error:  # no thread can be started
                self._say("caches", f"the kernel caches are not looked into: {error}")
        return self._changed is not None and time.time() - self._changed < self._limits.stopped

    def _look_into_caches(self) -> None:
        try:
            self._changed = newest_file(self._caches, time.time() - self._limits.stopped / 3)
        except Exception as error:
            self._say("caches", f"the kernel caches cannot be looked into: {error!r}")

    def _told(self, hang: Hang, now: float, processes: tuple[Vital, ...]) -> str:
        began, earlier = self._past[0]
        lines = described(processes, earlier, now - began)
        return "\n".join([hang.says, *(lines or ["  its processes cannot be seen"])])

    def _say(self, about: str, text: str) -> None:
        if about not in self._said:
            self._said.add(about)
            say(text)
