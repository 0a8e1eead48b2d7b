"""The daemon's own log: of bounded size while it runs, its owner's alone, and not to be filled by strangers."""

from __future__ import annotations

import logging
import os
import time
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, TextIO

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

from glmdeploy.local.home import open_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOG_SIZE = 1024 * 1024
"""Bytes of the log, and of the one before it."""

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_QUIET = 60.0
"""Seconds between two lines about requests that were not understood."""


def log_to(path: Path) -> None:
    """Send the log, and whatever else this process prints, to ``path``, and what was there before to ``<path>.old``.

    Where the standard error is another file than ``path``, a terminal for instance, it goes there.
    """
    handler: logging.Handler = logging.StreamHandler()
    if path.exists() and os.path.samestat(path.stat(), os.fstat(2)):
        handler = _Rotating(path)
    handler.setFormatter(logging.Formatter(_FORMAT))
    handler.addFilter(Strangers())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # It reports as an error, or at length, that a container or a client has hung up.
    logging.getLogger("grpclib").setLevel(logging.CRITICAL)


class _Rotating(RotatingFileHandler):
    """Takes standard output and standard error with it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=LOG_SIZE, backupCount=1, encoding="utf-8")
        self.namer = lambda _: f"{path}.old"

    def _open(self) -> TextIO:  # type: ignore[override]
        stream = open_private(self.baseFilename)
        for standard in (1, 2):
            os.dup2(stream.fileno(), standard)
        return stream


class Strangers(logging.Filter):
    """Leaves of a request that is no HTTP one short line, and of a flood of them one a minute.

    aiohttp logs each with a traceback of 2 kB, as if the server had failed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._quiet_until = -1.0
        self._dropped = 0

    def filter(self, record: logging.LogRecord) -> bool:
        fault = record.exc_info[1] if record.exc_info else None
        if not isinstance(fault, HttpProcessingError | RequestPayloadError):
            return True
        if self._clock() < self._quiet_until:
            self._dropped += 1
            return False
        more = f" (and {self._dropped} more since the last such line)" if self._dropped else ""
        record.msg, record.args = f"a request was not understood: {type(fault).__name__}{more}", ()
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        self._quiet_until, self._dropped = self._clock() + _QUIET, 0
        return True
