"""The stand-in engine as a process, run exactly as SGLang is run in a container."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import PATIENCE

from glmdeploy import local

STANDIN = Path(local.__file__).parent / "standin" / "path"
KEY = "sekrit-key"
SAID = "This answer comes from glmdeploy's stand-in engine, not from SGLang or a model. You said: "
ARGUMENTS = [
    *("--served-model-name", "glm-5.1", "--tp", "8", "--trust-remote-code", "--enable-metrics"),
    *("--reasoning-parser", "glm45", "--tool-call-parser", "glm47", "--context-length", "1000"),
    *("--max-total-tokens", "64k", "--max-running-requests", "2", "--api-key", KEY),
]


def command(module: str, model: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"sglang.{module}", "--model-path", str(model), *arguments]


def environment(container: Path, **variables: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": f"{container}:{STANDIN}",
        "GLMDEPLOY_STANDIN_SGLANG_VERSION": "0.5.11",
        "GLMDEPLOY_STANDIN_START_SECONDS": "0",
        **variables,
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Engine:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(
        self, path: str, body: object = None, *, method: str | None = None, key: str | None = KEY
    ) -> tuple[int, Any]:
        """The status, and the answer: parsed where it is JSON."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                status, text, kind = answer.status, answer.read().decode(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                status, text, kind = error.code, error.read().decode(), error.headers
        assert kind["Server"] == "glmdeploy-stand-in"
        return status, json.loads(text) if kind.get_content_type() == "application/json" else text

    def chat(self, said: str, **options: object) -> tuple[int, Any]:
        messages = [{"role": "user", "content": said}]
        return self.ask("/v1/chat/completions", {"model": "glm-5.1", "messages": messages, **options})

    def events(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        status, text = self.ask(path, {**body, "stream": True})
        assert status == 200
        lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
        assert lines.pop() == "[DONE]"
        return [json.loads(line) for line in lines]

    def statuses_until_healthy(self) -> list[int]:
        seen: list[int] = []
        deadline = time.monotonic() + PATIENCE
        while 200 not in seen:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            try:
                seen.append(self.ask("/health", key=None)[0])
            except OSError:
                time.sleep(0.02)
        return seen


def start(model: Path, container: Path, log: Path, *arguments: str, **variables: str) -> Engine:
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("launch_server", model, "--port", str(port), *arguments),
            cwd=container,
            env=environment(container, **variables),
            stdout=output,
            stderr=output,
        )
    return Engine(process=process, port=port, log=log)


def run(container: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=container,
        env=environment(container, **variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
