"""Runs requests as an engine does: a limited number at a time, a token at a time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING

from aiohttp import web

from glmdeploy.local.standin.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from glmdeploy.local.standin.body import Call
    from glmdeploy.local.standin.settings import Settings

_TOKEN_SECONDS = 0.001


class Scheduler:
    """Requests beyond ``max_running`` wait in the order in which they came."""

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics()
        self._slots = asyncio.Semaphore(settings.max_running)

    async def answer(self, request: web.Request, call: Call) -> web.StreamResponse:
        """The answer, after the time that generating it takes; a client that leaves ends its request."""
        async with self._slot(call) as started:
            if call.stream:
                return await self._stream(request, call, started)
            self.metrics.first_token.observe(time.monotonic() - started)
            await asyncio.sleep(call.completion_tokens * _TOKEN_SECONDS)
            self.metrics.generation_tokens += call.completion_tokens
            return web.json_response(call.whole)

    async def _stream(self, request: web.Request, call: Call, started: float) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self.metrics.first_token.observe(time.monotonic() - started)
        try:
            for event in call.events:
                await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
                await asyncio.sleep(_TOKEN_SECONDS)
            await response.write(b"data: [DONE]\n\n")
        except ConnectionError:
            self.metrics.aborted += 1
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
