"""A control plane that answers no more: ``apply`` says so and ends, at every moment, and Ctrl-C always works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE, Shell, some

from glmdeploy.errors import DeployError
from glmdeploy.operate import asking
from glmdeploy.operate.asking import attended, plainly, within
from glmdeploy.operate.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fault_rows import Fault

MODAL = Target(name="modal", environment=None)

SLOW = ("--set", "sglang.env.GLMDEPLOY_STANDIN_START_SECONDS=600")
APPLY = ("apply", "b200-eagle-bf16kv", "--target", "local", "--yes", "--no-preflight", *SLOW)

IMPATIENT = """
import sys
from glmdeploy.operate import asking, live, revision, stages
asking.ANSWER_SECONDS = asking.SILENCE_SECONDS = 10
asking.BEAT_SECONDS = asking.CANCEL_SECONDS = 2
live.DESCRIBE_SECONDS = 10
revision.SECONDS = revision.REQUEST_SECONDS = 10
stages.GONE_SECONDS = 1
from glmdeploy import cli
cli.EXIT_SECONDS = 5
cli.entry()
"""
"""glmdeploy with limits of seconds instead of a minute, which differ in nothing else."""


@contextmanager
def impatient(shell: Shell, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", IMPATIENT, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=shell.env, text=True, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"{words!r} never came: {process.communicate()}")


MOMENTS = ("", "preflight ...", "deploy ...", "start ...")


@pytest.mark.parametrize("moment", some(MOMENTS, "deploy ..."))
def test_a_control_plane_that_stops(ready: Shell, moment: str, fault: Fault) -> None:
    daemon = ready.cloud.pid
    with impatient(ready, *APPLY, "-v") as process:
        if moment:
            read_until(process, moment)
        with stopped(daemon):
            stdout, stderr = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1, stderr
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, stderr
    assert "answer" in errors[0]
    for noise in ("Traceback", "has a bug", "Exception"):
        assert noise not in stdout + stderr
    assert ("is deployed" in stderr) == (moment == "start ..."), stderr
    again = ready.run(*APPLY, "--no-wait")
    assert "error" not in again.stderr
    when = f"at `{moment.removesuffix(' ...')}`" if moment else "from the start"
    fault(f"control plane stopped {when}", errors[0].removeprefix("error: "))
    assert ready.deployed() == ["glm51-fp8"]


@pytest.mark.parametrize("moment", some(("preflight ...", "start ..."), "preflight ..."))
def test_an_interrupt_while_nothing_answers(ready: Shell, moment: str) -> None:
    daemon = ready.cloud.pid
    with ready.started(*APPLY, "-v") as process:
        read_until(process, moment)
        with stopped(daemon):
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130, stderr
    assert "Interrupted." in stderr
    assert "Traceback" not in stderr


def test_a_question_has_a_limit() -> None:
    never = threading.Event()
    with pytest.raises(DeployError, match=r"^could not count the stars: Modal did not answer within 0 s$"):
        within(MODAL, "count the stars", lambda: plainly(never.wait), seconds=0.01)


def test_what_takes_long_goes_on_as_long_as_the_target_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    beats = [True, False, True, True]
    ended = threading.Event()

    def lives(_: object) -> bool:
        if len(beats) == 1:
            ended.set()
        return beats.pop(0)

    monkeypatch.setattr(asking, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(asking, "_lives", lives)
    assert attended(MODAL, "wait", lambda: plainly(lambda: ended.wait(PATIENCE))) is True
    assert beats == []
