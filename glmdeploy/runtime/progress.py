"""What happens beside a download: lines about how far it is, signs of life, commits of the volume."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from glmdeploy.runtime.output import say

PROGRESS_SECONDS = 15.0
"""Seconds between two lines about the progress, and between two signs of life."""

COMMIT_SECONDS = 180.0
"""Seconds between two commits of the volume: what is lost at most when the container is killed."""


class DownloadReport:
    """Says how far it is. ``at``: bytes of each file that are there."""

    def __init__(self, at: dict[str, int], total: int) -> None:
        self._at = at
        self._total = total
        self._started = time.monotonic()

    def say(self) -> None:
        have = sum(self._at.copy().values())
        rate = have / (time.monotonic() - self._started) / 2**20
        say(f"{have / 2**30:.1f} of {self._total / 2**30:.1f} GiB, {rate:.0f} MiB/s on average")


@contextmanager
def repeatedly(seconds: float, *actions: Callable[[], object]) -> Iterator[None]:
    """Do something again and again during the block. What fails is said once and does not end it."""
    done = threading.Event()

    def run() -> None:
        said: set[str] = set()
        while not done.wait(seconds):
            for action in actions:
                try:
                    action()
                except Exception as fault:
                    if (text := f"{type(fault).__name__}: {fault}") not in said:
                        said.add(text)
                        say(f"meanwhile: {text}")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def commits(commit_volume: Callable[[], object], seconds: float) -> Iterator[None]:
    """Commit the volume now and then during the block, and at its end where it fails: hours of work are to survive.

    A commit in between may fail, as Modal's does where it looks for news while files are open.
    """
    try:
        with repeatedly(seconds, commit_volume):
            yield
    except BaseException:
        with suppress(Exception):
            commit_volume()
        raise
