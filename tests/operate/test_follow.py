"""``logs --follow`` while the cloud goes away and comes back, and while versions are replaced."""

from __future__ import annotations

import contextlib
import queue
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from typing import IO, TYPE_CHECKING

import pytest
from support import PATIENCE

if TYPE_CHECKING:
    from support import Shell

APP, LOCAL = "glm51-fp8", ("--target", "local")


class Lines:
    """What a process prints, as it comes."""

    def __init__(self, stream: IO[str]) -> None:
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._lines.put(line)

    def until(self, text: str) -> list[str]:
        """All lines up to one with the text."""
        found: list[str] = []
        while not found or text not in found[-1]:
            found.append(self._lines.get(timeout=PATIENCE))
        return found


def ask(url: str) -> None:
    """Without a key: a line in the log, and a container that starts for it."""
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(f"{url}/v1/models", timeout=PATIENCE)


@pytest.mark.thorough
def test_a_lost_connection_is_said_and_nothing_is_left_out(warm: Shell) -> None:
    warm.run("local", "start")
    url = warm.json("open", APP, *LOCAL, "--endpoint")["url"]
    with warm.started("logs", APP, *LOCAL, "--follow") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        out, errors = Lines(process.stdout), Lines(process.stderr)
        ask(url)
        out.until("glmdeploy ready")
        warm.stop()
        assert "-- the connection was lost" in errors.until("trying again")[0]
        warm.run("local", "start")
        assert errors.until("connected again") == ["-- connected again: nothing is left out\n"]
        ask(url)
        told = out.until("glmdeploy ready")
        # What the old container said last was said while nobody could hear it.
        assert any("ended with exit code" in line for line in told)
        assert len([line for line in told if "fired up and ready to roll" in line]) == 1

        # A version replaces another: the same log goes on.
        warm.run("apply", "b200-eagle-bf16kv", *LOCAL, "--yes", "--no-preflight", "--force")
        assert "glmdeploy ready" in out.until("glmdeploy ready")[-1]
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert errors.until("Interrupted")[-1] == "Interrupted.\n"


def test_a_cloud_that_does_not_run_is_read_and_not_started(warm: Shell) -> None:
    before = {path: path.stat().st_mtime_ns for path in warm.home.rglob("*")}
    status = warm.json("status", APP, *LOCAL)
    assert (status["version"], status["containers"], status["healthy"]) == (1, [], True)
    assert [each["app"] for each in warm.json("list", *LOCAL)] == [APP]
    assert [each["proof"] for each in warm.json("history", APP, *LOCAL)["versions"]] == ["verified"]
    assert "glmdeploy ready" in warm.run("logs", APP, *LOCAL, "--ours").stdout
    assert warm.json("open", APP, *LOCAL)["url"].startswith("http://127.0.0.1:")
    assert "nothing runs" in warm.run("destroy", APP, *LOCAL, "--dry-run").stdout
    assert APP in completed(warm, "status", *LOCAL, "glm")
    assert "1" in completed(warm, "logs", APP, *LOCAL, "--version", "")
    assert completed(warm, "logs", "no-such-app", *LOCAL, "--version", "") == []
    warm.run("local", "status", code=1)
    after = {path: path.stat().st_mtime_ns for path in warm.home.rglob("*")}
    # A look at whether the daemon runs may open its lock, and nothing else.
    assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} <= {warm.home}


def completed(shell: Shell, *words: str) -> list[str]:
    """What a shell is offered for the last of the words."""
    own = {"COMP_WORDS": "\n".join(("glmdeploy", *words[:-1])), "COMP_WORD": words[-1]}
    done = subprocess.run(
        [sys.executable, "-m", "glmdeploy"],
        env={**shell.env, **own, "_GLMDEPLOY_COMPLETE": "zsh_complete"},
        text=True,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.stderr == ""
    return [line.split("\t")[1] for line in done.stdout.splitlines() if not line.startswith("files")]
