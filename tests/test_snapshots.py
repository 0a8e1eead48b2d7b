"""Snapshots themselves: what is missing, stale or unused fails, and ``--update`` writes what is shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import PATIENCE, some

CASES = """
import pytest
from support import PATIENCE

@pytest.mark.parametrize("name", ["first", "second"])
def test(name, snapshot):
    snapshot(name, name)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of tests with both of their snapshots, and one of none."""
    (tmp_path / "test_it.py").write_text(CASES)
    (tmp_path / "snapshots").mkdir()
    for name in ("first", "second", "third"):
        (tmp_path / "snapshots" / f"{name}.txt").write_text(name)
    return tmp_path


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    words = [sys.executable, "-m", "pytest", "-p", "snapshots", "-q", "-p", "no:cacheprovider", *arguments]
    env = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parent.parent}",
    }
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE)
    return done.returncode, done.stdout


@pytest.mark.parametrize("workers", some([(), ("-p", "xdist", "-n", "2")], ()))
def test_an_unused_one_fails(folder: Path, workers: tuple[str, ...]) -> None:
    code, out = run(folder, *workers, ".")
    assert (code, "no test uses" in out, "third.txt" in out) == (1, True, True)
    assert run(folder, *workers, "--update", ".")[0] == 0
    assert sorted(file.name for file in (folder / "snapshots").iterdir()) == ["first.txt", "second.txt"]


@pytest.mark.parametrize(
    "chosen", some([("-k", "first"), ("test_it.py",), ("test_it.py::test[first]",)], ("-k", "first"))
)
def test_some_tests_tell_nothing_of_what_is_unused(folder: Path, chosen: tuple[str, ...]) -> None:
    assert run(folder, "--update", *chosen)[0] == 0
    assert (folder / "snapshots" / "third.txt").exists()


def test_a_stale_or_missing_one_fails_until_it_is_written(folder: Path) -> None:
    (folder / "snapshots" / "first.txt").write_text("old")
    (folder / "snapshots" / "second.txt").unlink()
    code, out = run(folder, "test_it.py")
    assert (code, "first.txt is stale" in out, "there is no" in out) == (1, True, True)
    assert run(folder, "--update", "test_it.py")[0] == 0
    assert [(folder / "snapshots" / f"{name}.txt").read_text() for name in ("first", "second")] == ["first", "second"]
