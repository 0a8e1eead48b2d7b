"""``kill -9`` at each step of ``apply`` and of ``rollback``, by name: the next command converges."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE, copied_cloud, some

from glmdeploy.operate import steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fault_rows import Fault
    from support import Shell

APP = "glm51-fp8"
PROFILE = ("b200-eagle-bf16kv", "--target", "local")
APPLY = ("apply", *PROFILE, "--yes", "--no-preflight", "--make-secrets")
GARBAGE = ("--set", "sglang.env.GLMDEPLOY_STANDIN_GARBAGE='<html>'")
EDIT = ("--set", "sglang.args.max-running-requests=40")
LIVE = ("--set", "server.scaledown_window=701")

SKIPPED = ("download", "compile", "rehearse")
"""Steps of an ``apply`` that a warm volume leaves out."""
DIES = """
import os, signal, sys
from glmdeploy.operate import steps
at = sys.argv.pop(1)
steps.observers.append(lambda step: os.kill(os.getpid(), signal.SIGKILL) if step == at else None)
from glmdeploy import cli
sys.argv[0] = "glmdeploy"
sys.exit(cli.run(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def shell(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with copied_cloud(template, tmp_path_factory.mktemp("steps")) as one:
        yield one


@pytest.fixture(autouse=True)
def as_deployed(shell: Shell) -> None:
    """Each test begins with the profile, warm."""
    url = shell.json(*APPLY)["url"]
    urllib.request.urlopen(f"{url}/health", timeout=PATIENCE).close()


def killed(shell: Shell, step: str, *arguments: str) -> None:
    """A command that is killed when the step begins."""
    command = [sys.executable, "-c", DIES, step, *arguments]
    done = subprocess.run(
        command, env=shell.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == -signal.SIGKILL, f"{step} was not reached:\n{done.stdout}\n{done.stderr}"


def converged(shell: Shell, *more: str) -> None:
    found = shell.json("apply", *PROFILE, *more, "--dry-run")
    assert (found["changed"], found["live"], found["drift"]) == (False, [], []), found
    url = shell.json(*APPLY, *more)["url"]
    with urllib.request.urlopen(f"{url}/health", timeout=PATIENCE) as answer:
        assert answer.status == 200
    assert shell.deployed() == [APP]


@pytest.mark.parametrize("step", some([each for each in steps.APPLY if each not in SKIPPED], "follow"))
def test_apply_killed_at_a_step(shell: Shell, step: str, fault: Fault) -> None:
    killed(shell, step, *APPLY, *EDIT)
    shell.run(*APPLY, *EDIT)
    converged(shell, *EDIT)
    if step == "follow":
        fault("kill -9 at each step of `apply`", "the next `apply` converges: it follows what was left half done")


@pytest.mark.thorough
@pytest.mark.parametrize("step", steps.LIVE)
def test_a_live_change_killed_at_a_step(shell: Shell, step: str) -> None:
    killed(shell, step, *APPLY, *LIVE)
    shell.run(*APPLY, *LIVE)
    converged(shell, *LIVE)


@pytest.mark.thorough
@pytest.mark.parametrize("step", steps.CANARY)
def test_a_canary_killed_at_a_step(shell: Shell, step: str) -> None:
    killed(shell, step, *APPLY, *EDIT, "--canary")
    shell.run(*APPLY, *EDIT)
    converged(shell, *EDIT)


@pytest.mark.thorough
@pytest.mark.parametrize("step", steps.TAKE_BACK)
def test_a_way_back_killed_at_a_step(shell: Shell, step: str) -> None:
    killed(shell, step, *APPLY, *GARBAGE)
    shell.run(*APPLY)
    converged(shell)


@pytest.mark.thorough
@pytest.mark.parametrize("step", steps.ROLLBACK)
def test_rollback_killed_at_a_step(shell: Shell, step: str) -> None:
    number = str(shell.json("apply", *PROFILE, "--dry-run")["now"]["version"])
    shell.run(*APPLY, *EDIT)
    killed(shell, step, "rollback", APP, number, "--target", "local", "--yes")
    shell.run("rollback", APP, number, "--target", "local", "--yes")
    converged(shell)
