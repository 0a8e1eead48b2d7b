"""What the tests of commands share: a call in this process, of which the whole output is a snapshot."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from reporting import call
from snapshots import ROOT, transcript
from support import STRANGE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from snapshots import Shows


@pytest.fixture(autouse=True)
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository's root, no colors, and nothing of the developer's own set-up.

    There is no terminal, so help has 80 columns, and no other line is broken.
    """
    monkeypatch.chdir(ROOT)
    for name in [name for name in os.environ if name.startswith((*STRANGE, "FORCE_COLOR", "NO_COLOR"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("COLUMNS", raising=False)
    for name, value in {"HOME": str(tmp_path), "GLMDEPLOY_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def shows(snapshot: Callable[[str, str], None]) -> Shows:
    """A call in this process."""

    def check(name: str, *arguments: str | Path, stdin: str = "") -> tuple[int, str, str]:
        words = tuple(map(str, arguments))
        code, out, err = call(*words, stdin=stdin)
        snapshot(name, transcript(words, code, out, err))
        return code, out, err

    return check
