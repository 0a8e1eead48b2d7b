"""A gateway, and behind it a web server that says, byte for byte, what a test wants it to say."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aiohttp import web

from glmdeploy.local.passing import Passage, pass_through
from glmdeploy.local.redirects import Exchange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Answer = Callable[["Connection", bytes], Awaitable[None]]


@dataclass
class Connection:
    """One to the web server; ``answered`` requests came over it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    answered: int = 0

    async def body(self, head: bytes) -> bytes:
        """Of a request whose head was read."""
        if b"\r\nTransfer-Encoding: chunked" not in head:
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            return await self.reader.readexactly(length)
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()
        return body

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


@dataclass
class Site:
    """A gateway, and behind it a web server that answers each request, or its head, as ``answer`` says."""

    answer: Answer
    port: int = 0
    url: str = ""
    connections: list[Connection] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """A connection to the web server has ended."""
    told: list[str] = field(default_factory=list)
    member: Any = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        self.connections.append(connection)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while not writer.is_closing():
                    head = await reader.readuntil(b"\r\n\r\n")
                    await self.answer(connection, head)
                    connection.answered += 1
        finally:
            writer.close()
            self.ended.set()


@asynccontextmanager
async def site(answer: Answer, *, limit: float | None = None) -> AsyncIterator[Site]:
    served = Site(answer)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, limit=2**22)
    served.port = server.sockets[0].getsockname()[1]

    async def web_port(_: int) -> int:
        return served.port

    served.member = SimpleNamespace(task_id="ta-1", web_port=web_port, say=served.told.append, stop=lambda: None)
    pool: Any = SimpleNamespace(limits=SimpleNamespace(timeout=limit), balance=lambda: None)
    async with Passage() as passage:

        async def handle(request: web.Request) -> web.StreamResponse:
            return await pass_through(passage, request, served.member, 1, pool, Exchange.unredirected(request))

        application = web.Application()
        application.router.add_route("*", "/{label}/{path:.*}", handle)
        runner = web.AppRunner(application, handler_cancellation=True, auto_decompress=False, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        served.url = f"http://127.0.0.1:{runner.addresses[0][1]}/label"
        try:
            yield served
        finally:
            await runner.cleanup()
            server.close()


@asynccontextmanager
async def raw(served: Site, request: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client that has sent a request and reads what it wants to."""
    port = int(served.url.split(":")[2].split("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**16)
    writer.write(request)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
