"""Starts that fail, on the embedded cloud: what the user sees of them, and that they are not repeated for ever."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from served import APPLY, QUICK, engines, last_line, noticed
from support import PATIENCE, copied_cloud, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fault_rows import Fault
    from support import Shell


@pytest.fixture(scope="module")
def shell(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with copied_cloud(template, tmp_path_factory.mktemp("starts")) as one:
        yield one


def test_start_that_fails_is_not_repeated_for_ever(shell: Shell, fault: Fault) -> None:
    failing = ("--set", "sglang.env.GLMDEPLOY_STANDIN_FAIL_START='1'", "--set", "app=failing")
    done = shell.run(*APPLY, *failing, code=1, container_failed=True)
    [error] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "\\n" not in error
    assert "SGLang ended while starting" in error
    url = shell.json(*APPLY, *failing, "--no-wait")["url"]
    for _ in range(10):  # a start is not counted where the volume took too long, as on a busy machine
        started = time.monotonic()
        message = refusal(url)
        seconds = time.monotonic() - started
        if message.startswith("container failed to start: SGLang is not started: the last 3 starts"):
            break
    else:
        raise AssertionError(message)
    assert "SGLang ended while starting" in message, "the reason of the last one"
    # Until the next apply that changes something, or is told to.
    assert shell.json(*APPLY, *failing, "--no-wait", "--force")["changed"]
    assert "SGLang is not started" not in refusal(url)
    fault("start that fails", error.removeprefix("error: "))
    fault("start that fails for the fourth time", "SGLang is not started: the last 3 starts ...", seconds=seconds)


def refusal(url: str) -> str:
    try:
        urllib.request.urlopen(f"{url}/health", timeout=PATIENCE).close()
    except urllib.error.HTTPError as error:
        with error:
            return str(json.loads(error.read())["error"]["message"])
    raise AssertionError("it serves")


@pytest.mark.thorough
def test_start_past_its_deadline(shell: Shell, fault: Fault) -> None:
    late = ("--set", "sglang.env.GLMDEPLOY_STANDIN_START_SECONDS='600'", "--set", "server.startup_timeout=60")
    waived = ("--set", "waive=[{rule: GLM040, reason: a test, until: 2099-01-01}]", "--set", "app=late")
    started = time.monotonic()
    done = shell.run(*APPLY, *late, *waived, code=1, container_failed=True)
    [error] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "SGLang was not healthy after" in error
    fault("start that is too slow, `startup_timeout: 60`", error[7:], seconds=time.monotonic() - started)
    wait_until(lambda: not engines(shell))


def test_missing_secret(shell: Shell, fault: Fault) -> None:
    without = [word for word in APPLY if word != "--make-secrets"]
    done = shell.run(*without, "--set", "secrets.api_key.name=nobody-made-this", code=1)
    [error] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "nobody-made-this" in error
    assert "--make-secrets" in done.stderr
    assert "modal secret create nobody-made-this" in done.stderr
    fault("missing secret", error.removeprefix("error: "))


@pytest.mark.thorough
def test_kernels_that_are_gone(shell: Shell, fault: Fault) -> None:
    """The next cold start says so, and the next apply compiles them anew."""
    url = shell.json(*APPLY, *QUICK, "--set", "server.max_containers=2")["url"]
    [pid] = engines(shell)
    kernel, *_ = (shell.home / "volumes").rglob("*.cubin")
    kernel.unlink()
    os.kill(pid, signal.SIGKILL)
    noticed(shell, url, pid)
    said = last_line(shell, "compiled kernels are gone")
    again = shell.json(*APPLY, *QUICK, "--set", "server.max_containers=1")
    assert again["stages"] == {"download": False, "compile": True}
    assert kernel.exists()
    fault("stale kernel cache: a kernel of the volume is gone", said)
