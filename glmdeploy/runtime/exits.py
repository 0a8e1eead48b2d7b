"""What an exit code of SGLang, or of one of its tools, means."""

from __future__ import annotations

import re
import signal
from pathlib import Path

MEMORY_EVENTS = Path("/sys/fs/cgroup/memory.events")
"""Counts what the kernel ended in this container for lack of memory (Linux, Documentation/admin-guide/cgroup-v2)."""

MEANINGS = {
    0: "it ended in order, though nobody had asked it to",
    1: "a Python exception, which stands above",
    2: "its arguments were refused, as said above",
    -signal.SIGABRT: "aborted by one of its libraries, as on a CUDA or NCCL error",
    -signal.SIGBUS: "no room in shared memory (/dev/shm), or a mapped file lost its end",
    -signal.SIGFPE: "a division by zero in native code",
    -signal.SIGHUP: "ended from outside",
    -signal.SIGILL: "an instruction that this processor does not have",
    -signal.SIGINT: "interrupted from outside",
    -signal.SIGKILL: "out of memory (the container's limit is `memory`), or SGLang ended itself, as it does after a "
    "failed start and when one of its processes has died: the reason stands above; a GPU's fault is there as `Xid`",
    -signal.SIGPIPE: "it wrote to a pipe that nobody reads",
    -signal.SIGSEGV: "a fault in native code: a kernel, NCCL or the driver",
    -signal.SIGTERM: "ended from outside",
}
"""By ``Popen.returncode``. SGLang ends with SIGKILL after a failed start, when a child died (0.5.23, measured), and up
to 0.5.18 after a clean end on SIGTERM (``kill_process_tree(os.getpid())``, ``entrypoints/http_server.py``)."""

CAUSES = (
    (re.compile(r"CUDA out of memory|OutOfMemoryError|Not enough memory"), "the GPU's memory did not suffice"),
    (re.compile(r"\bXid\b|an illegal memory access|uncorrectable ECC|unspecified launch failure"), "a GPU's fault"),
    (re.compile(r"No space left on device"), "a disk or /dev/shm is full"),
    (re.compile(r"[Aa]ddress already in use"), "its port is taken"),
    (re.compile(r"(?:NCCL|ncclSystem|ncclUnhandled\w*) ?[Ee]rror"), "an error of NCCL"),
)
"""What the last lines may say, the most telling first."""

PEER_LOST = re.compile(
    r"Connection (?:reset|closed) by peer|Connection was likely closed|Broken pipe"
    r"|remote process exited or there was a network error|ncclRemoteError"
)
"""What the last lines say where a rank lost another one, and ends for that: gloo's (``transport/tcp/pair.cc``, seen of
0.5.11 with pipeline parallelism and with data-parallel attention), the TCPStore's and NCCL's words."""


def explained(code: int, tail: str = "", memory_kills: int = 0) -> str:
    """``exit code -9 (SIGKILL): ...``: the code, its signal's name, and what it means.

    ``tail`` are the last lines of output; ``memory_kills`` says how many processes the kernel ended for lack of memory.
    """
    if 128 < code < 128 + signal.NSIG:  # what a shell makes of a signal
        return explained(128 - code, tail, memory_kills).replace(f"exit code {128 - code}", f"exit code {code}", 1)
    name = ""
    if code < 0 and -code in {known.value for known in signal.Signals}:
        name = f" ({signal.Signals(-code).name})"
    found = [cause for pattern, cause in CAUSES if pattern.search(tail)]
    if memory_kills:
        found.insert(0, "the container's memory did not suffice, and the kernel ended a process")
    meaning = found[0] if found else MEANINGS.get(code, "")
    return f"exit code {code}{name}" + (f": {meaning}" if meaning else "")


def lost_a_peer(tail: str) -> bool:
    """Whether the last lines of output tell that the process lost another rank."""
    return PEER_LOST.search(tail) is not None


def memory_kills() -> int:
    """How many processes of this container the kernel has ended for lack of memory; 0 where that is not told."""
    try:
        text = MEMORY_EVENTS.read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    counted = re.search(r"^oom_kill (\d+)$", text, re.MULTILINE)
    return int(counted[1]) if counted else 0
