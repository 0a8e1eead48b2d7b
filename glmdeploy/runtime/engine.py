"""Runs SGLang: starts it, waits for health, warms it up, watches it, stops it. Its output never shows a secret."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from glmdeploy.runtime.processes import Process

STOP_SECONDS = 20
"""Grace for running requests: SGLang 0.5.23 takes 7 to 9 s after SIGTERM, and Modal kills a container after 30 s."""


class EngineError(RuntimeError):
    """SGLang, or one of its tools, did not do what it should; the message ends with its last lines."""


class Engine:
    """One SGLang server on this machine, at ``http://127.0.0.1:<port>``."""

    def __init__(self, command: list[str], env: dict[str, str], port: int, api_key: str | None) -> None:
        """Start it. The key goes to SGLang as ``--api-key``: no release reads it from the environment."""
        self._url = f"http://127.0.0.1:{port}"
        self._api_key = api_key
        self._stopping = False
        key = ["--api-key", api_key] if api_key else []
        self._process = Process([*command, *key], env, [api_key or ""])

    def wait_until_healthy(self, seconds: float) -> None:
        """Return when /health answers 200.

        :raises EngineError: when SGLang ends first or ``seconds`` pass.
        """
        deadline = time.monotonic() + seconds
        while True:
            if (code := self._process.ended()) is not None:
                raise EngineError(f"SGLang ended with exit code {code} while starting\n{self._process.tail()}")
            try:
                with urllib.request.urlopen(f"{self._url}/health", timeout=10):
                    return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise EngineError(f"SGLang was not healthy after {seconds:.0f} s\n{self._process.tail()}")
            time.sleep(0.2)

    def warm_up(self, model: str, seconds: float) -> None:
        """Answer one short chat completion, so that the first user does not wait for kernels.

        :raises EngineError:
        """
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
        request = urllib.request.Request(
            f"{self._url}/v1/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        if self._api_key:
            request.add_header("Authorization", f"Bearer {self._api_key}")
        try:
            with urllib.request.urlopen(request, timeout=max(seconds, 1)) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            reason = error.read(500).decode(errors="replace")
            raise EngineError(f"the warm-up request was answered {error.code}: {reason}") from None
        except OSError as error:
            raise EngineError(f"the warm-up request failed: {error}\n{self._process.tail()}") from None

    def end_container_on_crash(self) -> None:
        """Watch SGLang from a thread; when it ends by itself, end this process: Modal starts a new container."""
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        code = self._process.wait()
        if not self._stopping:
            print(f"SGLang ended with exit code {code}; ending the container", flush=True)
            os._exit(1)

    def stop(self) -> None:
        """Let running requests finish, then end it."""
        self._stopping = True
        self._process.stop(STOP_SECONDS)


def start_engine(
    command: list[str],
    *,
    env: dict[str, str],
    port: int,
    api_key: str | None,
    model_path: Path,
    served_name: str,
    seconds: float,
) -> Engine:
    """Start SGLang; return when it has answered its first request, within ``seconds``.

    :raises EngineError:
    """
    deadline = time.monotonic() + seconds
    if not (model_path / "config.json").exists():
        raise EngineError(f"no model at {model_path}: the download stage has not run")
    engine = Engine(command, env, port, api_key)
    try:
        engine.wait_until_healthy(deadline - time.monotonic())
        engine.warm_up(served_name, deadline - time.monotonic())
    except EngineError:
        engine.stop()
        raise
    engine.end_container_on_crash()
    return engine
