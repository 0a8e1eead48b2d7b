"""Runs requests as an engine does, a limited number at a time, a token at a time, and counts them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from glmdeploy.local.standin.body import Call
    from glmdeploy.local.standin.settings import Settings


_LOG = logging.getLogger("sglang")

_TOKEN_SECONDS = 0.001
_SLOW_FACTOR = 20
_LINE_SECONDS = 1.0
"""Between two lines of the log, at least: a real engine does not generate as fast."""
_HANG_CHECK_SECONDS = 0.1

_BUCKETS = (
    0.1,
    0.2,
    0.4,
    0.6,
    0.8,
    1.0,
    2.0,
    4.0,
    6.0,
    8.0,
    10.0,
    20.0,
    40.0,
    60.0,
    80.0,
    100.0,
    200.0,
    400.0,
)


class Scheduler:
    """Requests beyond ``max_running`` wait in the order in which they came. While it ``hangs`` nothing goes on."""

    def __init__(self, settings: Settings, hangs: Callable[[], bool]) -> None:
        self.metrics = Metrics()
        self._settings = settings
        self._hangs = hangs
        self._slots = asyncio.Semaphore(settings.max_running)
        self._since_line = 0
        self._last_line = time.monotonic()

    async def stuck(self, seconds: float | None) -> bool:
        """Wait while the engine hangs, for ``seconds`` at most; whether it still does."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while self._hangs():
            if deadline is not None and time.monotonic() >= deadline:
                return True
            await asyncio.sleep(_HANG_CHECK_SECONDS)
        return False

    async def _step(self) -> None:
        """The time that a token takes, and a line in the log as SGLang writes it, every so many tokens.

        The line is that of ``srt/managers/scheduler_components/metrics_reporter.py``, 0.5.23.
        """
        await asyncio.sleep(_TOKEN_SECONDS * (_SLOW_FACTOR if "slow" in self._settings.faults else 1))
        await self.stuck(None)
        self._since_line += 1
        elapsed = time.monotonic() - self._last_line
        if self._since_line < self._settings.log_interval or elapsed < _LINE_SECONDS:
            return
        metrics = self.metrics
        _LOG.info(
            "Decode batch, #running-req: %d, #token: %d, token usage: %.2f, cuda graph: False, "
            "gen throughput (token/s): %.2f, #queue-req: %d",
            metrics.running,
            metrics.tokens,
            metrics.tokens / self._settings.pool,
            self._since_line / elapsed,
            metrics.queued,
        )
        self._since_line, self._last_line = 0, time.monotonic()

    async def answer(self, request: web.Request, call: Call) -> web.StreamResponse:
        """The answer, after the time that generating it takes; a client that leaves ends its request."""
        async with self._slot(call) as started:
            if call.stream:
                return await self._stream(request, call, started)
            self.metrics.first_token.observe(time.monotonic() - started)
            for _ in range(call.completion_tokens):
                await self._step()
            self.metrics.generation_tokens += call.completion_tokens
            return web.json_response(call.whole)

    async def _stream(self, request: web.Request, call: Call, started: float) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self.metrics.first_token.observe(time.monotonic() - started)
        left = call.completion_tokens
        try:
            for event in call.events:
                if "no-end" in self._settings.faults and left < call.completion_tokens / 2:
                    await response.write_eof()
                    return response
                await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
                await self._step()
                left -= 1
            await response.write(b"data: [DONE]\n\n")
        except ConnectionError:
            self.metrics.aborted += 1
            while "keeps-dropped" in self._settings.faults and left > 0:
                await self._step()
                left -= 1
        else:
            self.metrics.generation_tokens += call.completion_tokens
        return response

    @contextlib.asynccontextmanager
    async def _slot(self, call: Call) -> AsyncIterator[float]:
        """Wait for a turn; yields the time at which the request came."""
        metrics = self.metrics
        started = time.monotonic()
        metrics.requests += 1
        metrics.prompt_tokens += call.prompt_tokens
        metrics.queued += 1
        try:
            await self._slots.acquire()
        finally:
            metrics.queued -= 1
        held = call.prompt_tokens + call.completion_tokens
        metrics.running += 1
        metrics.tokens += held
        try:
            yield started
        finally:
            self._slots.release()
            metrics.running -= 1
            metrics.tokens -= held
            metrics.latency.observe(time.monotonic() - started)


@dataclass(kw_only=True)
class Histogram:
    """Durations in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(_BUCKETS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(_BUCKETS, seconds)] += 1
        self.total += seconds


@dataclass(kw_only=True)
class Metrics:
    """The counters that ``GET /metrics`` shows, in Prometheus' text format and under SGLang's names.

    The names are those of ``sglang/srt/observability/metrics_collector.py`` (0.5.23) that a dashboard or an
    autoscaler needs; SGLang has about eighty more. ``tokens`` is how many tokens of the pool the running requests hold.
    """

    running: int = 0
    queued: int = 0
    tokens: int = 0
    requests: int = 0
    aborted: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    first_token: Histogram = field(default_factory=Histogram)
    latency: Histogram = field(default_factory=Histogram)

    def render(self, settings: Settings) -> str:
        name = settings.served_name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        labels = f'engine_type="unified",model_name="{name}"'
        return "".join(f"{line}\n" for line in self._lines(settings, labels))

    def _lines(self, settings: Settings, labels: str) -> Iterator[str]:
        for name, kind, text, value in (
            ("num_running_reqs", "gauge", "The number of running requests.", self.running),
            ("num_queue_reqs", "gauge", "The number of requests in the waiting queue.", self.queued),
            ("num_used_tokens", "gauge", "The number of used tokens.", self.tokens),
            ("token_usage", "gauge", "The token usage.", self.tokens / settings.pool),
            ("cache_hit_rate", "gauge", "The prefix cache hit rate.", 0.0),
            (
                "max_total_num_tokens",
                "gauge",
                "Maximum total number of tokens in the KV cache pool.",
                settings.pool,
            ),
            ("num_requests_total", "counter", "Number of requests processed.", self.requests),
            ("num_aborted_requests_total", "counter", "Number of requests aborted.", self.aborted),
            ("prompt_tokens_total", "counter", "Number of prefill tokens processed.", self.prompt_tokens),
            (
                "generation_tokens_total",
                "counter",
                "Number of generation tokens processed.",
                self.generation_tokens,
            ),
        ):
            yield f"# HELP sglang:{name} {text}"
            yield f"# TYPE sglang:{name} {kind}"
            yield f"sglang:{name}{{{labels}}} {value}"
        for name, text, histogram in (
            ("time_to_first_token_seconds", "Histogram of time to first token in seconds.", self.first_token),
            (
                "e2e_request_latency_seconds",
                "Histogram of End-to-end request latency in seconds",
                self.latency,
            ),
        ):
            yield f"# HELP sglang:{name} {text}"
            yield f"# TYPE sglang:{name} histogram"
            below = 0
            for bound, count in zip((*_BUCKETS, "+Inf"), histogram.counts, strict=True):
                below += count
                yield f'sglang:{name}_bucket{{{labels},le="{bound}"}} {below}'
            yield f"sglang:{name}_count{{{labels}}} {below}"
            yield f"sglang:{name}_sum{{{labels}}} {histogram.total}"
