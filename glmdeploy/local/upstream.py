"""Connections to the web servers of containers, at the level of bytes: what is read of one goes straight to a client.

aiohttp's own client wakes a task for each piece of an answer, and takes as long to ask as everything else that a
request needs. A connection is used again for the same container, as Modal's own proxy does (1.6.4,
``_runtime/asgi.py``, there for 15 s), but only for :data:`IDLE_SECONDS`, so that a server that closes idle connections
does not do so just when it is asked: SGLang's closes them after 5 s, gunicorn's after 2.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
from typing import TYPE_CHECKING, cast

from aiohttp import StreamReader

from glmdeploy.local.http_body import MalformedError, body_of, read_head

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.abc import AbstractStreamWriter

    from glmdeploy.local.http_body import Body, Head

IDLE_SECONDS = 1.0
"""How long a connection is kept that nobody uses."""

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""What may be asked twice (RFC 9110, 9.2.2)."""
_HEAD_BYTES = 256 * 1024
_HELD_BYTES = 64 * 1024
"""What is kept of an answer for a client that takes it slowly, before no more of it is read."""


class NotListeningError(Exception):
    """Nothing takes connections at the port."""


class BrokenOffError(Exception):
    """The web server has ended the connection, or said something that is not HTTP; the message says which."""


class Connection(asyncio.Protocol):
    """One connection, for one request at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.lost = False
        self.used = False
        self.timer: asyncio.TimerHandle | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._begin("")

    def _begin(self, method: str) -> None:
        self._method = method
        self._received = b""
        self._head: Head | None = None
        self._body: Body | None = None
        self._held: list[bytes] = []
        self._to: asyncio.Transport | None = None
        self._framed = False
        self._full = False
        self._whole = False
        self._sent = False
        self._upload: asyncio.Task[None] | None = None
        self._fault: Exception | None = None
        self._news: asyncio.Future[None] | None = None

    # What a request does

    async def ask(self, method: str, head: bytes, body: StreamReader | bytes | None) -> Head:
        """Send a request, and return the head of the answer as soon as it is there. A long body is still being sent.

        A ``body`` that comes piece by piece is sent in chunks where ``head`` says so.

        :raises BrokenOffError:
        """
        self._begin(method)
        if isinstance(body, StreamReader):
            self.transport.write(head)
            self._upload = asyncio.ensure_future(self._send(body, framed=b"\r\nTransfer-Encoding: chunked" in head))
        else:
            self.transport.write(head + body if body else head)
            self._sent = True
        while self._head is None:
            await self._look()
        return self._head

    async def relay(self, writer: AbstractStreamWriter, to: asyncio.Transport, *, framed: bool) -> None:
        """Pass the body on until its end, in chunks where it is to be ``framed``, no faster than the client takes it.

        ``writer`` is aiohttp's for the client with the transport ``to``: it must have sent the headers.

        :raises BrokenOffError: where the answer is cut off.
        """
        self._to, self._framed = to, framed
        held, self._held = self._held, []
        for data in held:
            self._pass_on(data)
        while not self._whole or self._full:
            if self._full:
                await writer.drain()
                self._full = False
                self.transport.resume_reading()
            else:
                await self._look()

    @property
    def whole(self) -> bool:
        """Whether the answer has come to its end."""
        return self._whole

    @property
    def silent(self) -> bool:
        """Whether nothing has come since the last request was sent."""
        return self._head is None and not self._received

    @property
    def reusable(self) -> bool:
        keep = self._head is not None and self._head.keep_alive
        return keep and self._whole and self._sent and not self._received and not self.lost

    @property
    def stale(self) -> bool:
        """Whether the server has closed it, or has said what nobody asked it, though the event loop has not seen it."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def end(self) -> None:
        """Close it at once; the server hears of it, and gives up what it was asked."""
        if self._upload is not None:
            self._upload.cancel()
        if self.timer is not None:
            self.timer.cancel()
        self.transport.abort()

    async def _look(self) -> None:
        """Wait for something new. :raises BrokenOffError:"""
        if self._fault is not None:
            raise BrokenOffError(str(self._fault)) from self._fault
        if self.lost:
            raise BrokenOffError("it has ended the connection")
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    async def _send(self, body: StreamReader, *, framed: bool) -> None:
        """Send a body as it comes, no faster than the server takes it."""
        try:
            async for data in body.iter_any():
                self.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if framed else data)
                await self._writable.wait()
            if framed:
                self.transport.write(b"0\r\n\r\n")
            self._sent = True
        except Exception as fault:  # whatever it is, the server must not take what it has for all
            self._fail(fault)
            self.transport.abort()

    # What the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        try:
            if self._head is None:
                data = self._take_head(self._received + data)
            if data and self._body is not None and not self._whole:
                self._take_body(data)
            elif data:
                self._received = data
        except MalformedError as fault:
            self._fail(fault)
            self.transport.abort()

    def connection_lost(self, fault: Exception | None) -> None:
        self.lost = True
        self._writable.set()
        if fault is None and self._body is not None and self._body.ends_with_connection:
            self._whole = True
        self._wake()

    def _take_head(self, data: bytes) -> bytes:
        """What follows the head. :raises MalformedError:"""
        self._received = b""
        if not self._method:  # nobody has asked anything
            return data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            head, data = read_head(data[:end]), data[end + 4 :]
            if head.status >= 200:
                self._head, self._body = head, body_of(head, self._method)
                self._whole = self._body.done
                self._wake()
                return data
            # Else an interim answer (100, 103), which the client may do without.
        if len(data) > _HEAD_BYTES:
            raise MalformedError("its headers are too long")
        self._received = data
        return b""

    def _take_body(self, data: bytes) -> None:
        """:raises MalformedError:"""
        assert self._body is not None
        payload = self._body.feed(data)
        if self._body.done:
            self._whole = True
            self._received = self._body.rest
        if payload:
            self._pass_on(payload)
        if self._whole:
            self._wake()

    def _pass_on(self, data: bytes) -> None:
        if self._to is None:
            self._held.append(data)
            full = sum(map(len, self._held)) > _HELD_BYTES
        elif self._to.is_closing():
            return  # its client is gone, and its request about to be cancelled
        else:
            self._to.write(b"%x\r\n%b\r\n" % (len(data), data) if self._framed else data)
            full = self._to.get_write_buffer_size() > _HELD_BYTES
        if full and not self._full:
            self._full = True
            self.transport.pause_reading()
            self._wake()

    def _fail(self, fault: Exception) -> None:
        self._fault = self._fault or fault
        self._wake()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


class Connections:
    """Those to all containers. An ``owner`` is a container: no other one is asked over its connections."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int], list[Connection]] = {}

    @contextlib.asynccontextmanager
    async def asked(
        self, owner: str, port: int, method: str, head: bytes, body: StreamReader | bytes | None
    ) -> AsyncIterator[tuple[Connection, Head]]:
        """The connection over which a request was sent, and the head of its answer.

        It is closed at the end of the block unless the answer was taken whole. A connection that was used before and
        ends without a word may have been closed before the request came: what may be asked twice then is.

        :raises NotListeningError:
        :raises BrokenOffError:
        """
        connection = self._take(owner, port) or await _connect(port)
        try:
            try:
                answer = await connection.ask(method, head, body)
            except BrokenOffError:
                again = method in _IDEMPOTENT and not isinstance(body, StreamReader)
                if not (connection.used and connection.silent and again):
                    raise
                connection.end()
                connection = await _connect(port)
                answer = await connection.ask(method, head, body)
            yield connection, answer
        finally:
            if connection.reusable:
                self._give_back(owner, port, connection)
            else:
                connection.end()

    def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.end()
        self._idle.clear()

    def _take(self, owner: str, port: int) -> Connection | None:
        while connections := self._idle.get((owner, port)):
            connection = connections[-1]
            self._forget(owner, port, connection)
            if connection.reusable and not connection.stale:
                return connection
            connection.end()
        return None

    def _give_back(self, owner: str, port: int, connection: Connection) -> None:
        connection.used = True
        connection.timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._drop, owner, port, connection)
        self._idle.setdefault((owner, port), []).append(connection)

    def _drop(self, owner: str, port: int, connection: Connection) -> None:
        self._forget(owner, port, connection)
        connection.end()

    def _forget(self, owner: str, port: int, connection: Connection) -> None:
        """Take it out of those that are idle."""
        assert connection.timer is not None
        connection.timer.cancel()
        connections = self._idle[owner, port]
        connections.remove(connection)
        if not connections:
            del self._idle[owner, port]


async def _connect(port: int) -> Connection:
    """:raises NotListeningError:"""
    try:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    except OSError as fault:
        raise NotListeningError(str(fault)) from fault
    return connection
