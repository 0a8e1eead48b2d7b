"""Requests to web functions that take long: after a while each is answered with a redirect to where its answer will be.

Modal's guide (webhook-timeouts): after 150 s without an answer a web function's client gets 303 and a URL with a query
parameter of Modal's, at which it goes on waiting, as often as it takes. Clients follow 20 such redirects (browsers), or
4 to one URL (Python's urllib). The request goes on meanwhile, with the body that came with it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from glmdeploy.local.state.store import new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import aiohttp

PARAMETER = "__modal_function_call_id"
WAIT = 150.0
"""Seconds after which a request is answered with a redirect."""
_KEPT = 600.0
"""Seconds that an answer waits for its client."""
_LOOK_AGAIN = 0.05


class Exchange:
    """One request to a web function, and its answer, which may go to a later request of the same client."""

    def __init__(self, request: web.Request) -> None:
        self.id = new_id("fc")
        self.taken = False
        """Whether the answer has begun: the request that waits gets it, however long it takes."""
        self.status = 0
        """Of the answer that has begun."""
        self.whole = False
        """Whether all of the container's answer was passed on."""
        self.fault = ""
        """One of :mod:`glmdeploy.local.state.traffic`, where the container's answer is missing or was cut off."""
        self.task: asyncio.Task[web.StreamResponse]
        self.waiting: asyncio.Future[web.Request] = asyncio.get_running_loop().create_future()
        self._request = request
        self._read: asyncio.Task[bytes] | None = None
        self._streamed = False

    @classmethod
    def unredirected(cls, request: web.Request) -> Exchange:
        """One whose answer goes to the request itself, however long that takes."""
        exchange = cls(request)
        exchange.waiting.set_result(request)
        return exchange

    async def client(self) -> web.Request:
        """The request that gets the answer, as soon as there is one that waits for it."""
        while True:
            seat = self.waiting
            request = await asyncio.shield(seat)
            if seat is self.waiting:  # else its time was up just now
                self.taken = True
                return request

    async def body(self) -> aiohttp.StreamReader | bytes | None:
        """What came with the request: whole, where all of it is there or had to be taken in; else as it comes."""
        if self._read is not None:
            return await self._read
        if not self._request.can_read_body:
            return None
        if self._request.content.is_eof():
            return self._request.content.read_nowait()
        self._streamed = True
        return self._request.content

    async def take_in(self) -> None:
        """Have the whole body: it is gone once its request is answered."""
        while self._streamed and not self._request.content.at_eof():  # noqa: ASYNC110 (aiohttp does not tell)
            await asyncio.sleep(_LOOK_AGAIN)
        if not self._streamed and self._request.can_read_body:
            self._read = self._read or asyncio.ensure_future(self._request.content.read())
            await self._read


class Exchanges:
    """Those that go on though their first request is answered. ``wait`` is in seconds."""

    def __init__(self, wait: float) -> None:
        self.wait = wait
        self._known: dict[str, Exchange] = {}

    async def answer(
        self, request: web.Request, answer: Callable[[Exchange], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """What ``answer`` comes to, or a redirect to where it will be."""
        if name := request.query.get(PARAMETER):
            return await self._result(request, name)
        exchange = Exchange(request)
        exchange.task = asyncio.ensure_future(answer(exchange))
        try:
            if (response := await self._wait(exchange, request)) is not None:
                return response
            await exchange.take_in()
        except asyncio.CancelledError:
            exchange.task.cancel()
            raise
        self._known[exchange.id] = exchange
        exchange.task.add_done_callback(lambda _: asyncio.get_running_loop().call_later(_KEPT, self._forget, exchange))
        mark = "&" if "?" in request.raw_path else "?"
        return _redirect(f"{request.raw_path}{mark}{PARAMETER}={exchange.id}")

    def close(self) -> None:
        for exchange in self._known.values():
            exchange.task.cancel()

    async def _result(self, request: web.Request, name: str) -> web.StreamResponse:
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=400, text="modal-http: bad redirect method")
        exchange = self._known.get(name)
        if exchange is None or exchange.waiting.done():
            return web.Response(status=404, text="no request waits here: its answer was fetched, or is forgotten")
        try:
            response = await self._wait(exchange, request)
        except asyncio.CancelledError:
            if exchange.taken:
                exchange.task.cancel()
            raise
        if response is None:
            return _redirect(request.raw_path)
        self._forget(exchange)
        return response

    async def _wait(self, exchange: Exchange, request: web.Request) -> web.StreamResponse | None:
        """The answer; None where it has not begun in time."""
        exchange.waiting.set_result(request)
        try:
            done, _ = await asyncio.wait([exchange.task], timeout=self.wait)
            if not (done or exchange.taken):
                return None
            return await exchange.task
        finally:
            if not exchange.taken:
                exchange.waiting = asyncio.get_running_loop().create_future()

    def _forget(self, exchange: Exchange) -> None:
        self._known.pop(exchange.id, None)


def _redirect(where: str) -> web.Response:
    return web.Response(status=303, headers={"Location": where})
