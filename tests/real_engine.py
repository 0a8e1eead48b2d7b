"""The real SGLang on this CPU, for tests that hurt it: started, loaded with requests, stopped, continued and ended."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support import PATIENCE

from glmdeploy.local import tiny_model
from glmdeploy.profile.text.load import load
from glmdeploy.runtime.vitals import ProcessTable, Vital
from glmdeploy.sglang import catalog, command
from glmdeploy.sglang.real import environment
from glmdeploy.sglang.real.install import install_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

HOOKS = Path(__file__).parent / "data" / "engine_hooks"

NVCC = "#!/bin/sh\nsleep $1\n"
"""A compiler that takes its time: the kernel names a script's process for the script."""


def engine_interpreter() -> Path:
    """The interpreter of the engine's environment, which is made where it does not exist.

    :raises GlmdeployError: if it cannot be.
    """
    return install_engine(Path(os.environ["GLMDEPLOY_TEST_ENGINE"]))


class RealEngine:
    """One engine; ``controls`` is the folder that its passes look into (``data/engine_hooks``)."""

    def __init__(self, scratch: Path, *, args: Mapping[str, Any], env: Mapping[str, str], see: Callable[[bytes], None]):
        """Start it; ``see`` gets every line of its output.

        :raises GlmdeployError: if it cannot be installed.
        """
        interpreter = engine_interpreter()
        self.see = see
        self.controls = scratch / "controls"
        self.controls.mkdir()
        (self.controls / "nvcc").write_text(NVCC)
        (self.controls / "nvcc").chmod(0o700)
        tiny_model.write(scratch / "model", "zai-org/GLM-4.5-Air")
        own = load("local-cpu").data["sglang"]
        release = catalog.load(environment.ENGINE_VERSION)
        settings, problems = command.read({**own["args"], **args}, release)
        assert not problems
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        words = command.server_command(
            settings, release, model_path=str(scratch / "model"), served_name="tiny", port=self.port
        )
        hook = {"target_modules": ["model"], "hook_factory": "held_passes:factory"}
        hooks = json.dumps([{**hook, "name": "held", "config": {"folder": str(self.controls)}}])
        variables = environment.engine_variables(interpreter, scratch)
        os.mkfifo(self.controls / "hold")
        hooked = {
            "PYTHONPATH": f"{HOOKS}:{variables['PYTHONPATH']}",
            "ENGINE_HOLD": str(self.controls / "hold"),
            "SGLANG_CUDA_COREDUMP_BEFORE_CRASH": "0",
        }
        self._process = subprocess.Popen(
            [str(interpreter), *words[1:], "--host", "127.0.0.1", "--forward-hooks", hooks],
            env={**variables, **own["env"], **env, **hooked},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.tail: list[bytes] = []
        self._pump = threading.Thread(target=self._pass_on, daemon=True)
        self._pump.start()
        self.url = f"http://127.0.0.1:{self.port}"

    def _pass_on(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.see(line)
            self.tail = [*self.tail[-60:], line]

    @property
    def pid(self) -> int:
        return self._process.pid

    def process(self, title: str) -> Vital:
        """The one process whose title begins so; the HTTP process is SGLang's first and has a title of Python's."""
        [found] = [one for one in ProcessTable().read(self.pid) or () if one.title.startswith(title)]
        return found

    def signal(self, title: str, number: signal.Signals) -> None:
        os.kill(self.process(title).pid, number)

    def hang(self, title: str) -> None:
        """Let the main thread of the process wait until :meth:`free`, as in a deadlock."""
        self.signal(title, signal.SIGUSR2)

    def free(self) -> None:
        """Let all that hang go on."""
        with (self.controls / "hold").open("w"):
            pass

    def wait_until_healthy(self) -> None:
        """Return when ``/health`` answers 200, as it does again when a fault is over."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=PATIENCE):
                    return
            except (OSError, http.client.HTTPException):
                time.sleep(0.3)
        output = b"".join(self.tail).decode(errors="replace")
        raise AssertionError(f"the engine does not serve (exit code {self._process.poll()})\n{output}")

    @contextmanager
    def clients(self, number: int, *, prompt: int, answer: int, interval: int = 1) -> Iterator[None]:
        """So many clients stream answers of ``answer`` tokens to prompts of ``prompt`` tokens, one after another.

        They want to hear of every ``interval`` tokens.
        """
        over = threading.Event()
        threads = [
            threading.Thread(
                target=self._client, args=(over, random.Random(seed), prompt, answer, interval), daemon=True
            )
            for seed in range(number)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            while any(thread.is_alive() for thread in threads):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    self._post("/abort_request", {"rid": "", "abort_all": True}).read()
                time.sleep(0.3)

    def _client(self, over: threading.Event, source: random.Random, prompt: int, answer: int, interval: int) -> None:
        while not over.is_set():
            body = {
                "input_ids": [source.randrange(256) for _ in range(prompt)],
                "sampling_params": {"max_new_tokens": answer, "ignore_eos": True, "stream_interval": interval},
                "stream": True,
            }
            with contextlib.suppress(OSError, http.client.HTTPException), self._post("/generate", body) as stream:
                while not over.is_set() and stream.readline():
                    pass

    def _post(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            self.url + path, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
        )
        return urllib.request.urlopen(request, timeout=PATIENCE)

    def end(self) -> None:
        """End it and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._pump.join(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()
