"""What goes wrong around an ``apply``: a clear message, nothing half-deployed, nothing lost."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE, copied_cloud, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fault_rows import Fault
    from support import Shell

APPLY = ("apply", "b200-eagle-bf16kv", "--target", "local", "--yes", "--no-preflight", "--make-secrets")
SLOW = ("--set", "sglang.env.GLMDEPLOY_STANDIN_START_SECONDS=600")
"""The stand-in engine takes longer to start than any test."""


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read a running command's standard error until a line has ``words``."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"{words!r} never came: {process.communicate()}")


def test_daemon_killed_during_a_stage(ready: Shell) -> None:
    with ready.started(*APPLY, "-v") as process:
        read_until(process, "preflight ...")
        os.kill(ready.cloud.pid, signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "error: the embedded cloud has ended" in stderr
    assert "nothing was deployed" in stderr
    assert "Traceback" not in stdout + stderr
    ready.run("local", "start")
    assert ready.deployed() == []
    assert ready.json(*APPLY)["changed"] is True


@pytest.mark.thorough
def test_daemon_killed_while_waiting(ready: Shell) -> None:
    with ready.started(*APPLY, "-v", *SLOW) as process:
        read_until(process, "start ...")
        os.kill(ready.cloud.pid, signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "is deployed" in stderr
    assert "error: the embedded cloud has ended" in stderr
    assert "Traceback" not in stdout + stderr
    assert ready.json(*APPLY, *SLOW, "--no-wait")["changed"] is False, "the deployment survived"


@pytest.mark.thorough
@pytest.mark.parametrize("moment", ["preflight ...", "start ..."])
def test_interrupt(ready: Shell, moment: str) -> None:
    with ready.started(*APPLY, "-v", *SLOW) as process:
        read_until(process, moment)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Interrupted." in stderr
    assert ("nothing was deployed" in stderr) == (moment == "preflight ...")
    assert "Traceback" not in stdout + stderr
    assert ready.deployed() == ([] if moment == "preflight ..." else ["glm51-fp8"])
    wait_until(lambda: len(ready.containers("glm51-fp8")) <= (moment != "preflight ..."))


@pytest.mark.thorough
def test_two_applies_at_once(ready: Shell) -> None:
    with ready.started(*APPLY, "-v", *SLOW) as first:
        read_until(first, "preflight ...")
        second = ready.run(*APPLY, code=1)
        assert f"another command changes glm51-fp8 on local on this machine (process {first.pid})" in second.stderr
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=PATIENCE)
    assert ready.json(*APPLY)["changed"] is True, "the lock is free again"


@pytest.mark.thorough
def test_two_first_applies_start_one_cloud(fresh: Shell) -> None:
    with fresh.started(*APPLY, "--set", "app=app-0") as first, fresh.started(*APPLY, "--set", "app=app-1") as second:
        outputs = [process.communicate(timeout=PATIENCE) for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    assert sorted(fresh.deployed()) == ["app-0", "app-1"]


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


def test_a_server_that_does_not_start(warm: Shell) -> None:
    crash = ("--set", "sglang.env.GLMDEPLOY_STANDIN_CRASH_FILE=/proc/self/cmdline")
    done = warm.run(*APPLY, *crash, code=1)
    assert "was taken back" in done.stderr
    told = done.stderr[done.stderr.index("error: ") :].splitlines()
    assert told[0].startswith("error: the new version of glm51-fp8 refuses to serve: SGLang ")
    assert told[1] == "it never answered a request"
    assert told[2].startswith("all of its output: `glmdeploy logs glm51-fp8 --version ")
    assert not told[3:]
    step = done.stderr[done.stderr.index("✗ start") :].splitlines()
    theirs = [line for line in step if line.startswith("      | ")]
    assert theirs[-1].endswith("exists: the stand-in kills itself")
    assert "server_args" not in "".join(theirs)


def test_a_stage_that_fails(ready: Shell) -> None:
    gone = ("--set", "model.repo=nonexistent/x", "--set", f"model.revision='{'0' * 40}'")
    done = ready.run(*APPLY, *gone, code=1, container_failed=True)
    told = done.stderr[done.stderr.index("error: ") :].splitlines()
    assert told[0].startswith("error: the stage download failed: ")
    kept = Path(told[-1].removeprefix("all of its output: "))
    assert "Traceback" in kept.read_text(), "all that others printed is there"
    assert "Traceback" not in done.stderr
    assert "✗ weights" in done.stderr
    assert "nothing was deployed" in done.stderr


@pytest.mark.thorough
def test_failed_starts_are_forgotten(ready: Shell, tmp_path: Path) -> None:
    """Somebody has looked at what failed: the plan is started again, and other plans keep their count."""
    digest = ready.json("apply", "b200-eagle-bf16kv", "--target", "local", "--dry-run")["digest"][:40]
    failure = tmp_path / "1764000000-0a1b2c3d.json"
    failure.write_text('{"at": 1764000000, "reason": "x"}')
    folder = ".glmdeploy/failures"
    for owner in (digest, "0" * 40):
        path = f"{folder}/{owner}/{failure.name}"
        assert ready.modal("volume", "put", "glm51-model-weights", str(failure), path).returncode == 0
    ready.run(*APPLY, "--no-wait")
    listed = ready.modal("volume", "ls", "glm51-model-weights", f"{folder}/{'0' * 40}", "--json")
    assert failure.name in listed.stdout
    assert failure.name not in ready.modal("volume", "ls", "glm51-model-weights", f"{folder}/{digest}", "--json").stdout


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


@pytest.mark.thorough
def test_full_disk(small_disk: Path, template: Path, fault: Fault) -> None:
    with copied_cloud(template, small_disk) as shell:
        shell.run("local", "start")
        ballast = small_disk / "ballast"
        fill(ballast)
        done = shell.run(*APPLY, "--set", "server.max_containers=2", "--set", "description=x", code=1)
        assert "No space left" in done.stderr or "full" in done.stderr
        ballast.unlink()
        again = shell.json("apply", "b200-eagle-bf16kv", "--target", "local", "--dry-run")
        assert again["changed"] is False, "what was deployed is untouched"
        assert shell.json(*APPLY, "--set", "server.max_containers=2")["changed"] is True
        error = next(line for line in done.stderr.splitlines() if line.startswith("error: "))
        fault("disk of the embedded cloud full", error.removeprefix("error: "))


def test_home_not_writable(fresh: Shell, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = type(fresh)(blocked / "home").run(*APPLY, code=1)
    assert "GLMDEPLOY_HOME" in done.stderr


def test_containers_die_with_the_daemon(warm: Shell) -> None:
    url = warm.json(*APPLY)["url"]
    with urllib.request.urlopen(f"{url}/health", timeout=PATIENCE) as answer:
        assert answer.status == 200
    search = ["pgrep", "-f", str(warm.home)]
    before = subprocess.run(search, capture_output=True, text=True, check=False).stdout.split()
    assert before, "the engine runs"
    os.kill(warm.cloud.pid, signal.SIGKILL)
    wait_until(lambda: not subprocess.run(search, capture_output=True, check=False).stdout)


def test_what_a_killed_cloud_has_left_ends_when_the_next_one_starts(warm: Shell) -> None:
    """Whatever ended the watcher of a container as well."""
    root = {"GLMDEPLOY_LOCAL_ROOT": f"{warm.home}/containers/ta-left"}
    other = {"GLMDEPLOY_LOCAL_ROOT": f"{warm.home}-other/containers/ta-left"}
    with (
        subprocess.Popen(["sleep", "600"], env=root) as left,
        subprocess.Popen(["sleep", "600"], env=other) as stranger,
    ):
        warm.run("local", "start")
        assert left.wait(PATIENCE) == -signal.SIGKILL
        assert stranger.poll() is None
        stranger.kill()
