"""The watch for hangs and ``verify`` against a running engine: every fault must be named, no busy engine accused."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine import Observed, Prepared, ask

from glmdeploy.operate.verification import Wanted
from glmdeploy.operate.verify import subject
from glmdeploy.runtime.loopback import NoAnswer
from glmdeploy.runtime.server import kernel_caches
from glmdeploy.runtime.verify_endpoint import verified
from glmdeploy.runtime.vitals import ProcessTable
from glmdeploy.runtime.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

BYTES = 256
"""Token ids below are single bytes of the tokenizer; above are its special ones."""


@dataclass(kw_only=True)
class Running:
    """An engine, the door to it, and its environment."""

    prepared: Prepared
    engine: Observed
    key: str
    port: int
    env: Mapping[str, str]

    def generate(self, prompt: int, answer: int, *, seconds: float = 200.0) -> int:
        """The status of an answer of ``answer`` tokens to a random prompt of ``prompt`` tokens; 0 for no answer."""
        body = {
            "input_ids": [random.randrange(BYTES) for _ in range(prompt)],
            "sampling_params": {"max_new_tokens": answer, "ignore_eos": True, "temperature": 0.0},
        }
        try:
            return ask(self.port, self.key, "/generate", body, seconds=seconds)[0]
        except NoAnswer:
            return 0

    @contextmanager
    def clients(self, number: int, prompt: int, answer: int) -> Iterator[list[int]]:
        """So many clients ask one request after another; the list gets the statuses."""
        over, statuses = threading.Event(), list[int]()

        def client() -> None:
            while not over.is_set():
                statuses.append(self.generate(prompt, answer))

        threads = [threading.Thread(target=client, daemon=True) for _ in range(number)]
        for thread in threads:
            thread.start()
        try:
            yield statuses
        finally:
            over.set()
            with contextlib.suppress(NoAnswer):
                ask(self.port, self.key, "/abort_request", {"rid": "", "abort_all": True}, seconds=10)
            for thread in threads:
                thread.join(60)

    def watched(self, seconds: float, doing: Callable[[], Any], *, limit: float) -> dict[str, Any]:
        """The watch while ``doing`` is done, and until it speaks or ``seconds`` are over since."""
        settings = asdict(self.prepared.plan.server.health) | {"limit": limit, "timeout": limit + 5}
        watch = Watch(
            url=f"http://127.0.0.1:{self.port}",
            api_key=self.key,
            settings=settings,
            caches=kernel_caches(self.env, []),
        )
        found: dict[str, Any] = {"verdict": None}
        stopping = threading.Event()

        def run() -> None:
            found["verdict"] = watch.run(self.engine.pid, stopping)
            found["after_s"] = round(time.monotonic() - found["began"], 1)

        self.engine.watch = watch
        thread = threading.Thread(target=run, daemon=True)
        found["began"] = time.monotonic()
        thread.start()
        try:
            found["did"] = doing()
            thread.join(max(found["began"] + seconds - time.monotonic(), 0))
        finally:
            stopping.set()
            thread.join(limit + 10)
            self.engine.watch = None
        found["longest_silence_s"] = round(watch.longest, 1)
        del found["began"]
        return found

    def stopped(self, title: str, *, limit: float, load: tuple[int, int, int]) -> dict[str, Any]:
        """The process whose title begins so is stopped in the midst of requests, and continued when it was noticed."""
        [target] = [one for one in ProcessTable().read(self.engine.pid) or () if one.title.startswith(title)]
        try:
            with self.clients(*load):
                time.sleep(3)
                found = self.watched(4 * limit, lambda: os.kill(target.pid, signal.SIGSTOP), limit=limit)
                os.kill(target.pid, signal.SIGCONT)
        finally:
            os.kill(target.pid, signal.SIGCONT)
        return found | {"well_again": self.generate(8, 4, seconds=60)}

    def busy(self, seconds: float, *, limit: float, load: tuple[int, int, int]) -> dict[str, Any]:
        """Nothing is wrong, and much to do."""

        def doing() -> str:
            with self.clients(*load) as statuses:
                time.sleep(seconds)
            return f"{len(statuses)} answers, statuses {sorted(set(statuses))}"

        return self.watched(seconds, doing, limit=limit)


def cold(running: Running, *, limit: float) -> dict[str, Any]:
    """The very first request, for which kernels are compiled."""

    def doing() -> str:
        began = time.monotonic()
        status = running.generate(200, 8, seconds=300)
        return f"status {status} after {time.monotonic() - began:.1f} s"

    return running.watched(0, doing, limit=limit)


def trials(running: Running, *, limit: float) -> dict[str, Any]:
    """Every trial but :func:`cold`, by name."""
    found: dict[str, Any] = {
        "busy: 4 prompts of 30,000 tokens at a time": running.busy(15, limit=limit, load=(4, 30_000, 1)),
        "busy: 64 clients decode": running.busy(15, limit=limit, load=(64, 100, 200)),
        "the detokenizer is stopped": running.stopped("sglang::detokenizer", limit=limit, load=(4, 100, 400)),
        "the scheduler is stopped": running.stopped("sglang::scheduler", limit=limit, load=(4, 100, 400)),
    }
    told = subject(running.prepared.plan, f"http://127.0.0.1:{running.port}", Wanted(concurrency=(1, 16), start_seconds=60))
    checks = verified(told, running.key)
    found["verify"] = {one["name"]: f"{one['state']}: {one['words']}"[:200] for one in checks["checks"]}
    found["load"] = checks["load"]
    return found
