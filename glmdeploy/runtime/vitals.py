"""What /proc and the kernel caches show of a running engine: its processes, and whether something is compiled.

Nothing here raises, and nothing here waits for the engine: what cannot be read is None or left out. Of a process only
``stat`` and ``status`` are read again and again, which need no lock of its memory; ``cmdline`` does, and is read once.
Modal's containers run on gVisor, whose /proc has fewer files and lines: ``stat`` has what is read here, ``status`` has
had ``voluntary_ctxt_switches`` since April 2026 only. ``task/*/children`` exists on few kernels, so it is not used.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ENGINE_TITLE = "sglang::"
"""How SGLang begins the titles of its processes; the first one has none (0.5.10 to 0.5.23, ``setproctitle``)."""

DETOKENIZER_TITLE = "sglang::detoken"
"""As far as ``comm`` goes, which has 15 characters: ``sglang::detokenizer`` and ``sglang::detokenizer_router``."""

MESSAGE_THREAD = "ZMQbg/IO"
"""How ZeroMQ begins the names of the threads that take what arrives, whatever the main thread does.

Of SGLang 0.5.23's detokenizer they wake once for each message, and not at all without one; its other threads wake now
and then by themselves.
"""

COMPILERS = frozenset(
    {
        *("nvcc", "cicc", "ptxas", "cudafe++", "fatbinary", "nvlink", "tileiras", "hipcc", "ninja"),
        *("cc", "cc1", "cc1plus", "c++", "g++", "gcc", "clang", "clang++", "as", "ld", "ld.lld", "lld", "collect2"),
    }
)
"""Programs that the kernel compilers of SGLang, FlashInfer, DeepGEMM, Triton and PyTorch start."""

CACHE_ENTRIES = 50_000
"""After so many entries a look into the kernel caches ends: it must not go on for ever on a slow volume."""


@dataclass(frozen=True)
class Vital:
    """One process of the engine at one moment.

    ``began`` (clock ticks since the machine's start) tells it from a later process with its id. ``command`` is the
    kernel's name of it, ``title`` is for people and holds no option of its command line. ``state`` is the kernel's
    letter: T stopped, t traced, Z ended. ``cpu`` is in seconds, all threads. ``switches`` counts how often its main
    thread has waited for something; None if the kernel does not say, which a zero means too: a process of the engine
    has waited many times before it is ready. ``arrivals`` counts the same of a detokenizer's threads that take
    messages; None if none can be seen.
    """

    pid: int
    began: int
    command: str
    title: str
    state: str
    cpu: float
    switches: int | None = None
    arrivals: int | None = None

    @property
    def stopped(self) -> bool:
        """Whether it does nothing until somebody lets it go on."""
        return self.state in ("T", "t")

    @property
    def detokenizes(self) -> bool:
        return self.title.startswith(DETOKENIZER_TITLE) or self.command.startswith(DETOKENIZER_TITLE)

    @property
    def compiles(self) -> bool:
        """Whether it is a compiler at work."""
        names = {self.command, self.title.split(" ")[0]}
        return bool(names & COMPILERS) and self.state not in ("T", "t", "Z", "X")


class ProcessTable:
    """Reads the processes of an engine, again and again. ``proc`` is where the kernel shows processes."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._titles: dict[tuple[int, int, str], str] = {}

    def read(self, root: int) -> tuple[Vital, ...] | None:
        """The process ``root``, what descends from it, and what else is in its process group; ``root`` comes first.

        Empty when ``root`` is gone, and None when processes cannot be seen.
        """
        try:
            pids = [int(name) for name in os.listdir(self._proc) if name.isdecimal()]  # noqa: PTH208
        except OSError:
            return None
        found = {pid: stat for pid in pids if (stat := self._stat(pid)) is not None}
        if not found:
            return None
        if root not in found:
            return ()
        below = [root]
        for parent in below:
            below += [pid for pid, stat in found.items() if stat.parent == parent and pid not in below]
        below += [pid for pid, stat in found.items() if stat.group == root and pid not in below]
        table = tuple(self._vital(pid, found[pid]) for pid in below)
        self._titles = {(one.pid, one.began, one.command): one.title for one in table}
        return table

    def _stat(self, pid: int) -> _Stat | None:
        """What ``/proc/PID/stat`` says (proc(5)); None if the process has ended or the line is not as it should be."""
        try:
            line = (self._proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
            before, _, after = line.rpartition(")")
            words = after.split()
            return _Stat(
                command=before.partition("(")[2],
                state=words[0],
                parent=int(words[1]),
                group=int(words[2]),
                cpu=(int(words[11]) + int(words[12])) / self._ticks,
                began=int(words[19]),
            )
        except (OSError, ValueError, IndexError):
            return None

    def _vital(self, pid: int, stat: _Stat) -> Vital:
        title = self._titles.get((pid, stat.began, stat.command)) or self._title(pid, stat.command)
        folder = self._proc / str(pid)
        one = Vital(
            pid=pid,
            began=stat.began,
            command=stat.command,
            title=title,
            state=stat.state,
            cpu=stat.cpu,
            switches=_waits(folder)[1] if title.startswith(ENGINE_TITLE) else None,
        )
        return replace(one, arrivals=_arrivals(folder)) if one.detokenizes else one

    def _title(self, pid: int, command: str) -> str:
        """The title that it gave itself, or its program and Python module; no other argument, which may be private."""
        try:
            words = (self._proc / str(pid) / "cmdline").read_bytes()[:4096].decode(errors="replace").split("\0")
        except OSError:
            words = []
        first = words[0].strip() if words else ""
        if first.startswith(ENGINE_TITLE):
            title = first.split()[0]
        elif first:
            title = " ".join([first.split()[0].rpartition("/")[2], *(words[1:3] if words[1:2] == ["-m"] else [])])
        else:
            title = command
        return "".join(letter if letter.isprintable() else "?" for letter in title)[:60]


def _waits(folder: Path) -> tuple[str, int | None]:
    """The name of a thread and how often it has waited, by its ``status`` (proc(5)); None if that is not said."""
    try:
        text = (folder / "status").read_text(encoding="utf-8", errors="replace")
        said = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        return said.get("Name", "").strip(), int(said.get("voluntary_ctxt_switches", "0")) or None
    except (OSError, ValueError):
        return "", None


def _arrivals(folder: Path) -> int | None:
    try:
        threads = [_waits(thread) for thread in (folder / "task").iterdir()]
    except OSError:
        return None
    counts = [count for name, count in threads if name.startswith(MESSAGE_THREAD)]
    return sum(count or 0 for count in counts) if counts else None


@dataclass(frozen=True)
class _Stat:
    """What is read of ``/proc/PID/stat``; ``cpu`` in seconds."""

    command: str
    state: str
    parent: int
    group: int
    cpu: float
    began: int


def newest_file(folders: Sequence[Path], enough: float) -> float | None:
    """The latest time (seconds since 1970) at which a file or folder below ``folders`` changed.

    Looking ends early at one of ``enough`` or later, and after :data:`CACHE_ENTRIES`. A time in the future is that of
    another machine's clock and counts as none. None if there is nothing, or nothing that can be read.
    """
    newest: float | None = None
    now = time.time()
    waiting = [str(folder) for folder in folders]
    seen = 0
    while waiting and seen < CACHE_ENTRIES:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    seen += 1
                    changed = entry.stat(follow_symlinks=False).st_mtime
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    if changed <= now + 1 and (newest is None or changed > newest):
                        newest = changed
        except OSError:
            continue
        if newest is not None and newest >= enough:
            break
    return newest


def described(processes: Iterable[Vital], earlier: Iterable[Vital], seconds: float, most: int = 40) -> list[str]:
    """A line for each process, at most ``most``: first the stopped ones, then SGLang's own, then others.

    ``earlier`` are the processes ``seconds`` ago.
    """
    before = {(one.pid, one.began): one for one in earlier}
    ordered = sorted(processes, key=lambda one: (not one.stopped, not one.title.startswith(ENGINE_TITLE)))
    lines = []
    for one in ordered[:most]:
        line = f"  process {one.pid} {one.title}: state {one.state}, {one.cpu:.1f} s of processor time"
        if past := before.get((one.pid, one.began)):
            line += f", {one.cpu - past.cpu:.1f} s of it in the last {seconds:.0f} s"
            if one.switches is not None and past.switches is not None:
                line += f", in which it waited {one.switches - past.switches} times"
        lines.append(line)
    if len(ordered) > most:
        lines.append(f"  and {len(ordered) - most} more")
    return lines
