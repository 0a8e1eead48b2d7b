"""Many profiles in several processes: the same answers in the same order, and nothing is left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from glmdeploy.cli import shares
from glmdeploy.profile.text.load import load
from glmdeploy.resources import profiles_dir

PATIENCE = 120
MANY = 2 * shares.WORTH + 7

CODE = """
import os, sys
from glmdeploy.cli.shares import shared
parent = os.getpid()

def doubled(item):
    alone = os.getpid() == parent
    if item == 7 and not alone:
        raise ValueError("a fork fails")
    if item == 11 and not alone:
        os.kill(os.getpid(), 9)
    if item == {bad}:
        raise LookupError(f"no {{item}}")
    return item * 2, "x" * 20_000

found = []
try:
    for each, _ in shared(doubled, range({count}), {number}):
        found.append(each)
except LookupError as error:
    print(error)
print(found)
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("nobody is left")
"""


def run_code(*, count: int, number: int, bad: int = -1) -> list[str]:
    """In a process of its own, because a process with threads is not to be forked."""
    code = CODE.format(count=count, number=number, bad=bad)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize(("count", "number"), [(0, 2), (1, 2), (2, 3), (3, 2), (40, 1), (40, 2), (40, 3), (5, 9)])
def test_results_come_in_order_though_forks_fail_and_are_killed(count: int, number: int) -> None:
    assert run_code(count=count, number=number) == [str([2 * each for each in range(count)]), "nobody is left"]


def test_what_fails_everywhere_fails_in_its_turn() -> None:
    assert run_code(count=40, number=3, bad=20) == ["no 20", str([2 * each for each in range(20)]), "nobody is left"]


def test_few_items_are_not_worth_a_process() -> None:
    assert shares.processes(2 * shares.WORTH - 1) == 1
    assert 1 <= shares.processes(100_000) <= shares.MOST


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Profiles of all kinds, some of them broken."""
    place = tmp_path_factory.mktemp("many")
    shipped = [load(str(file)).data for file in sorted(profiles_dir().glob("*.yaml"))]
    for number in range(MANY):
        data = shipped[number % len(shipped)] | {"name": f"n-{number}"}
        text = json.dumps(data | ({"colour": 1} if number % 20 == 3 else {}), indent=1)
        (place / f"{number:03}.yaml").write_text("schema: 1\napp: a\ngpu: B200\nname: [\n" if number == 50 else text)
    return place


def told(folder: Path, *options: str, ends: int = 1) -> tuple[bytes, bytes]:
    command = [sys.executable, "-m", "glmdeploy", "validate", ".", *options]
    done = subprocess.run(command, capture_output=True, check=False, cwd=folder, timeout=PATIENCE)
    assert done.returncode == ends, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("form", ["pretty", "json", "sarif", "junit", "github"])
def test_each_format_is_the_same_whoever_judged(form: str, folder: Path) -> None:
    alone = told(folder, "--format", form, "--parallel", "1")
    assert alone[0]
    assert told(folder, "--format", form, "--parallel", "3") == alone


def test_everything_is_shown_of_many_too(folder: Path) -> None:
    alone = told(folder, "--all", "--strict", "--parallel", "1")
    assert told(folder, "--all", "--strict", "--parallel", "2") == alone
    assert b"warning GLM" in alone[0]


def test_a_reader_that_leaves_is_no_fault(folder: Path) -> None:
    command = f"{sys.executable} -m glmdeploy validate . --format json --parallel 2 | head -c 10"
    done = subprocess.run(command, shell=True, capture_output=True, check=True, cwd=folder, timeout=PATIENCE)
    assert (len(done.stdout), done.stderr) == (10, b"")


def test_an_interrupt_ends_all(folder: Path) -> None:
    files = [str(each) for each in sorted(folder.glob("*.yaml"))]
    command = [sys.executable, "-m", "glmdeploy", "validate", "--parallel", "2"]
    # The same files by so many names that there is time to interrupt.
    names = [f"{each[:1]}{'/.' * level}{each}" for level in range(60) for each in files]
    running = subprocess.Popen(
        [*command, *names], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    deadline = time.monotonic() + PATIENCE
    forks: list[str] = []
    while len(forks) < 2 and time.monotonic() < deadline and running.poll() is None:
        forks = children.read_text().split()
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, out, err.strip()) == (130, b"", b"Interrupted.")
    assert len(forks) == 2
    assert not any(Path(f"/proc/{each}").exists() for each in forks)
