"""What the watch for hangs reads of /proc and of kernel caches: of real processes, and of kernels that show less."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import wait_until

from glmdeploy.runtime.vitals import ProcessTable, Vital, described, newest_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "sk-never-to-be-shown"

FAMILY = """
import subprocess, sys
child = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)", sys.argv[1]]
subprocess.Popen(["/bin/sh", "-c", '"$@" & exit', "sh", *child])
subprocess.Popen([sys.argv[2], "600"]).wait()
"""
"""An orphan in its group, and a script that is named for a compiler."""


def put(proc: Path, pid: int, stat: str, status: str | None = None, cmdline: bytes | None = None) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(stat)
    if status is not None:
        (folder / "status").write_text(status)
    if cmdline is not None:
        (folder / "cmdline").write_bytes(cmdline)


def stat(pid: int, name: str, state: str, parent: int, group: int) -> str:
    return f"{pid} ({name}) {state} {parent} {group} 1 0 -1 4194304 9 0 0 0 150 50 0 0 20 0 1 0 777 1 1\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """An engine of four processes, one of them an orphan in its group, among others, as a kernel shows them."""
    put(tmp_path, 1, stat(1, "sh", "S", 0, 1))
    launcher = f"/usr/bin/python3\0-m\0sglang.launch_server\0--api-key\0{SECRET}\0".encode()
    put(tmp_path, 10, stat(10, "python3", "S", 1, 10), "voluntary_ctxt_switches:\t5\n", launcher)
    title = b"sglang::scheduler_TP0\0\0\0\0--api-key"
    put(tmp_path, 11, stat(11, "sglang::schedul", "R", 10, 10), "voluntary_ctxt_switches:\t6\n", title)
    several = "Name:\tx\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t8\n"
    put(tmp_path, 12, stat(12, "sglang::detoken", "T", 10, 10), several, b"sglang::detokenizer\0")
    put(tmp_path, 13, stat(13, "cc1plus) (odd", "R", 1, 10), "", b"")
    put(tmp_path, 14, stat(14, "other", "R", 1, 14), "", b"other\0")
    (tmp_path / "version").write_text("not a process")
    return tmp_path


def test_processes_of_the_engine(proc: Path) -> None:
    table = ProcessTable(proc).read(10)
    assert table is not None
    assert [(one.pid, one.title, one.state, one.switches, one.began) for one in table] == [
        (10, "python3 -m sglang.launch_server", "S", None, 777),
        (11, "sglang::scheduler_TP0", "R", 6, 777),
        (12, "sglang::detokenizer", "T", 7, 777),
        (13, "cc1plus) (odd", "R", None, 777),
    ]
    assert [one.pid for one in table if one.detokenizes] == [12]
    assert [one.pid for one in table if one.stopped] == [12]
    assert table[0].cpu == 200 / os.sysconf("SC_CLK_TCK")
    assert SECRET not in repr(table)


def test_messages_that_arrive(proc: Path) -> None:
    """What ZeroMQ's threads of a detokenizer have waited; nobody else's are looked at."""
    for pid in (11, 12):
        for thread, name, waits in ((pid, "sglang::detoken", 7), (91, "ZMQbg/IO/0", 30), (92, "ZMQbg/IO/1", 12)):
            folder = proc / str(pid) / "task" / str(thread)
            folder.mkdir(parents=True)
            (folder / "status").write_text(f"Name:\t{name}\nvoluntary_ctxt_switches:\t{waits}\n")
    table = ProcessTable(proc).read(10)
    assert table is not None
    assert [one.arrivals for one in table] == [None, None, 42, None]
    for thread in ("91", "92"):
        (proc / "12" / "task" / thread / "status").write_text("Name:\tother\n")
    table = ProcessTable(proc).read(10)
    assert table is not None
    assert table[2].arrivals is None


def test_a_title_is_read_once(proc: Path) -> None:
    """A process whose memory is locked keeps whoever reads its command line waiting, perhaps for ever."""
    table = ProcessTable(proc)
    assert table.read(10) is not None
    (proc / "11" / "cmdline").write_bytes(b"sglang::other\0")
    again = table.read(10)
    assert again is not None
    assert again[1].title == "sglang::scheduler_TP0"


@pytest.mark.parametrize("line", ["", "VmRSS:\t1 kB\n", "voluntary_ctxt_switches:\n", "voluntary_ctxt_switches:\t0\n"])
def test_a_kernel_that_does_not_count_waiting(proc: Path, line: str) -> None:
    (proc / "12" / "status").write_text(line)
    table = ProcessTable(proc).read(10)
    assert table is not None
    assert table[2].switches is None


def test_a_kernel_without_more_than_stat(proc: Path) -> None:
    for file in proc.glob("*/*"):
        if file.name != "stat":
            file.unlink()
    table = ProcessTable(proc).read(10)
    assert table is not None
    assert [one.title for one in table] == ["python3", "sglang::schedul", "sglang::detoken", "cc1plus) (odd"]
    assert [one.pid for one in table if one.detokenizes] == [12]


def test_no_kernel_that_shows_processes(tmp_path: Path) -> None:
    assert ProcessTable(tmp_path / "none").read(10) is None
    (tmp_path / "7").mkdir()
    assert ProcessTable(tmp_path).read(10) is None


def test_an_engine_that_is_gone(proc: Path) -> None:
    assert ProcessTable(proc).read(99) == ()


@given(st.binary(max_size=300))
def test_whatever_stat_holds(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("proc")
    put(folder, 10, "")
    (folder / "10" / "stat").write_bytes(content)
    for name in ("status", "cmdline"):
        (folder / "10" / name).write_bytes(content)
    ProcessTable(folder).read(10)


@pytest.fixture
def family(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own, with an orphan and a compiler."""
    compiler = tmp_path / "nvcc"
    compiler.write_text("#!/bin/sh\nsleep $1\n")
    compiler.chmod(0o700)
    words = [sys.executable, "-c", FAMILY, SECRET, str(compiler)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):  # a test that kills it may find nobody of it left
                os.killpg(process.pid, signal.SIGKILL)


def test_real_processes(family: subprocess.Popen[str]) -> None:
    table = ProcessTable()

    def read() -> tuple[Vital, ...]:
        found = table.read(family.pid)
        assert found is not None
        return found

    wait_until(lambda: any(one.compiles for one in read()))
    assert read()[0].pid == family.pid
    # The process, the orphan, the script and its sleep, perhaps for a moment the shell that made the orphan.
    wait_until(lambda: len([one for one in read() if one.state != "Z"]) == 4)
    assert SECRET not in repr(read())
    [compiler] = [one for one in read() if one.compiles]
    os.kill(compiler.pid, signal.SIGSTOP)
    wait_until(lambda: [one.pid for one in read() if one.stopped] == [compiler.pid])
    assert not any(one.compiles for one in read())
    os.killpg(family.pid, signal.SIGKILL)
    family.wait()
    wait_until(lambda: table.read(family.pid) == ())


def test_described_is_bounded_and_tells_the_stopped_first() -> None:
    ones = [
        Vital(pid=pid, began=1, command="python", title="python", state="S", cpu=2.0, switches=9) for pid in range(100)
    ]
    ones.append(Vital(pid=100, began=1, command="x", title="sglang::scheduler", state="R", cpu=5.0))
    ones.append(Vital(pid=101, began=1, command="ld", title="ld", state="T", cpu=0.0))
    before = [Vital(pid=100, began=1, command="x", title="sglang::scheduler", state="R", cpu=1.5)]
    lines = described(ones, before, 10, most=5)
    assert lines == [
        "  process 101 ld: state T, 0.0 s of processor time",
        "  process 100 sglang::scheduler: state R, 5.0 s of processor time, 3.5 s of it in the last 10 s",
        *[f"  process {pid} python: state S, 2.0 s of processor time" for pid in range(3)],
        "  and 97 more",
    ]


# Kernel caches


def test_the_newest_file(tmp_path: Path) -> None:
    assert newest_file([tmp_path / "none"], 0) is None
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "kernel.cubin").touch()
    os.utime(deep / "kernel.cubin", (1000, 1000))
    for folder in (deep, deep.parent):
        os.utime(folder, (500, 500))
    assert newest_file([tmp_path / "none", tmp_path], time.time()) == 1000
    os.utime(deep / "kernel.cubin", (time.time() + 9000, time.time() + 9000))
    assert newest_file([tmp_path], time.time()) == 500


def test_links_are_not_followed(tmp_path: Path) -> None:
    """They may lead in circles, or out of the cache."""
    outside, cache = tmp_path / "outside", tmp_path / "cache"
    for folder in (outside, cache):
        folder.mkdir()
    (outside / "file").touch()
    (cache / "link").symlink_to(outside)
    os.utime(cache / "link", (700, 700), follow_symlinks=False)
    assert newest_file([cache], time.time() + 9000) == 700


def test_looking_into_a_large_cache_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "1" / "2" / "3"
    deep.mkdir(parents=True)
    for folder, changed in ((deep, 900), (deep.parent, 400), (deep.parent.parent, 300)):
        os.utime(folder, (changed, changed))
    assert newest_file([tmp_path], 1000) == 900
    monkeypatch.setattr("glmdeploy.runtime.vitals.CACHE_ENTRIES", 2)
    assert newest_file([tmp_path], 1000) == 400
    monkeypatch.undo()
    assert newest_file([tmp_path], 350) == 400, "what is young enough ends it too"
