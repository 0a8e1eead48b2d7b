"""What a container prints: its own lines, and its child's output, with secrets hidden and the last lines kept."""

from __future__ import annotations

import collections
import contextlib
import os
import select
import sys
import threading
import time
from collections.abc import Callable

from glmdeploy.runtime.masking import Mask

TAIL_LINES = 30
TAIL_LINE_BYTES = 2000
"""Of a longer line its end is kept."""

PIPE_BYTES = 64 * 1024
"""What is read at a time, and how much of a line without an end is waited for before it is passed on in pieces."""

SEEN_BYTES = 4096
"""What is shown of a line to whoever wants to see it."""

FULL_SECONDS = 0.01
"""How long to wait for room in a pipe that does not block."""

UNFINISHED = threading.Event()
"""Set while a piece of a child's line stands there whose end has not come."""

POLL_MILLISECONDS = 250
"""How long nothing must come after a child's end to be taken for all, while another process holds the pipe open."""


def say(text: str) -> None:
    """Print a line, whatever the locale, and whether or not anybody listens."""
    write_out(text.encode(errors="backslashreplace") + b"\n")


def say_apart(text: str) -> None:
    """Print a line that begins a line, also where a child's last line has not ended."""
    say(f"\n{text}" if UNFINISHED.is_set() else text)
    UNFINISHED.clear()


def write_out(data: bytes) -> None:
    """Write bytes to standard output at once; nothing where it is closed or broken."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
        stream = getattr(sys.stdout, "buffer", None)
        if stream is None:
            sys.stdout.write(data.decode(errors="replace"))
        else:
            left = memoryview(data)
            while left:  # unbuffered, as with PYTHONUNBUFFERED, a write may take a part; or nothing, where it is full
                try:
                    taken = stream.write(left) or 0
                except BlockingIOError as full:
                    taken = full.characters_written
                left = left[taken:]
                if not taken:
                    time.sleep(FULL_SECONDS)
        sys.stdout.flush()


class Pump:
    """Passes on what comes from the reading end ``source`` of a pipe, line by line, in a thread of its own.

    Secrets are hidden by ``mask``. ``see`` gets each line as it came, without its end and cut to :data:`SEEN_BYTES`:
    it must not show it. A line that is longer than :data:`PIPE_BYTES` is passed on in pieces; a carriage return ends a
    line as well, as progress bars use it. No more than a few pieces are ever held.
    """

    def __init__(self, source: int, mask: Mask, see: Callable[[bytes], None] | None) -> None:
        self._source = source
        self._mask = mask
        self._see = see
        self._tail: collections.deque[bytes] = collections.deque(maxlen=TAIL_LINES)
        self._open = b""  # what was passed on of a line that has not ended
        self._begun = b""  # the beginning of that line as it came
        self._returned = False  # the last byte was a carriage return, which a line feed may follow
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="output of the engine", daemon=True)
        self._thread.start()

    def drain(self, seconds: float) -> None:
        """The child has ended: return when all that it wrote is passed on, after ``seconds`` at the latest."""
        self._ended.set()
        self._thread.join(seconds)

    def tail(self) -> str:
        """The last lines, with secrets hidden; each ends with a line break."""
        lines = [*self._tail.copy(), *([self._open] if self._open else [])]
        return "".join(f"{line.decode(errors='replace')}\n" for line in lines)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._source)
        held = b""
        try:
            while True:
                if not poll.poll(POLL_MILLISECONDS):
                    if self._ended.is_set():
                        break
                    continue
                data = os.read(self._source, PIPE_BYTES)
                if not data:
                    break
                held = self._pass_on(held + self._with_line_feeds(data))
        finally:
            if held or self._open:
                write_out(self._end_line(held))
            os.close(self._source)

    def _with_line_feeds(self, data: bytes) -> bytes:
        if self._returned and data.startswith(b"\n"):
            data = data[1:]
        self._returned = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data

    def _pass_on(self, data: bytes) -> bytes:
        """Show what can be shown of the data; the rest is returned."""
        whole, line_end, rest = data.rpartition(b"\n")
        shown = bytearray()
        for line in whole.split(b"\n") if line_end else ():
            shown += self._end_line(line)
        if shown:
            write_out(bytes(shown))
        return self._show_piece(rest) if len(rest) >= PIPE_BYTES else rest

    def _show_piece(self, data: bytes) -> bytes:
        """Show a piece of a line that has not ended; what must wait for the next one is returned."""
        masked, taken = self._mask.piece(data, last=False)
        self._begun = (self._begun + data[:taken])[:SEEN_BYTES]
        self._open = (self._open + masked)[-TAIL_LINE_BYTES:]
        UNFINISHED.set()
        write_out(masked)
        return data[taken:]

    def _end_line(self, line: bytes) -> bytes:
        """What is to be shown of the rest of a line, with its end."""
        masked, _ = self._mask.piece(line, last=True)
        self._tail.append((self._open + masked)[-TAIL_LINE_BYTES:])
        if self._see is not None:
            with contextlib.suppress(Exception):  # whoever looks on must not end what is looked at
                self._see((self._begun + line[:SEEN_BYTES])[:SEEN_BYTES])
        if self._open:
            UNFINISHED.clear()
        self._open = self._begun = b""
        return masked + b"\n"
