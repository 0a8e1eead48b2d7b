"""In pytest: which tests run which lines, and what the tests say of a mutant, each in a fork of a process that is warm.

``GLMDEPLOY_MUTATION`` names a file with the orders: what to do, and where the answers go.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, settings

from mutation.mutants import ROOT, Mutant, code_of, within

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ORDERS = "GLMDEPLOY_MUTATION"
TIMES, SLACK = 5, 20
"""How many times as long as without it the tests of a mutant may take, and how many seconds more: of the processor."""
PATIENCE = 600.0
"""Seconds by the clock after which a process that waits for something is given up."""

settings.register_profile(
    "mutation", max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Mapping() if _orders()["what"] == "map" else _Judging(), "mutation of one run")


@functools.cache
def _orders() -> dict[str, Any]:
    orders: dict[str, Any] = json.loads(Path(os.environ[ORDERS]).read_text())
    return orders


class _Same:
    """Property tests try the same examples each time."""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        settings.load_profile("mutation")


class _Mapping(_Same):
    """Notes the lines of the subjects that each test runs, and how long it takes."""

    def __init__(self) -> None:
        import coverage

        include = [str(ROOT / file) for file in _orders()["files"]]
        self._coverage = coverage.Coverage(data_file=None, include=include, config_file=False, messages=False)
        self._coverage.start()
        self._seconds: dict[str, float] = {}
        self._failed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        fresh(item)
        self._coverage.switch_context(item.nodeid)
        began = time.process_time()
        try:
            return (yield)
        finally:
            self._seconds[item.nodeid] = time.process_time() - began
            self._coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or report.skipped:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        lines: dict[str, dict[int, list[str]]] = {}
        for file in data.measured_files():
            lines[str(Path(file).relative_to(ROOT))] = {
                line: [each for each in contexts if each not in self._failed]
                for line, contexts in data.contexts_by_lineno(file).items()
            }
        Path(_orders()["to"]).write_text(json.dumps({"lines": lines, "seconds": self._seconds}))


class _Judging(_Same):
    """Forks for each mutant, and has the tests that may notice it run there, until one does."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        for name in _orders()["warm"]:
            if name in items:
                runtestprotocol(items[name], nextitem=None, log=False)
        gc.unfreeze()  # what conftest.py has frozen cannot be found
        _forget("glmdeploy.rules.check", "glmdeploy.rules.guards", "glmdeploy.plan.source")
        with Path(_orders()["to"]).open("a") as answers:
            functions = _functions()
            gc.freeze()
            until = time.monotonic() + (_orders()["seconds"] or float("inf"))
            for order in _orders()["mutants"]:
                if time.monotonic() > until:
                    break
                mutant = Mutant(**order["mutant"])
                tests = [items[name] for name in order["tests"] if name in items]
                outcome, by = _judge(mutant, tests, functions, int(order["seconds"] * TIMES + SLACK))
                answers.write(json.dumps({"id": mutant.id, "outcome": outcome, "by": by}) + "\n")
                answers.flush()
        return True


def _functions() -> dict[tuple[str, str], list[FunctionType]]:
    """All functions that there are, by file and qualified name."""
    for file in _orders()["files"]:
        importlib.import_module(file.removesuffix(".py").replace("/", "."))
    found: dict[tuple[str, str], list[FunctionType]] = {}
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename.startswith(str(ROOT / "glmdeploy")):
            key = (each.__code__.co_filename, each.__code__.co_qualname)
            found.setdefault(key, []).append(each)
    return found


def _forget(*modules: str) -> None:
    """Empty the caches of functions of these modules, and of those below them."""
    for each in gc.get_objects():
        if isinstance(each, functools._lru_cache_wrapper) and (each.__module__ or "").startswith(modules):
            each.cache_clear()


def fresh(test: object) -> None:
    """Empty the caches of a test's own module: what another test has asked before, it does not run itself."""
    module = getattr(test, "module", None)
    for each in list(vars(module).values()) if module else []:
        if isinstance(each, functools._lru_cache_wrapper) and each.__module__ == module.__name__:
            each.cache_clear()


def _judge(
    mutant: Mutant, tests: Sequence[pytest.Item], functions: dict[tuple[str, str], list[FunctionType]], seconds: int
) -> tuple[str, str]:
    """What becomes of a mutant: killed and by which test, survived, or late."""
    live = functions.get((str(ROOT / mutant.file), mutant.function), [])
    if not live or not tests:
        return "unreached", ""
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(heard)
        _in_fork(mutant, tests, functions, said, seconds)
    os.close(said)
    try:
        ready, _, _ = select.select([heard], [], [], PATIENCE)
        answer = os.read(heard, 65536).decode() if ready else ""
        if not ready:
            os.kill(child, signal.SIGKILL)
    finally:
        os.close(heard)
        _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGXCPU):
        return "late", ""
    outcome, _, by = answer.partition("\n")
    return (outcome, by) if outcome else ("killed", "the process ended")


def _in_fork(
    mutant: Mutant,
    tests: Sequence[pytest.Item],
    functions: dict[tuple[str, str], list[FunctionType]],
    said: int,
    seconds: int,
) -> None:
    """Does not return. What functions have made already, while modules were read, changes with them."""
    live = functions[str(ROOT / mutant.file), mutant.function]
    begun = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (begun + seconds, begun + seconds + 1))
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(quiet, descriptor)
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (until the process ends)
    try:
        code = code_of(mutant)
        for function in live:
            function.__code__ = code
        for inner in within(code):
            for function in functions.get((inner.co_filename, inner.co_qualname), []):
                if function.__code__.co_firstlineno == inner.co_firstlineno:
                    function.__code__ = inner
        _forget(live[0].__module__)
        for test in {id(getattr(each, "module", None)): each for each in tests}.values():
            fresh(test)
    except (ValueError, SyntaxError) as fault:
        os.write(said, f"impossible\n{fault}".encode())
        os._exit(0)
    for index, test in enumerate(tests):
        following = tests[index + 1] if index + 1 < len(tests) else None
        try:
            reports = runtestprotocol(test, nextitem=following, log=False)
        except BaseException as fault:
            os.write(said, f"killed\n{test.nodeid} ({type(fault).__name__})".encode())
            os._exit(0)
        if any(report.failed for report in reports):
            os.write(said, f"killed\n{test.nodeid}".encode())
            os._exit(0)
    os.write(said, b"survived\n")
    os._exit(0)
