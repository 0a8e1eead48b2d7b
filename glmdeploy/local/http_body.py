"""How an answer in HTTP/1.1 is taken apart: its head, and where its body ends (RFC 9112). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from multidict import CIMultiDict

_STATUS = re.compile(r"HTTP/1\.([01]) ([1-5]\d\d)(?: (.*))?")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\0-\x08\n-\x1f\x7f]")
"""What no line of a head may hold (RFC 9110, 5.5), and aiohttp writes in none."""
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
_LINE_BYTES = 16 * 1024


class MalformedError(Exception):
    """What the server said is not HTTP/1.1; the message says what."""


@dataclass(frozen=True, kw_only=True)
class Head:
    status: int
    reason: str
    headers: CIMultiDict[str]
    keep_alive: bool
    """Whether the server takes another request over the connection."""


class Body(Protocol):
    """``done`` says that it is whole; ``rest`` is what came after it."""

    done: bool
    rest: bytes
    ends_with_connection: bool

    def feed(self, data: bytes) -> bytes:
        """The part of the body in ``data``, which is not empty. :raises MalformedError:"""


def read_head(data: bytes) -> Head:
    """The head, of which ``data`` are the lines, without the empty one.

    :raises MalformedError:
    """
    first, *lines = data.decode(errors="surrogateescape").split("\r\n")
    status = _STATUS.fullmatch(first)
    if status is None or _CONTROL.search(first):
        raise MalformedError("its answer does not begin with a status of HTTP/1")
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name) or _CONTROL.search(value):
            raise MalformedError("one of its headers is malformed")
        headers.add(name, value.strip(" \t"))
    options = {option.strip().lower() for value in headers.getall("Connection", ()) for option in value.split(",")}
    keep_alive = status[1] == "1" and "close" not in options
    return Head(status=int(status[2]), reason=status[3] or "", headers=headers, keep_alive=keep_alive)


def body_of(head: Head, method: str) -> Body:
    """The body that follows the head of an answer to ``method`` (RFC 9112, 6.3).

    :raises MalformedError:
    """
    if method == "HEAD" or head.status in {204, 304}:
        return Sized(0)
    codings = ", ".join(head.headers.getall("Transfer-Encoding", ())).lower()
    if codings:
        if codings != "chunked":
            raise MalformedError(f"its transfer coding is not known: {codings}")
        return Chunked()
    lengths = set(head.headers.getall("Content-Length", ()))
    if not lengths:
        return Open()
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()):
        raise MalformedError("its length is malformed")
    return Sized(int(length))


class Sized:
    """Of a length that is known."""

    ends_with_connection = False

    def __init__(self, length: int) -> None:
        self.done = length == 0
        self.rest = b""
        self._left = length

    def feed(self, data: bytes) -> bytes:
        if len(data) > self._left:
            data, self.rest = data[: self._left], data[self._left :]
        self._left -= len(data)
        self.done = self._left == 0
        return data


class Open:
    """Ends with the connection, which cannot be told from one that breaks off in order."""

    ends_with_connection = True
    done = False
    rest = b""

    def feed(self, data: bytes) -> bytes:
        return data


class Chunked:
    """In chunks; trailers are dropped."""

    ends_with_connection = False

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self._line = b""  # a line that has not ended
        self._left = 0  # bytes of the chunk and of the line break after it
        self._last = False  # the last chunk has come

    def feed(self, data: bytes) -> bytes:
        data, self._line, at, pieces = self._line + data, b"", 0, []
        while at < len(data):
            if self._left > 2:
                piece = data[at : at + self._left - 2]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._line = data[at:]
                if len(self._line) > _LINE_BYTES:
                    raise MalformedError("one of its chunks is malformed")
                break
            line, at = data[at:end], end + 2
            if self._left:
                if line:
                    raise MalformedError("one of its chunks is longer than it says")
                self._left = 0
            elif self._last:
                if not line:
                    self.done, self.rest = True, data[at:]
                    break
            else:
                size = _SIZE.fullmatch(line)
                if size is None:
                    raise MalformedError("one of its chunks has no size")
                length = int(size[1], 16)
                self._left, self._last = length + 2 if length else 0, length == 0
        return b"".join(pieces)
