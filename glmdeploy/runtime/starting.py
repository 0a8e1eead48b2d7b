"""Tells the stages of an engine's start by what it logs: imports, weights, graphs, ready.

The lines are SGLang's of 0.5.10 to 0.5.23 (``model_executor/model_runner.py``, ``mem_cache/memory_pool.py``,
``entrypoints/http_server.py``; the bars ``model_loader/weight_utils.py``). Of several ranks the first one counts. A
line that is not known changes nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from glmdeploy.runtime.verdict import say_stage

NEXT_STAGE: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("weights", re.compile(rb"Load weight begin")),
    ("graphs", re.compile(rb"KV Cache is allocated|Memory pool end|Capture .{0,60}graph begin", re.IGNORECASE)),
    ("ready", re.compile(rb"The server is fired up and ready to roll")),
)
"""What SGLang logs when a stage begins; ``ready`` is the end."""

STAGE_WORDS = {"imports": "imports", "weights": "loading weights", "graphs": "memory and graphs"}

BAR = re.compile(
    rb"(?:loading shards|checkpoint shards): +(?P<percent>\d+)% Completed \|[^|\]]*\[[\d:]+<(?P<left>[\d:]+)"
)
"""The progress of loading, with the time that is left, after which comes a rate."""

LINE_BYTES = 400
"""Of a line, in which a sign must come: what a request says, where requests are logged, comes later."""

STEP_PERCENT, STEP_SECONDS = 10, 5.0
"""How far apart two lines on the progress are at least."""


class StartLog:
    """Gets all lines of an engine's output until it is ready. One thread calls it."""

    def __init__(
        self,
        weight_bytes: int,
        *,
        tell: Callable[[str], None] = say_stage,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``weight_bytes`` of all weights, 0 where that is not known."""
        self._bytes = weight_bytes
        self._tell = tell
        self._clock = clock
        self._began = self._changed = clock()
        self._stage = "imports"
        self._left = list(NEXT_STAGE)
        self._percent = 0
        self._told_at = 0.0

    def see(self, line: bytes) -> None:
        """Take notice of a line."""
        head = line[:LINE_BYTES]
        for number, (name, sign) in enumerate(self._left):
            if sign.search(head):
                del self._left[: number + 1]
                self._enter(name)
                return
        if self._stage == "weights" and (bars := list(BAR.finditer(line))):
            self._progress(int(bars[-1]["percent"]), _seconds_of(bars[-1]["left"]))

    def _enter(self, name: str) -> None:
        now = self._clock()
        took = now - self._changed
        done = f"{STAGE_WORDS[self._stage]} took {took:.0f} s"
        if self._stage == "weights" and self._bytes:
            done += f", {_gigabytes(self._bytes)} at {_gigabytes(self._bytes / max(took, 0.001))}/s"
        if name == "ready":
            self._tell(f"{done}; SGLang is ready after {now - self._began:.0f} s")
        else:
            size = f", {_gigabytes(self._bytes)}" if name == "weights" and self._bytes else ""
            self._tell(f"{done}; now {STAGE_WORDS[name]}{size}")
        self._stage, self._changed = name, now

    def _progress(self, percent: int, left: float) -> None:
        now = self._clock()
        if percent < 100 and percent >= self._percent + STEP_PERCENT and now >= self._told_at + STEP_SECONDS:
            self._percent, self._told_at = percent, now
            words = f"about {left / 60:.0f} min left" if left >= 90 else f"about {left:.0f} s left"
            self._tell(f"{STAGE_WORDS['weights']} {percent} %, {words}")


def _seconds_of(text: bytes) -> float:
    """Seconds of ``MM:SS`` or ``H:MM:SS``."""
    total = 0
    for part in text.split(b":"):
        total = total * 60 + int(part or b"0")
    return float(total)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.0f} GB" if size >= 1e10 else f"{size / 1e9:.2g} GB" if size >= 1e8 else f"{size / 1e6:.2g} MB"
