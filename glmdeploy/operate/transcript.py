"""What others print while a command works: the SDK's build log, containers, bars of libraries. Kept in a file.

Nothing of it is passed on. The file is made with the first line, secrets are masked before they are written, and of
each app the newest :data:`KEPT_FILES` are kept. Whoever wants to hear the lines as they come is a listener.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import threading
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from glmdeploy import redaction
from glmdeploy.runtime.masking import Mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TextIO

KEPT_FILES = 10
"""Of each app, the newest."""
TAIL_LINES = 200
"""So many of the last lines are at hand when something fails."""
LEAST_SECRET = 8
"""Characters of a variable's value from which on it is hidden wherever it stands: shorter ones are words."""

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""What steers a terminal: its lines are text."""
_OF_THE_END = re.compile(r"the app was stopped|container ta-\S+ (?:starts|ended)|[✓├└│]|https?://\S+$|View Deployment")
"""What the SDK and the embedded cloud say of every app (modal 1.6.4)."""
_TRACEBACK = "Traceback (most recent call last)"
_LOGGERS = ("modal-client", "py.warnings", "asyncio")
"""Whose messages would go to standard error by themselves (modal 1.6.4, ``config.py``)."""


class Transcript(io.TextIOBase):
    """A text file that others write, line by line, from any thread."""

    def __init__(self, folder: Path | None = None, name: str = "") -> None:
        """``folder`` holds those of one app; without one nothing is written, and the lines are heard alone."""
        self._folder, self._name = folder, name
        self._file: TextIO | None = None
        self._open = ""
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._lock = threading.RLock()
        self._mask = Mask(_secrets())
        self.path: Path | None = None
        """Where it is, once something was written."""
        self.listeners: list[Callable[[str], None]] = []
        """Called with each line, masked and without its end; what they raise is theirs."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of a stream that can show every character."""
        return "utf-8"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        """No: whoever asks draws no bars."""
        return False

    def write(self, text: str) -> int:
        """Take notice of some text, which may be a part of a line."""
        with self._lock:
            *whole, self._open = (self._open + text).replace("\r\n", "\n").split("\n")
            for line in whole:
                self._take(line)
        return len(text)

    def flush(self) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self._file:
                self._file.flush()

    def tail(self, count: int) -> list[str]:
        """The last lines that say anything, at most ``count``: without what the end of an app says, and tracebacks.

        A container that failed tells its exception first, which the error has, with a traceback of our own code.
        """
        with self._lock:
            lines = [line for line in self._tail if not _OF_THE_END.match(line)]
        traceback = next((number for number, line in enumerate(lines) if line.startswith(_TRACEBACK)), None)
        return lines[:traceback][-count:]

    def forget_tail(self) -> None:
        """What comes from now on is of another step."""
        with self._lock:
            self._tail.clear()

    def end(self) -> None:
        """Write what is left of a line, and close the file."""
        with self._lock:
            if self._open:
                self.write("\n")
            with contextlib.suppress(OSError):
                if self._file:
                    self._file.close()
            self._file = None

    def _take(self, line: str) -> None:
        """A line; of one that was written again and again, as bars are, the last text."""
        text = _ESCAPE.sub("", line.rstrip("\r").rpartition("\r")[2]).rstrip()
        text = redaction.mask(self._mask(text))
        if text:
            self._tail.append(text)
        with contextlib.suppress(OSError):
            self._opened(text)
        for listener in self.listeners:
            listener(text)

    def _opened(self, line: str) -> None:
        """Write it, with the time. :raises OSError: a full disk must end nothing, and is not told twice."""
        if self._folder is None:
            return
        if self._file is None:
            for folder in (self._folder.parent, self._folder):  # the mode is the last folder's alone
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _remove_old(self._folder)
            at = datetime.now(UTC)
            self.path = self._folder / f"{at:%Y%m%dT%H%M%S}-{self._name}-{os.getpid()}.log"
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._file = os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", buffering=1)
        self._file.write(f"{datetime.now(UTC):%H:%M:%S} {line}\n")


def _secrets() -> list[str]:
    """The values of this process's variables whose names say that they are secret."""
    named = (value for name, value in os.environ.items() if redaction.is_secret_name(name))
    return [value for value in named if len(value) >= LEAST_SECRET]


def _remove_old(folder: Path) -> None:
    """Make room for one more."""
    for old in sorted(folder.glob("*.log"))[: -(KEPT_FILES - 1)]:
        old.unlink(missing_ok=True)


_current = [Transcript()]


def current() -> Transcript:
    """The one of this process."""
    return _current[0]


def keep(folder: Path, name: str) -> Transcript:
    """Have what others print from now on kept in ``folder``, in a file named by the time and ``name``.

    Warnings of Python and messages of the SDK's logger go there too, whatever runs.
    """
    current().end()
    _current[:] = [Transcript(folder, name)]
    _take_loggers()
    return current()


def _take_loggers() -> None:
    """Have what is logged go into the transcript: the SDK gives its logger a handler when it is first imported."""
    logging.captureWarnings(True)
    for each in _LOGGERS:
        logger = logging.getLogger(each)
        logger.handlers[:] = [_Handler()]
        logger.propagate = False


class _Handler(logging.Handler):
    """Writes into whatever is current."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):
            current().write(f"{record.name}: {self.format(record)}\n")


@contextlib.contextmanager
def overheard() -> Iterator[Transcript]:
    """What is printed in this block, by whatever thread, goes into the transcript; the SDK says what it does."""
    import modal  # reads its configuration when it is first imported: the connection comes before

    heard = current()
    _take_loggers()
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard), modal.enable_output():
        yield heard
