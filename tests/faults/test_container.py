"""Faults of a container that serves, on the embedded cloud: what the user sees, that the next request is served."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from served import APPLY, QUICK, engines, key, last_line, log, noticed, status
from support import PATIENCE, copied_cloud

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fault_rows import Fault
    from support import Shell


@pytest.fixture(scope="module")
def shell(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with copied_cloud(template, tmp_path_factory.mktemp("container")) as one:
        yield one


@pytest.fixture(scope="module")
def url(shell: Shell) -> str:
    """The endpoint of a deployment that notices hangs within seconds, with a container that serves."""
    found: str = shell.json(*APPLY, *QUICK)["url"]
    return found


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


@pytest.mark.thorough
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


@pytest.mark.thorough
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


@pytest.mark.thorough
def test_download_of_another_commit_killed_under_a_live_deployment(shell: Shell, fault: Fault) -> None:
    """Its next cold start has the whole weights that it was deployed with."""
    url = shell.json(*APPLY, *QUICK)["url"]
    assert status(url) == 200
    other = ("--set", f"model.revision='{7:040x}'")
    with shell.started(*APPLY, "-v", *QUICK, *other) as process:
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
