"""The real SGLang engine on this CPU: GLMDEPLOY_ENGINE names the folder that its environment is kept in."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from glmdeploy.profile.text.load import load
from glmdeploy.sglang import catalog, command, environment
from glmdeploy.sglang.environment import ProbeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

PATIENCE = 180
"""Seconds until the engine must serve; on a free machine with two cores it does after 15."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A server that answers."""

    url: str
    log: Path

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return answer.read().decode()


@pytest.fixture(scope="session")
def interpreter() -> Path:
    """The Python that has the engine. Skips where it cannot be had, and says why."""
    cache = os.environ.get("GLMDEPLOY_ENGINE")
    if not cache:
        pytest.skip("GLMDEPLOY_ENGINE does not name a folder for the real SGLang engine's environment (1.8 GB)")
    try:
        return environment.build(Path(cache))
    except ProbeError as error:
        pytest.skip(f"the real SGLang engine cannot be installed here: {error} {error.advice}")


@pytest.fixture(scope="session")
def engine(interpreter: Path) -> Callable[..., AbstractContextManager[Engine]]:
    """Serves the checkpoint in a folder as the profile ``local-cpu`` would, with ``options`` instead of its own."""

    @contextmanager
    def serve(model: Path, scratch: Path, **options: str | int) -> Iterator[Engine]:
        own = load("local-cpu").data["sglang"]
        assert own["version"] == environment.VERSION
        release = catalog.load(own["version"])
        settings, problems = command.read({**own["args"], **options}, release)
        assert not problems
        port = free_port()
        words = command.server_command(settings, release, model_path=str(model), served_name="tiny", port=port)
        running = Engine(url=f"http://127.0.0.1:{port}", log=scratch / "engine.log")
        with running.log.open("w") as log:
            process = subprocess.Popen(
                [str(interpreter), *words[1:], "--host", "127.0.0.1"],
                env={**environment.variables(interpreter, scratch), **own["env"]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until_ready(running, process)
            yield running
        finally:
            # Its other processes are in its group; none has anything to lose.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    return serve


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_ready(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            engine.get("/health")
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
        else:
            return
    last_words = "\n".join(engine.log.read_text(errors="replace").splitlines()[-40:])
    pytest.fail(f"the engine does not serve (exit code {process.poll()}):\n{last_words}")
