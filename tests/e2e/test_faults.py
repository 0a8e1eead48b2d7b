"""What goes wrong around an ``apply``: a clear message, nothing half-deployed, nothing lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support import Shell

APPLY = ("apply", "b200-eagle-bf16kv", "--target", "local", "--yes")
SLOW = ("--set", "sglang.env.GLMDEPLOY_STANDIN_START_SECONDS=600")
"""The stand-in engine takes longer to start than any test."""


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read a running command's standard error until a line has ``words``."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"{words!r} never came: {process.communicate()}")


def daemon(shell: Shell) -> int:
    return int(shell.json("local", "status")["pid"])


def deployed(shell: Shell) -> list[str]:
    apps = json.loads(shell.modal("app", "list", "--json").stdout)
    return [app["description"] for app in apps if app["state"] == "deployed"]


def test_daemon_killed_during_a_stage(fresh: Shell) -> None:
    fresh.run("local", "start")
    with fresh.started(*APPLY) as process:
        read_until(process, "Stage download")
        os.kill(daemon(fresh), signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "error: the embedded cloud has ended" in stderr
    assert "Nothing was deployed" in stderr
    assert "Traceback" not in stdout + stderr
    fresh.run("local", "start")
    assert deployed(fresh) == []
    assert fresh.json(*APPLY)["changed"] is True


def test_daemon_killed_while_waiting(fresh: Shell) -> None:
    with fresh.started(*APPLY, *SLOW) as process:
        read_until(process, "Waiting for the endpoint")
        os.kill(daemon(fresh), signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "is deployed" in stderr
    assert "error: the embedded cloud has ended" in stderr
    assert "Traceback" not in stdout + stderr
    assert fresh.json(*APPLY, *SLOW, "--no-wait")["changed"] is False, "the deployment survived"


@pytest.mark.parametrize("moment", ["Stage download", "Waiting for the endpoint"])
def test_interrupt(fresh: Shell, moment: str) -> None:
    fresh.run("local", "start")
    with fresh.started(*APPLY, *SLOW) as process:
        read_until(process, moment)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Interrupted." in stderr
    assert ("Nothing was deployed" in stderr) == (moment == "Stage download")
    assert "Traceback" not in stdout + stderr
    assert deployed(fresh) == ([] if moment == "Stage download" else ["glm51-fp8"])
    running = json.loads(fresh.modal("container", "list", "--json").stdout)
    assert len(running) <= (moment != "Stage download")


def test_two_applies_at_once(fresh: Shell) -> None:
    fresh.run("local", "start")
    with fresh.started(*APPLY, *SLOW) as first:
        read_until(first, "Stage download")
        second = fresh.run(*APPLY, code=1)
        assert f"another apply of glm51-fp8 on local is running on this machine (process {first.pid})" in second.stderr
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=PATIENCE)
    assert fresh.json(*APPLY)["changed"] is True, "the lock is free again"


def test_two_first_applies_start_one_cloud(fresh: Shell) -> None:
    with fresh.started(*APPLY, "--set", "app=app-0") as first, fresh.started(*APPLY, "--set", "app=app-1") as second:
        outputs = [process.communicate(timeout=PATIENCE) for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    assert sorted(deployed(fresh)) == ["app-0", "app-1"]


def test_port_in_use(fresh: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = fresh.run("local", "start", "--port", str(port), code=1)
        assert str(port) in done.stderr
    fresh.run("local", "start", "--port", str(port))
    fresh.run("local", "stop")
    with socket.create_server(("127.0.0.1", port)):
        moved = fresh.run("local", "start")
        assert str(port) in moved.stderr, "an automatic start takes another port and says so"


def test_a_server_that_does_not_start(fresh: Shell) -> None:
    fresh.run(*APPLY)
    crash = ("--set", "sglang.env.GLMDEPLOY_STANDIN_CRASH_FILE=/proc/self/cmdline")
    done = fresh.run(*APPLY, *crash, code=1)
    assert "The app is deployed" in done.stderr
    assert "the endpoint did not start" in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs root and a mount of a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(file: Path) -> None:
    """Write to ``file`` until its disk is full."""
    with file.open("wb", buffering=0) as output, contextlib.suppress(OSError):
        while output.write(bytes(65536)) == 65536:
            pass


def test_full_disk(small_disk: Path, fresh: Shell) -> None:
    shell = type(fresh)(small_disk / "glmdeploy")
    try:
        shell.run(*APPLY)
        ballast = small_disk / "ballast"
        fill(ballast)
        done = shell.run(*APPLY, "--set", "server.max_containers=2", "--set", "description=x", code=1)
        assert "No space left" in done.stderr or "full" in done.stderr
        ballast.unlink()
        again = shell.json("apply", "b200-eagle-bf16kv", "--target", "local", "--dry-run")
        assert again["changed"] is False, "what was deployed is untouched"
        assert shell.json(*APPLY, "--set", "server.max_containers=2")["changed"] is True
    finally:
        shell.run("local", "stop")


def test_home_not_writable(fresh: Shell, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = type(fresh)(blocked / "home").run(*APPLY, code=1)
    assert "GLMDEPLOY_HOME" in done.stderr


def test_containers_die_with_the_daemon(fresh: Shell) -> None:
    fresh.run(*APPLY)
    pid = daemon(fresh)
    search = ["pgrep", "-f", str(fresh.home)]
    before = subprocess.run(search, capture_output=True, text=True, check=False).stdout.split()
    assert before, "the engine runs"
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    left = before
    while left and time.monotonic() < deadline:
        time.sleep(0.2)
        left = subprocess.run(search, capture_output=True, text=True, check=False).stdout.split()
    assert left == []
