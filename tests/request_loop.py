"""Requests and streams at an endpoint, one after the other from several threads, while something is done to it."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support import PATIENCE

if TYPE_CHECKING:
    from types import TracebackType


@dataclass
class RequestLoop:
    """Runs as long as its block. ``failed`` are the answers that were not good, ``seconds`` what each good one took."""

    url: str
    key: str
    threads: int = 3
    failed: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def __enter__(self) -> RequestLoop:
        self._over = threading.Event()
        self._running = [threading.Thread(target=self._run, args=(number % 2 == 0,)) for number in range(self.threads)]
        for thread in self._running:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._running:
            thread.join(PATIENCE)

    def _run(self, stream: bool) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            try:
                self._ask(stream=stream)
            except (OSError, AssertionError, ValueError) as fault:
                self.failed.append(f"{type(fault).__name__}: {fault}")
            else:
                self.seconds.append(time.monotonic() - began)
            self._over.wait(0.1)

    def _ask(self, *, stream: bool) -> None:
        body = {"model": "glm-5.1", "messages": [{"role": "user", "content": "Hello"}], "stream": stream}
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
        request = urllib.request.Request(f"{self.url}/v1/chat/completions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            text = answer.read().decode()
        if stream:
            assert text.rstrip().endswith("data: [DONE]"), "the stream was cut"
        else:
            assert "Hello" in json.loads(text)["choices"][0]["message"]["content"]
