"""HTTP/1.1 as strictly as RFC 9112 has it, and aiohttp applications that are asked without a socket."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

PORT = 8000
HOST = f"localhost:{PORT}".encode()

_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e\x80-\xff]+) HTTP/1\.1")
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?")
_NAME, _SEEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", rb"[\x21-\x7e\x80-\xff]"
_VALUE = rb"(?:" + _SEEN + rb"(?:[\t\x20-\x7e\x80-\xff]*" + _SEEN + rb")?)?"
_HEADER = re.compile(rb"(" + _NAME + rb"):[ \t]*(" + _VALUE + rb")[ \t]*")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")


class NotStrictError(Exception):
    """What was said is not what RFC 9112 has, or may be read in two ways."""


class IncompleteError(Exception):
    """What was said is the beginning of something."""


@dataclass(frozen=True)
class Message:
    """A request or an answer: what its first line says, and what follows. ``end`` is the offset behind it."""

    first: tuple[bytes, ...]
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    end: int

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name]


def request(data: bytes, at: int = 0) -> Message:
    """The request at an offset.

    :raises NotStrictError: where two servers may disagree about it.
    :raises IncompleteError: where it has not ended.
    """
    first, headers, end = _head(data, at, _REQUEST)
    body, end = _body(headers, data, end, until_the_end=False, none=False)
    return Message(first, headers, body, end)


def answer(data: bytes, method: bytes, at: int = 0, *, ended: bool) -> Message:
    """The answer to a request, behind those that are interim; ``ended`` says that nothing comes after ``data``.

    :raises NotStrictError:
    :raises IncompleteError:
    """
    while True:
        first, headers, at = _head(data, at, _STATUS)
        status = int(first[1])
        if status == 101:
            raise NotStrictError("it changes the protocol")
        if status >= 200:
            break
    none = method == b"HEAD" or status in (204, 304)
    body, end = _body(headers, data, at, until_the_end=ended, none=none, lenient_length=True)
    return Message(first, headers, body, end)


def _head(
    data: bytes, at: int, pattern: re.Pattern[bytes]
) -> tuple[tuple[bytes, ...], tuple[tuple[bytes, bytes], ...], int]:
    end = data.find(b"\r\n\r\n", at)
    if end < 0:
        raise IncompleteError
    line, *lines = data[at:end].split(b"\r\n")
    first = pattern.fullmatch(line)
    if first is None:
        raise NotStrictError(f"its first line is {line[:60]!r}")
    headers = []
    for each in lines:
        header = _HEADER.fullmatch(each)
        if header is None:
            raise NotStrictError(f"a header is {each[:60]!r}")
        headers.append((header[1], header[2]))
    return tuple(group or b"" for group in first.groups()), tuple(headers), end + 4


def _body(
    headers: tuple[tuple[bytes, bytes], ...],
    data: bytes,
    at: int,
    *,
    until_the_end: bool,
    none: bool,
    lenient_length: bool = False,
) -> tuple[bytes, int]:
    codings = [value.lower() for key, value in headers if key.lower() == b"transfer-encoding"]
    lengths = [value for key, value in headers if key.lower() == b"content-length"]
    if none:
        return b"", at
    if codings:
        if codings != [b"chunked"]:
            raise NotStrictError(f"its coding is {codings}")
        if lengths and not lenient_length:
            raise NotStrictError("it has a coding and a length")
        return _chunks(data, at)
    if not lengths:
        return (data[at:], len(data)) if until_the_end else (b"", at)
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,15}", lengths[0]):
        raise NotStrictError(f"its length is {lengths}")
    end = at + int(lengths[0])
    if len(data) < end:
        raise IncompleteError
    return data[at:end], end


def _chunks(data: bytes, at: int) -> tuple[bytes, int]:
    body = b""
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            raise IncompleteError
        line = _CHUNK.fullmatch(data[at:end])
        if line is None:
            raise NotStrictError(f"a chunk's length is {data[at:end][:60]!r}")
        size, at = int(line[1], 16), end + 2
        if not size:
            break
        if len(data) < at + size + 2:
            raise IncompleteError
        if data[at + size : at + size + 2] != b"\r\n":
            raise NotStrictError("a chunk is longer than it says")
        body += data[at : at + size]
        at += size + 2
    while True:  # trailers
        end = data.find(b"\r\n", at)
        if end < 0:
            raise IncompleteError
        if end == at:
            return body, at + 2
        if _HEADER.fullmatch(data[at:end]) is None:
            raise NotStrictError(f"a trailer is {data[at:end][:60]!r}")
        at = end + 2


class _Readable:
    """In the place of a socket that has nothing to read."""

    family = socket.AF_UNIX

    def fileno(self) -> int:
        return _SILENT

    def setsockopt(self, *_: Any) -> None:
        pass


_SILENT = os.pipe()[0]


class Wire(asyncio.Transport):
    """A connection that keeps what is written to it, and tells ``heard`` of it."""

    def __init__(self, protocol: asyncio.Protocol, heard: Callable[[bytes], None] | None = None) -> None:
        super().__init__({"sockname": ("127.0.0.1", PORT), "peername": ("127.0.0.1", 50000), "socket": _Readable()})
        self.written = bytearray()
        self.closed = False
        self.aborted = False
        self._protocol = protocol
        self._heard = heard

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closed:
            self.written += data
            if self._heard is not None:
                self._heard(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        if not self.closed:
            self.aborted = True
        self.close()

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_reading(self) -> bool:
        return True

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol  # type: ignore[assignment]


@dataclass
class Talk:
    """What an application said to a client: all of it, and whether it ended the connection, and hard."""

    said: bytes
    closed: bool
    aborted: bool


@dataclass
class Asked:
    """What an application's handlers were given, in their order."""

    methods: list[str] = field(default_factory=list)


_ODD = re.compile(rb"expect[ \t]*:[^\r\n]*[\x80-\xff]", re.IGNORECASE)


def fails(said: bytes, data: bytes) -> bool:
    """Whether an application failed, and aiohttp answered 500 in its place.

    aiohttp itself does so where an Expect header is no text: it repeats what it cannot encode (3.14.5,
    ``web_urldispatcher._default_expect_handler``), before any of an application's code runs.
    """
    return b"Server got itself in trouble" in said and not _ODD.search(data)


async def talk(
    application: web.Application, data: bytes, *, auto_decompress: bool = True, seconds: float = 1000.0
) -> Talk:
    """Send all of ``data`` over one connection, and wait so long, by the loop's clock, until the client goes."""
    runner = web.AppRunner(
        application, handler_cancellation=True, access_log=None, shutdown_timeout=1.0, auto_decompress=auto_decompress
    )
    await runner.setup()
    try:
        assert runner.server is not None
        protocol = runner.server()
        wire = Wire(protocol)
        protocol.connection_made(wire)
        for at in range(0, len(data), 700):  # in pieces, as they come over a network
            if wire.closed:
                break
            protocol.data_received(data[at : at + 700])
            await asyncio.sleep(0)
        await asyncio.sleep(seconds)
        closed, aborted = wire.closed, wire.aborted
        wire.close()
        await asyncio.sleep(1)
        return Talk(bytes(wire.written), closed, aborted)
    finally:
        await runner.cleanup()
