"""The gateway: raw HTTP in, and what it passes on to a container and back means to everybody what it means to it.

An input is what a client says, and behind :data:`ANSWER` what the container answers to each request; nothing there for
an answer that repeats the request's body.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import aiohttp

from fuzz import wire
from fuzz.still import Loop, loop, run
from fuzz.target import Target, words
from fuzz.wire import HOST, Wire
from glmdeploy.local import passing, upstream
from glmdeploy.local.gateway import Gateway
from glmdeploy.local.home import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANSWER = b"\n--answer--\n"
ASKED = f"GET /app/x HTTP/1.1\r\nHost: {HOST.decode()}\r\n\r\n".encode()
"""What the client says where an input has only an answer."""
FORBIDDEN = (b"modal-key", b"modal-secret", b"connection", b"te", b"upgrade", b"proxy-authorization", b"expect")
"""Headers that no container gets."""
TOKEN = Credentials(token_id="wk-fuzz", token_secret="ws-fuzz")


@dataclass
class Container:
    """One connection to the container: what was asked over it, as strictly as can be."""

    answers: bytes
    asked: int = 0
    """How often the gateway asked something over it."""
    heard: bytes = b""
    requests: list[wire.Message] = field(default_factory=list)
    transport: Wire | None = None
    protocol: asyncio.Protocol | None = None

    def hear(self, data: bytes) -> None:
        self.heard += data
        while True:
            at = self.requests[-1].end if self.requests else 0
            if at == len(self.heard):
                return
            try:
                request = wire.request(self.heard, at)
            except wire.IncompleteError:
                return
            self.requests.append(request)
            asyncio.get_running_loop().call_soon(self._answer, request)

    def _answer(self, request: wire.Message) -> None:
        assert self.transport is not None
        assert self.protocol is not None
        said = self.answers or b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request.body), request.body)
        if self.answers == b"" and request.first[0] == b"HEAD":
            said = said[: len(said) - len(request.body)]
        for at in range(0, len(said), 300):
            if self.transport.closed:
                return
            self.protocol.data_received(said[at : at + 300])
        if self.answers:
            self.transport.close()  # what a server says for as long as it likes ends somewhere


@dataclass
class Site:
    """A gateway over containers that are none."""

    answers: bytes
    containers: list[Container] = field(default_factory=list)
    dispatched: list[str] = field(default_factory=list)

    async def connect(
        self, factory: Callable[[], asyncio.Protocol], *_: Any, **__: Any
    ) -> tuple[Wire, asyncio.Protocol]:
        container = Container(self.answers)
        protocol = factory()
        transport = Wire(protocol, container.hear)
        container.transport, container.protocol = transport, protocol
        protocol.connection_made(transport)
        self.containers.append(container)
        return transport, protocol

    def gateway(self) -> Gateway:
        member = SimpleNamespace(task_id="ta-1", web_port=_port, say=lambda _: None, stop=lambda: None)
        pool = SimpleNamespace(
            limits=SimpleNamespace(timeout=300.0),
            submit=lambda lease: lease.granted.set_result(member),
            withdraw=lambda _: False,
            release=lambda _: None,
            balance=lambda: None,
        )
        doors = {
            name: SimpleNamespace(live=SimpleNamespace(id="fu-1", tag=name), port=1, is_server=False, proxy_auth=locked)
            for name, locked in (("app", False), ("locked", True))
        }
        backend = SimpleNamespace(
            registry=SimpleNamespace(door=doors.get, app=lambda _: None),
            worker=SimpleNamespace(pool=lambda _: pool),
            traffic=SimpleNamespace(visit=_visit),
            links=SimpleNamespace(find=lambda _: None),
            proxy_token=TOKEN,
            web_timeout=150.0,
        )
        return Gateway(backend)  # type: ignore[arg-type]


async def _port(_: int) -> int:
    return 9


@contextlib.contextmanager
def _visit(*_: Any, **__: Any) -> Iterator[Any]:
    yield SimpleNamespace(begins=lambda _: None)


class _Session:
    """In the place of aiohttp's client, which opens WebSockets: nothing takes them."""

    @contextlib.asynccontextmanager
    async def ws_connect(self, *_: Any, **__: Any) -> Any:
        raise aiohttp.ClientConnectionError("nobody listens")
        yield

    async def close(self) -> None:
        pass


def _begin(passage: passing.Passage) -> None:
    passage.connections = upstream.Connections()
    passage.session = _Session()  # type: ignore[assignment]


def check(data: bytes) -> None:
    said, _, answers = data.partition(ANSWER)
    said = said or ASKED
    site = Site(answers)
    with loop() as made, _watched(site, made):
        talk = run(made, _talk(site, said))
    for container in site.containers:
        _passed_on(container)
    assert not wire.fails(talk.said, data), f"500: {talk.said[:400]!r}"
    _answered(said, talk, site)


async def _talk(site: Site, said: bytes) -> wire.Talk:
    return await wire.talk(site.gateway().application(), said, auto_decompress=False)


@contextlib.contextmanager
def _watched(site: Site, made: Loop) -> Iterator[None]:
    ask = upstream.Connection.ask

    async def counted(connection: Any, *arguments: Any) -> Any:
        for each in site.containers:
            if each.protocol is connection:
                each.asked += 1
        return await ask(connection, *arguments)

    with (
        patch.object(made, "create_connection", site.connect),
        patch.object(passing.Passage, "__init__", _begin),
        patch.object(upstream.Connection, "ask", counted),
    ):
        yield


def _passed_on(container: Container) -> None:
    """Over a connection come as many requests as the gateway took for one, and none can be read in another way."""
    try:
        wire.request(container.heard, container.requests[-1].end if container.requests else 0)
    except wire.IncompleteError:
        pass
    except wire.NotStrictError as fault:
        raise AssertionError(f"passed on, though {fault}: {container.heard[:600]!r}") from None
    assert len(container.requests) <= container.asked, f"{container.asked} requests have become {container.requests}"
    for request in container.requests:
        names = [name.lower() for name, _ in request.headers]
        assert names.count(b"host") == 1, f"hosts: {request.headers}"
        for name in FORBIDDEN:
            assert name not in names, f"{name!r} was passed on: {request.headers}"
        for name in (b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-prefix"):
            assert names.count(name) == 1, f"{name!r}: {request.headers}"


def _answered(said: bytes, talk: wire.Talk, site: Site) -> None:
    """What can be read in one way alone arrives as it was said, and its answer is the container's, or none."""
    heard = [request for container in site.containers for request in container.requests]
    at = behind = number = 0
    while at < len(said):
        try:
            asked = wire.request(said, at)
        except (wire.NotStrictError, wire.IncompleteError):
            return
        at = asked.end
        if asked.values(b"expect") or asked.values(b"upgrade"):
            return
        method, target = asked.first[:2]
        plain = target.startswith(b"/app/") and b"__modal" not in target and asked.values(b"host") == [HOST]
        if not plain or asked.values(b"origin") or asked.values(b"connection"):
            return
        try:
            answer = wire.answer(talk.said, method, behind, ended=talk.closed and not talk.aborted)
        except wire.NotStrictError as fault:
            raise AssertionError(f"the answer cannot be read: {fault}: {talk.said[behind : behind + 300]!r}") from None
        except wire.IncompleteError:
            assert talk.closed, f"no answer to {method!r} {target[:80]!r}, and no end"
            return
        behind = answer.end
        status = int(answer.first[1])
        if number >= len(heard):
            assert status >= 400, f"answered {status} without the container"
            return
        got = heard[number]
        number += 1
        assert (got.first[0], got.body) == (method, asked.body), f"{asked} arrived as {got}"
        assert got.first[1] == target.removeprefix(b"/app"), f"{target!r} arrived as {got.first[1]!r}"
        _returned(method, status, answer, talk, site.answers, asked.body)
        if site.answers or talk.closed:
            return


def _returned(method: bytes, status: int, answer: wire.Message, talk: wire.Talk, said: bytes, body: bytes) -> None:
    """The client gets the container's answer whole, or learns that it is not."""
    if not said:
        assert (status, answer.body) == (200, b"" if method == b"HEAD" else body), f"answered {status} {answer.body!r}"
        return
    if status in (502, 504) and (method == b"HEAD" or b'{"error"' in talk.said):
        return
    try:
        meant = wire.answer(said, method, ended=True)
    except (wire.NotStrictError, wire.IncompleteError) as fault:
        # What is lenient is let through where it has one meaning: a header's odd characters, a reason's.
        if isinstance(fault, wire.IncompleteError):
            raise AssertionError(f"cut off, and yet whole to the client: {talk.said[:300]!r}") from None
        return
    assert int(meant.first[1]) == status, f"{meant.first} came as {answer.first}"
    assert meant.body == answer.body, f"{meant.body[:200]!r} came as {answer.body[:200]!r}"


def seeds() -> Iterator[bytes]:
    def ask(method: str, path: str, *headers: str, body: str = "") -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST.decode()}", *headers]
        return "\r\n".join([*lines, "", body]).encode("latin-1")

    chunked = "Transfer-Encoding: chunked"
    smuggled = "GET /app/admin HTTP/1.1\r\nHost: localhost:8000\r\n\r\n"
    yield ask("GET", "/app/x?y=1") + ask("GET", "/app")
    yield ask("POST", "/app/v1/chat", "Content-Length: 5", body="hello") + ask("HEAD", "/app/x")
    yield ask("POST", "/app/v1/chat", chunked, body="5\r\nhello\r\n0\r\n\r\n")
    yield ask("POST", "/app/v1/chat", chunked, body="5;a=b\r\nhello\r\n0\r\nTrailer: x\r\n\r\n")
    yield ask("POST", "/app/x", "Content-Length: 5", chunked, body="0\r\n\r\n" + smuggled)
    yield ask("POST", "/app/x", "Content-Length: 4", "Content-Length: 5", body="hello")
    yield ask("POST", "/app/x", "Content-Length: 4, 5", body="hello")
    yield ask("POST", "/app/x", "Content-Length: +5", body="hello")
    yield ask("POST", "/app/x", "Content-Length: 0x5", body="hello")
    yield ask("POST", "/app/x", "Content-Length:5 ", body="hello" + smuggled)
    yield ask("POST", "/app/x", "Transfer-Encoding: chunked, identity", body="0\r\n\r\n" + smuggled)
    yield ask("POST", "/app/x", "Transfer-Encoding: identity, chunked", body="0\r\n\r\n" + smuggled)
    yield ask("POST", "/app/x", "Transfer-Encoding: xchunked", body="0\r\n\r\n")
    yield ask("POST", "/app/x", "Transfer-Encoding : chunked", body="0\r\n\r\n")
    yield ask("POST", "/app/x", "Transfer-Encoding:\x0bchunked", body="0\r\n\r\n")
    yield ask("POST", "/app/x", "X: y\r\n Transfer-Encoding: chunked", "Content-Length: 5", body="hello")
    yield ask("POST", "/app/x", "X: y\rTransfer-Encoding: chunked", body="")
    yield ask("POST", "/app/x", "X: y\nContent-Length: 5", body="hello")
    yield ask("POST", "/app/x", "Connection: Content-Length", "Content-Length: 5", body="hello")
    yield ask("POST", "/app/x", "Connection: Transfer-Encoding", chunked, body="5\r\nhello\r\n0\r\n\r\n")
    yield ask("POST", "/app/x", "Connection: Host, X-Forwarded-For", "Content-Length: 5", body="hello")
    yield ask("GET", "/app/x", "X-Forwarded-For: 1.2.3.4", "x_forwarded_host: a", "Modal-Key: a", "Modal-Secret: b")
    yield ask("GET", "/locked/x", "Modal-Key: wk-fuzz", "Modal-Secret: ws-fuzz")
    yield ask("GET", "http://localhost:8000/app/x")
    yield ask("GET", "/app/x", "Host: evil")
    yield ask("GET", "//app/x") + ask("GET", "/app//x") + ask("GET", "/app/../y") + ask("GET", "/app/%0d%0aX:y")
    yield ask("OPTIONS", "*") + ask("CONNECT", "localhost:80")
    yield ask(
        "GET",
        "/app/x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: x",
        "Sec-WebSocket-Version: 13",
    )
    yield ask("POST", "/app/x", "Expect: 100-continue", "Content-Length: 5", body="hello")
    yield ask("GET", "/app/x", "Content-Length: 5", body="hello") + ask("GET", "/app/y")
    yield ask("GET", "/_files/x") + ask("PUT", "/_files/x", "Content-Length: 1", body="x") + ask("GET", "/_apps/ap-1")
    yield ask("GET", "/app/x", "Content-Encoding: gzip", "Accept-Encoding: gzip", "\u00e4: \u00f6")
    yield b"GET /app/x HTTP/1.0\r\nHost: localhost:8000\r\n\r\n"
    yield b"GET /app/x HTTP/1.1\nHost: localhost:8000\n\n"
    yield b"\r\n\r\nGET /app/x HTTP/1.1\r\nHost: localhost:8000\r\n\r\n"
    yield b"get /app/x HTTP/1.1\r\nHost: localhost:8000\r\n\r\nG\x00T / HTTP/1.1\r\n\r\n"
    yield b"GET /app/x\x00y HTTP/1.1\r\nHost: localhost:8000\r\n\r\n"
    for answer in (
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
        f"HTTP/1.1 200 OK\r\n{chunked}\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        f"HTTP/1.1 200 OK\r\n{chunked}\r\nContent-Length: 1\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
        f"HTTP/1.1 200 OK\r\n{chunked}\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\n\r\nuntil the end",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nx",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nX\u00e4: y\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 599 \r\nContent-Length: 0\r\nConnection: close, X\r\nX: y\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "",
    ):
        yield ANSWER + answer.encode("latin-1")
        yield ask("HEAD", "/app/x") + ANSWER + answer.encode("latin-1")


TARGET = Target(name="gateway", check=check, seeds=seeds, words=words("gateway"), longest=2048)
