"""One file into the volume: its bytes are hashed as they pass, kept in a part, and asked for again where they end.

huggingface_hub 2.4 starts a file anew in every process, waits for ever where Xet does (xet-core #883, #898), compares
sizes alone. So the bytes come from the hub's sources one after another, and all else is done here.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glmdeploy.runtime.markers import sync_file
from glmdeploy.runtime.output import say
from glmdeploy.runtime.weights import Digest, pieces_of

KEPT = "What was fetched is kept in the volume: run it again to go on from there."

WRONG = "The hub, or what stands between, sends wrong bytes: choose another `model.revision`, or run it again later."

WRONG_TRIES = 3
"""Times that the bytes of a file may have another hash until it is given up."""

GOOD_PROGRESS = 16 * 2**20
"""Bytes after which a transfer that broke off counts as the first failure again."""

SLOWEST_BYTES, SLOWEST_STALLS = 2**20, 5
"""Bytes that are to come in so many times the seconds of a stall: whoever sends a byte now and then hangs too."""

SYNC_BYTES = 256 * 2**20
"""Bytes of a part after which they are written through to the volume."""

LONGEST_PAUSE = 60.0
"""Seconds between two tries at most, where the hub asks for no longer pause."""

LONGEST_WAIT = 300.0
"""Seconds that are waited at most because the hub asks for it (Retry-After)."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DownloadFailed(RuntimeError):
    """The weights cannot be fetched. The text says why and what to do, in lines, and never holds the token."""


class StoppedTransfer(Exception):
    """Another file has failed, or the process is to end."""


class Broken(Exception):
    """The bytes ended early, for a reason that may pass. ``wait``: seconds that the hub asks to wait, or None."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Patience:
    """``stall``: seconds without a byte after which a transfer is taken to hang. ``tries``: failures in a row until a
    file is given up. ``pause``: seconds before the second try; they double with each.
    """

    stall: float = 60.0
    tries: int = 10
    pause: float = 1.0


def patience_of(environ: Mapping[str, str]) -> Patience:
    """The patience of this container: ``GLMDEPLOY_STALL_SECONDS``, ``_TRIES`` and ``_PAUSE_SECONDS``, for rehearsals.

    :raises DownloadFailed: where one is no number above zero.
    """
    usual = Patience()
    return Patience(
        stall=_above_zero(environ, "GLMDEPLOY_STALL_SECONDS", usual.stall),
        tries=int(_above_zero(environ, "GLMDEPLOY_TRIES", usual.tries)),
        pause=_above_zero(environ, "GLMDEPLOY_PAUSE_SECONDS", usual.pause),
    )


def _above_zero(environ: Mapping[str, str], name: str, usual: float) -> float:
    text = environ.get(name) or str(usual)
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise DownloadFailed(f"`download.env.{name}` is {text!r}, which is no number above zero")
    return number


class Retries:
    """Counts failures of one thing that is asked for, and waits between them."""

    def __init__(self, what: str, limits: Patience, stopping: threading.Event) -> None:
        self._what = what
        self._limits = limits
        self._stopping = stopping
        self._failures = 0

    def progress(self) -> None:
        """Enough came: the next failure is the first again."""
        self._failures = 0

    def failed(self, fault: Broken) -> None:
        """Wait until the next try.

        :raises DownloadFailed: where it was the last one.
        :raises StoppedTransfer: where nobody waits for it any more.
        """
        self._failures += 1
        if self._failures >= self._limits.tries:
            raise DownloadFailed(f"{self._what}: {fault}, {self._failures} times in a row.\n{KEPT}") from None
        seconds = min(self._limits.pause * 2 ** (self._failures - 1), LONGEST_PAUSE)
        seconds = max(seconds, min(fault.wait or 0, LONGEST_WAIT))
        say(f"{self._what}: {fault}; trying again in {seconds:.3g} s")
        if self._stopping.wait(seconds):
            raise StoppedTransfer


class Part:
    """What there is of a file, from its beginning: ``size`` bytes at ``path``, hashed."""

    def __init__(self, path: Path, entry: dict[str, Any], seen: Callable[[int], object]) -> None:
        """Read what is there.

        :raises OSError:
        """
        self.size = 0
        self._path = path
        self._entry = entry
        self._seen = seen
        self._unsynced = 0
        self._digest = Digest(entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        for piece in pieces_of(path):
            self._digest.update(piece)
            self.size += len(piece)
            seen(self.size)
        self._file = path.open("r+b", buffering=0)
        self._file.seek(self.size)

    @property
    def left(self) -> int:
        """Bytes that are still to come; below zero where there are too many."""
        return int(self._entry["size"]) - self.size

    def write(self, data: bytes | memoryview) -> None:
        """:raises OSError:"""
        self._digest.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self.size += len(data)
        self._unsynced += len(data)
        self._seen(self.size)
        if self._unsynced >= SYNC_BYTES:
            self._sync()

    def is_right(self) -> bool:
        """Whether the content is the one that the manifest names."""
        return self.left == 0 and self._digest.matches()

    def restart(self) -> None:
        """Forget what is there.

        :raises OSError:
        """
        self._file.seek(0)
        self._file.truncate()
        self.size = 0
        self._digest = Digest(self._entry)
        self._seen(0)

    def finish(self, target: Path) -> None:
        """Give the complete file its name.

        :raises OSError:
        """
        self._sync()
        self.close()
        target.parent.mkdir(parents=True, exist_ok=True)
        self._path.replace(target)

    def close(self) -> None:
        self._file.close()

    def _sync(self) -> None:
        self._unsynced = 0
        sync_file(self._file.fileno())


def copy_into(source: Path, part: Part, stopping: threading.Event) -> bool:
    """Whether the file of the volume has the content that is wanted; then the part is complete, else empty.

    :raises OSError: where the part cannot be written.
    """
    part.restart()
    reading = pieces_of(source)
    while True:
        if stopping.is_set():
            raise StoppedTransfer
        try:
            piece = next(reading, None)
        except OSError:
            break
        if piece is None:
            break
        part.write(piece)
        if part.left < 0:
            break
    if part.is_right():
        return True
    part.restart()
    return False


def fetch_file(
    path: str,
    part: Part,
    sources: Iterable[Callable[[int], Iterable[bytes | memoryview]]],
    limits: Patience,
    stopping: threading.Event,
) -> None:
    """Complete the part. Each of ``sources`` gives the file's bytes from an offset on, and may end early or raise.

    A source that failed gives way to the next one, for good; the last one is asked again and again.

    :raises DownloadFailed: where no bytes come, or wrong ones again and again.
    :raises StoppedTransfer:
    :raises OSError: where the part cannot be written.
    """
    retries = Retries(path, limits, stopping)
    rest = list(sources)
    wrong = 0
    while not part.is_right():
        begin, since, mark = part.size, time.monotonic(), part.size
        fault = Broken("its content is not what the hub says it is")
        try:
            for data in rest[0](begin) if part.left > 0 else ():
                if stopping.is_set():
                    raise StoppedTransfer
                part.write(data)
                if part.left < 0:
                    break
                if time.monotonic() - since > SLOWEST_STALLS * limits.stall:
                    if part.size - mark < SLOWEST_BYTES:
                        raise Broken(f"sent {part.size - mark:,} bytes in {time.monotonic() - since:.3g} s")
                    since, mark = time.monotonic(), part.size
            if part.left > 0:
                fault = Broken(f"ended after {part.size:,} of {part.size + part.left:,} bytes")
        except Broken as broken:
            fault = broken
        if part.is_right():
            return
        if part.left <= 0:
            part.restart()
            wrong += 1
            if wrong == WRONG_TRIES:
                raise DownloadFailed(f"{path}: {fault}, {wrong} times.\n{WRONG}")
            say(f"{path}: {fault}; fetching it anew")
            del rest[:-1]
        elif len(rest) > 1:
            say(f"{path}: {fault}; going on over plain HTTP")
            del rest[0]
        else:
            if part.size - begin >= GOOD_PROGRESS:
                retries.progress()
            retries.failed(fault)
