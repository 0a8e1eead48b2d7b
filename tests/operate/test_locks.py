"""One apply at a time: who holds the lock is said, and a process that has ended holds none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from glmdeploy.errors import DeployError
from glmdeploy.operate.lock import exclusive

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import pathlib, sys, time
from glmdeploy.operate.lock import exclusive
with exclusive(pathlib.Path(sys.argv[1]), "app on local"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_holder_is_named_and_its_end_frees_the_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "locks")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DeployError) as failure, exclusive(tmp_path / "locks", "app on local"):
            pass
        assert str(failure.value) == f"another command changes app on local on this machine (process {holder.pid})"
        with exclusive(tmp_path / "locks", "another app on local"):
            pass
        holder.send_signal(signal.SIGKILL)
    with exclusive(tmp_path / "locks", "app on local"):
        assert (tmp_path / "locks" / "app on local.pid").read_text() == str(os.getpid())
        with (
            pytest.raises(DeployError, match=f"process {os.getpid()}"),
            exclusive(tmp_path / "locks", "app on local"),
        ):
            pass


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeployError, match="cannot be written") as failure, exclusive(tmp_path / "file", "app"):
        pass
    assert "GLMDEPLOY_HOME" in str(failure.value.advice)
