"""A loop of chat requests and streams against a deployment, and what became of each of them."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


PAUSE_SECONDS = 0.15
"""Between two requests of a client: without any, the requests would be most of a test's work."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """``fault`` is empty for an answer that came whole."""

    stream: bool
    began: float
    seconds: float
    fault: str


@dataclass
class Traffic:
    """Two clients, one that streams and one that does not, one request after another."""

    url: str
    key: str
    model: str
    tokens: int = 8
    asked: list[Asked] = field(default_factory=list)
    _enough: threading.Event = field(default_factory=threading.Event)

    def faults(self) -> list[str]:
        return [each.fault for each in self.asked if each.fault]

    def slowest(self, since: float = 0.0, until: float = float("inf")) -> float:
        """Seconds of the slowest request that began in a time (``time.monotonic``)."""
        return max((each.seconds for each in self.asked if since <= each.began < until), default=0.0)

    def goes_on(self, more: int = 4) -> None:
        """Wait for more answers of both kinds."""
        before = len(self.asked)
        wait_until(lambda: {each.stream for each in self.asked[before:]} == {True, False} or bool(self.faults()))
        wait_until(lambda: len(self.asked) >= before + more or bool(self.faults()))

    def _ask(self, stream: bool) -> str:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": "Hello"}],
            "max_tokens": self.tokens,
            "temperature": 0,
            "stream": stream,
        }
        request = urllib.request.Request(
            f"{self.url}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            with contextlib.closing(error):
                return f"status {error.code}: {error.read(200)!r}"
        except OSError as error:
            return f"{type(error).__name__}: {error}"
        whole = text.rstrip().endswith("[DONE]") if stream else "choices" in json.loads(text)
        return "" if whole else f"cut off: {text[-200:]!r}"

    def _run(self, stream: bool) -> None:
        while not self._enough.is_set():
            began = time.monotonic()
            fault = self._ask(stream)
            self.asked.append(Asked(stream=stream, began=began, seconds=time.monotonic() - began, fault=fault))
            self._enough.wait(PAUSE_SECONDS)


@contextmanager
def traffic(url: str, key: str, model: str, tokens: int = 8) -> Iterator[Traffic]:
    """Requests as long as the block lasts. None of them may fail, or be cut off."""
    found = Traffic(url=url, key=key, model=model, tokens=tokens)
    threads = [threading.Thread(target=found._run, args=(stream,)) for stream in (False, True)]
    for thread in threads:
        thread.start()
    try:
        found.goes_on()
        yield found
    finally:
        found._enough.set()
        for thread in threads:
            thread.join()
    assert not found.faults()
