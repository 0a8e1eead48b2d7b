"""Standard output and standard error that outlive their reader, as the command line needs them.

What cannot be written is dropped and remembered, and the command goes on: a deployment must not stop halfway because
`head` had read enough, and the exit code is the command's own. Whoever prints without end asks :func:`heard`.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys

_GONE = (errno.EPIPE, errno.ECONNRESET)
"""What the system says when whoever read has gone, which is no fault."""


class Output(io.RawIOBase):
    """The descriptor of a standard stream. The first fault of a write is kept, and nothing is written after it."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.fault: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        if self.fault is None:
            try:
                return os.write(self._descriptor, view)
            except OSError as error:
                self.fault = error
        return view.nbytes

    @property
    def failed(self) -> OSError | None:
        """Why something was not written though somebody wanted it."""
        return None if self.fault is None or self.fault.errno in _GONE else self.fault


class _Closed(Output):
    """Standard output that was closed before the command began: the first text is a fault."""

    def write(self, data: object) -> int:
        self.fault = self.fault or OSError(errno.EBADF, "it is closed")
        return memoryview(data).nbytes  # type: ignore[arg-type]


_outputs: dict[str, Output] = {}


def install() -> None:
    """Put these in place of Python's streams, for the rest of the process.

    A descriptor that was closed is opened, so that no file or socket of ours gets the number of a standard stream.
    """
    closed = [descriptor for descriptor in (0, 1, 2) if not _is_open(descriptor)]
    for descriptor in closed:
        nothing = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if nothing != descriptor:
            os.dup2(nothing, descriptor)
            os.close(nothing)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for the rest of the process
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        before = getattr(sys, name)
        output = _Closed(descriptor) if descriptor in closed else Output(descriptor)
        _outputs[name] = output
        stream = io.TextIOWrapper(
            io.BufferedWriter(output),
            encoding=getattr(before, "encoding", None) or "utf-8",
            errors=getattr(before, "errors", None) or "backslashreplace",
            line_buffering=name == "stderr" or output.isatty(),
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def heard() -> bool:
    """Whether standard output still takes what is written: what goes on for ever ends where it does not."""
    output = _outputs.get("stdout")
    return output is None or output.fault is None


def fault() -> str | None:
    """Why standard output lacks something that somebody wanted; None where nothing lacks, or nobody reads."""
    for name in _outputs:
        with contextlib.suppress(OSError, ValueError):
            getattr(sys, name).flush()
    output = _outputs.get("stdout")
    failed = output.failed if output else None
    return None if failed is None else failed.strerror or str(failed)
