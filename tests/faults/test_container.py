"""Faults of a container that serves, on the embedded cloud: what the user sees, that the next request is served."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import PATIENCE, copied_cloud, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fault_rows import Fault
    from support import Shell

APP = "glm51-fp8"
APPLY = ("apply", "b200-eagle-bf16kv", "--target", "local", "--yes", "--make-secrets")
QUICK = ("--set", "server.health={interval: 1, timeout: 6, limit: 5}")


@pytest.fixture(scope="module")
def shell(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with copied_cloud(template, tmp_path_factory.mktemp("container")) as one:
        yield one


@pytest.fixture(scope="module")
def url(shell: Shell) -> str:
    """The endpoint of a deployment that notices hangs within seconds, with a container that serves."""
    found: str = shell.json(*APPLY, *QUICK)["url"]
    return found


def key(shell: Shell) -> str:
    return shell.run("local", "secret", "glm51-api-key", "API_KEY").stdout.strip()


def status(url: str, path: str = "/health") -> int:
    try:
        with urllib.request.urlopen(f"{url}{path}", timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def engines(shell: Shell) -> list[int]:
    """The processes that serve."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--served-model-name" in words and any(str(shell.home).encode() in word for word in words):
            found.append(int(folder.name))
    return found


def log(shell: Shell) -> str:
    return shell.modal("app", "logs", APP, "--tail", "400").stdout


def noticed(shell: Shell, url: str, pid: int) -> float:
    """Seconds until the container of the engine is gone; then the next request is served by another one."""
    started = time.monotonic()
    before = shell.containers(APP)
    wait_until(lambda: not before & shell.containers(APP))
    seconds = time.monotonic() - started
    assert status(url) == 200
    assert pid not in engines(shell)
    assert len(engines(shell)) == 1
    return seconds


def last_line(shell: Shell, words: str) -> str:
    return [line for line in log(shell).splitlines() if words in line][-1]


def test_engine_killed(shell: Shell, url: str, fault: Fault) -> None:
    assert status(url) == 200
    [pid] = engines(shell)
    os.kill(pid, signal.SIGKILL)
    seconds = noticed(shell, url, pid)
    fault("kill -9 of the engine", last_line(shell, "SGLang ended"), seconds=seconds)


def test_engine_stopped(shell: Shell, url: str, fault: Fault) -> None:
    assert status(url) == 200
    [pid] = engines(shell)
    os.kill(pid, signal.SIGSTOP)
    seconds = noticed(shell, url, pid)
    fault("SIGSTOP of the engine, `limit: 5`", last_line(shell, "hung ("), seconds=seconds)


def test_engine_that_does_not_answer(shell: Shell, tmp_path: Path, fault: Fault) -> None:
    hang = tmp_path / "hang"
    silent = ("--set", f"sglang.env.GLMDEPLOY_STANDIN_HANG_FILE={hang}")
    url = shell.json(*APPLY, *QUICK, *silent)["url"]
    [pid] = engines(shell)
    hang.touch()
    threading.Timer(8, hang.unlink).start()
    seconds = noticed(shell, url, pid)
    assert "hung (H)" in log(shell)
    fault("engine that answers nothing any more, `limit: 5`", last_line(shell, "hung (H)"), seconds=seconds)


def test_stream_in_flight_ends_well_when_the_container_is_stopped(shell: Shell, fault: Fault) -> None:
    url = shell.json(*APPLY)["url"]
    body: dict[str, Any] = {
        "model": "glm-5.1",
        "messages": [{"role": "user", "content": "word " * 40}],
        "stream": True,
    }
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {key(shell)}"},
    )
    lines: list[str] = []
    begun = threading.Event()

    def read() -> None:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            for line in answer:
                lines.append(line.decode())
                begun.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(PATIENCE)
    shell.run("local", "stop")
    reader.join(PATIENCE)
    assert lines[-2].strip() == "data: [DONE]" or lines[-1].strip() == "data: [DONE]"
    fault("SIGTERM with a stream in flight (`local stop`)", "the stream comes to its end, then the engine ends")


def test_start_that_fails_is_not_repeated_for_ever(shell: Shell, fault: Fault) -> None:
    failing = ("--set", "sglang.env.GLMDEPLOY_STANDIN_FAIL_START='1'", "--set", "app=failing")
    done = shell.run(*APPLY, *failing, code=1, container_failed=True)
    [error] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "\\n" not in error
    assert "SGLang ended while starting" in error
    url = shell.json(*APPLY, *failing, "--no-wait")["url"]
    assert status(url) == 503
    assert status(url) == 503
    started = time.monotonic()
    assert refusal(url).startswith("container failed to start: SGLang is not started: the last 3 starts")
    seconds = time.monotonic() - started
    assert "SGLang ended while starting" in refusal(url), "the reason of the last one"
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


def test_download_of_another_commit_killed_under_a_live_deployment(shell: Shell, fault: Fault) -> None:
    """Its next cold start has the whole weights that it was deployed with."""
    url = shell.json(*APPLY, *QUICK)["url"]
    assert status(url) == 200
    other = ("--set", f"model.revision='{7:040x}'")
    with shell.started(*APPLY, *QUICK, *other) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "downloading" in line:
                break
        os.kill(shell.cloud.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE)
    shell.run("local", "start")
    assert status(url) == 200, "a cold start, with the weights of the first commit"
    plan = shell.json(*APPLY, *QUICK)
    assert plan["changed"] is False
    assert shell.json(*APPLY, *QUICK, *other)["changed"] is True
    assert status(url) == 200
    fault(
        "download of another commit killed under a live deployment",
        "the live one's next cold start succeeds; the next apply goes on with the download",
    )


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
