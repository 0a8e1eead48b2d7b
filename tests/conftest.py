"""What all tests share: embedded clouds to apply to, interrupts that are heard, no time limits in property tests."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from modal_proto import api_pb2
from support import Shell, call, copied_cloud, own_cloud

from glmdeploy.sglang.real import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent

pytest_plugins = ["snapshots", "fault_rows"]

# How fast an example runs says more about the machine than about the code. What is found by chance must fail who looks
# for it, which the nightly job does, and nobody who changed something else: every run tries the same examples.
_at_any_speed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("every run", _at_any_speed, max_examples=10, derandomize=True)
settings.register_profile("all", _at_any_speed, max_examples=100)

# xdist tells its workers the width of the terminal: what is printed here has none, unless a test says one.
os.environ.pop("COLUMNS", None)

# Whether the real engine is installed here decides no test but those that ask for it: see tests/real_engine.py.
os.environ.setdefault("GLMDEPLOY_TEST_ENGINE", str(environment.engine_cache()))
os.environ["GLMDEPLOY_ENGINE"] = str(HERE / "no-engine")

# A shell's background job has interrupts ignored, and so has all that it starts: an interrupted apply would go on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("the real SGLang", "see tests/sglang_record.py")
    group.addoption("--record", action="store_true", help="ask the real SGLang what is not recorded, and record it")
    parser.getgroup("faults").addoption("--kills", type=int, default=3, help="how many kills tests/faults makes")
    group.addoption("--ask-sglang", action="store_true", help="ask the real SGLang everything, recorded or not")
    group.addoption("--all", action="store_true", help="also what .ci/nightly alone tries, and more examples")
    group.addoption("--engine", action="store_true", help="run the real SGLang on this CPU, where a test needs it")
    group.addoption("--tools", action="store_true", help="fail where a program of others is missing: tests/external.py")
    group.addoption("--launches", type=int, default=400, help="launches whose words are accounted for")
    group.addoption("--hang-limit", type=int, default=60, help="the watch's limit in tests with --engine, in seconds")
    group.addoption("--quick-hangs", action="store_true", help="of the table of hangs, only what every run tries")


SLOW = ("docs", "faults", "operate", "local", "runtime")
"""Folders of tests that take minutes for a few tests: they come first, so that no worker waits for one at the end."""

PLACES = sorted({str(HERE / path.relative_to(HERE).parts[0]) for path in HERE.rglob("test_*.py")})
"""All tests. Each worker begins elsewhere, and so they compile a fresh clone's tests together, not each of them all."""


def pytest_xdist_auto_num_workers() -> int:
    """For ``-n auto``: two more than there are cores, for many tests wait most of the time."""
    return (os.cpu_count() or 1) + 2


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "thorough: another of a kind that every run tries; runs with --all")
    if config.getoption("--tools"):
        os.environ["GLMDEPLOY_TEST_TOOLS"] = "required"
    settings.load_profile("all" if config.getoption("--all") else "every run")
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        config.args[:] = PLACES
    if config.args == PLACES and "PYTEST_XDIST_WORKER" in os.environ:
        first = len(PLACES) * int(os.environ["PYTEST_XDIST_WORKER"][2:]) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        config.args[:] = PLACES[first:] + PLACES[:first]


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """All that is collected lives as long as the process: to look for garbage in it was two fifths of the time."""
    gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--all"):
        for item in items:
            if item.get_closest_marker("thorough"):
                item.add_marker(pytest.mark.skip(reason="another of its kind: needs --all"))

    def place(item: pytest.Item) -> tuple[int, Path]:
        folder = item.path.relative_to(HERE).parts[0]
        return SLOW.index(folder) if folder in SLOW else len(SLOW), item.path

    items.sort(key=place)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """One embedded cloud for a module's tests."""
    with own_cloud(tmp_path_factory.mktemp("cloud")) as shell:
        yield shell


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Shell]:
    """An embedded cloud for one test."""
    with own_cloud(tmp_path) as shell:
        yield shell


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an embedded cloud that has deployed a profile and was stopped: made once, for all workers."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    home = folder / "template"
    with FileLock(folder / "template.lock"):
        if not home.exists():
            with own_cloud(folder / "template-draft") as shell:
                shell.run("apply", "b200-eagle-bf16kv", "--target", "local", "--yes", "--make-secrets")
            shell.home.rename(home)
    return home


@pytest.fixture
def warm(template: Path, tmp_path: Path) -> Iterator[Shell]:
    """An embedded cloud for one test that has deployed glm51-fp8 and does not run yet."""
    with copied_cloud(template, tmp_path) as shell:
        yield shell


@pytest.fixture
def ready(warm: Shell) -> Shell:
    """An embedded cloud for one test that runs and has weights, kernels and secrets, but no app."""
    warm.run("local", "start")
    found = call(warm.cloud, "AppGetByDeploymentName", api_pb2.AppGetByDeploymentNameRequest(name="glm51-fp8"))
    call(warm.cloud, "AppStop", api_pb2.AppStopRequest(app_id=found.app_id))
    assert warm.deployed() == []
    return warm


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
