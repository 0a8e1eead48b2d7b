"""The watch for hangs against the real SGLang on this CPU: every fault is seen by its rule, no busy engine is accused.

Only with ``--engine``. ``--hang-limit 60`` is what is deployed, and takes half an hour; ``--quick-hangs`` tries the
three rows that every run tries.
"""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fault_rows import REAL
from hang_rows import PARALLEL, QUICK, ROWS, TWO, WIDE, Row
from real_engine import RealEngine
from support import PATIENCE

from glmdeploy.runtime.vitals import ProcessTable
from glmdeploy.runtime.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fault_rows import Fault

ARGS: dict[str, Any] = {
    "chunked-prefill-size": 128,
    "context-length": 60_000,
    "max-total-tokens": 80_000,
    "disable-radix-cache": True,
}
ENGINES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "one": ({}, {}),
    "retracting": ({}, {"SGLANG_TEST_RETRACT": "1"}),
    WIDE: ({"max-running-requests": 160}, {}),
    PARALLEL: ({"dp": 2}, {"SGLANG_CPU_OMP_THREADS_BIND": "0|1"}),
    TWO: ({"tp": 2}, {"SGLANG_CPU_OMP_THREADS_BIND": "0|1"}),
}
"""Options and variables beside those of the profile ``local-cpu``."""


class Engines:
    """At most one engine runs at a time: an idle one takes a core."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._kind = ""
        self.running: RealEngine | None = None

    def get(self, kind: str) -> RealEngine:
        if self.running is None or kind != self._kind:
            self.end()
            args, env = ENGINES[kind]
            self._kind = kind
            scratch = Path(tempfile.mkdtemp(prefix="engine", dir=self._folder))
            env = {**env, "SGLANG_HEALTH_CHECK_TIMEOUT": str(self._limit)}
            self.running = RealEngine(scratch, args={**ARGS, **args}, env=env, see=lambda _line: None)
        self.running.wait_until_healthy()
        return self.running

    def end(self) -> None:
        if self.running is not None:
            self.running.end()
        self.running = None


@dataclass
class Watching:
    """A watch in a thread: its verdict, and how long it took from the fault to it."""

    watch: Watch
    stopping: threading.Event
    thread: threading.Thread
    verdict: str | None = None
    at: float = 0.0


@pytest.fixture(scope="module")
def limit(pytestconfig: pytest.Config) -> int:
    if not pytestconfig.getoption("--engine"):
        pytest.skip("the real engine is only run with --engine")
    return int(pytestconfig.getoption("--hang-limit"))


@pytest.fixture(scope="module")
def engines(limit: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    all_kinds = Engines(tmp_path_factory.mktemp("engines"), limit)
    yield all_kinds
    all_kinds.end()


@contextmanager
def watched(engine: RealEngine, row: Row, limit: int, caches: Path) -> Iterator[Watching]:
    """The watch as the container runs it; ``Watching.thread`` ends with the verdict, or after the block."""
    settings = {"interval": 5, "timeout": limit + 5, "limit": limit, "decoding": row.decoding, "ranks": row.ranks}
    watch = Watch(
        url=engine.url,
        api_key=None,
        settings={**settings, "compiling": limit if row.rule else 20 * limit},
        caches=[caches],
    )
    engine.see = watch.see

    def run() -> None:
        one.verdict = watch.run(engine.pid, one.stopping)
        one.at = time.monotonic()

    one = Watching(watch, threading.Event(), threading.Thread(target=run, daemon=True))
    one.thread.start()
    try:
        yield one
    finally:
        one.stopping.set()
        one.thread.join(PATIENCE)
        engine.see = lambda _line: None


@contextmanager
def inflicted(engine: RealEngine, row: Row, limit: int) -> Iterator[None]:
    """What the row does to the engine, undone afterwards."""
    files = []
    if row.control:
        name, value = row.control
        files.append(engine.controls / name)
        files[0].write_text(str(value * limit))
    if row.stop:
        engine.signal(row.stop, signal.SIGSTOP)
    if row.hang:
        engine.hang(row.hang)
    try:
        yield
    finally:
        if row.hang:
            engine.free()
        if row.stop:
            engine.signal(row.stop, signal.SIGCONT)
        for file in files:
            file.unlink(missing_ok=True)
        end_compilers(engine)


def end_compilers(engine: RealEngine) -> None:
    for one in ProcessTable().read(engine.pid) or ():
        if one.command == "nvcc":
            engine.signal(one.title, signal.SIGKILL)


def keep_writing(folder: Path, over: threading.Event, limit: int) -> None:
    """Kernels, one after another, each a tenth of the limit after the last."""
    number = 0
    while not over.wait(limit / 10):
        number += 1
        (folder / f"kernel{number}.cubin").write_text("compiled")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row(
    row: Row, engines: Engines, limit: int, tmp_path: Path, pytestconfig: pytest.Config, fault: Fault
) -> None:
    if pytestconfig.getoption("--quick-hangs") and row.name not in QUICK:
        pytest.skip("not one of the quick rows")
    if row.control == ("delay", 0.75) and limit < 60:
        pytest.skip("SGLang looks once a second whether a pass has ended: of a small limit too little is left")
    engine = engines.get(row.engine)
    clients, prompt, answer = row.load
    over = threading.Event()
    if row.caches:
        threading.Thread(target=keep_writing, args=(tmp_path, over, limit), daemon=True).start()
    load = engine.clients(clients, prompt=prompt, answer=answer, interval=10**6 if row.unsent else 1)
    with load, watched(engine, row, limit, tmp_path) as one:
        one.thread.join(limit / 4)  # it has seen the engine well
        assert one.thread.is_alive(), one.verdict
        began = time.monotonic()
        with inflicted(engine, row, limit):
            one.thread.join(PATIENCE if row.rule else max(2 * limit, 15))
            over.set()
        one.stopping.set()
        one.thread.join(PATIENCE)
    seconds = one.at - began
    print(f"\n{row.name}: {seconds:.1f} s; longest silence {one.watch.longest:.1f} s; {one.verdict}", flush=True)
    if row.rule is None:
        assert one.verdict is None
        silent = f"nothing, rightly: /health was silent for {one.watch.longest:.0f} s at most in {seconds:.0f} s"
        fault(f"{row.name}, `limit: {limit}`", silent, engine=REAL)
    else:
        assert one.verdict is not None
        first, *processes = one.verdict.splitlines()
        assert first.startswith(f"hung ({row.rule}): ")
        assert any(" sglang::scheduler" in line and ": state " in line for line in processes)
        fault(f"{row.name}, `limit: {limit}`", first, engine=REAL, seconds=seconds)
    engine.wait_until_healthy()
