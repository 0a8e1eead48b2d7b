"""The client of ``verify``: what counts as gone away, where it follows, and what it never shows."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from support import serving

from glmdeploy.runtime.verify_http import Door, GoneAway, NoReply, check_status, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "sekrit-key"


@contextmanager
def saying(answer: bytes, *, reset: bool = False) -> Iterator[str]:
    """A server that says the same bytes to one request, and closes, or resets, its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    ("answer", "reset"),
    [
        (b"", False),
        (b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", False),
    ],
    ids=["closed", "reset", "cut", "cut-chunks"],
)
def test_a_connection_that_breaks_may_be_tried_again(answer: bytes, reset: bool) -> None:
    with saying(answer, reset=reset) as url, pytest.raises(GoneAway):
        tell(Door(url, KEY), "/", seconds=10)


@pytest.mark.parametrize("status", [502, 503])
def test_so_may_what_a_proxy_says_of_a_container_that_is_no_more(status: int) -> None:
    with saying(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()) as url:
        answer = tell(Door(url), "/", seconds=10)
    with pytest.raises(GoneAway, match=str(status)):
        check_status(answer)


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"])
def test_whatever_is_said_is_an_answer_or_none(answer: bytes) -> None:
    with saying(answer) as url:
        try:
            told = tell(Door(url), "/", seconds=10)
        except NoReply:
            assert b"whole" not in answer
        else:
            assert told.text == "whole"


def test_silence_is_no_reply() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(NoReply, match="no answer in time") as raised,
    ):
        tell(Door(f"http://127.0.0.1:{listener.getsockname()[1]}"), "/", seconds=0.1)
    assert not isinstance(raised.value, GoneAway)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", "http://127.0.0.1:x", "nonsense", "http://[::1"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(NoReply, match="no address of a web server"):
        tell(Door(url, KEY), "/health", seconds=1)


@pytest.mark.parametrize("key", ["a\nb", "schlüssel€", "a\rb"])
def test_a_key_that_can_be_no_header_is_not_shown(key: str) -> None:
    with serving(web.Application()) as url, pytest.raises(NoReply) as raised:
        tell(Door(url, key), "/", seconds=10)
    assert str(raised.value) == "the key or the proxy token can be no header"


def test_a_door_does_not_show_what_opens_it() -> None:
    assert KEY not in repr(Door("http://x", KEY, ("wk-id", KEY)))


class TestRedirects:
    def test_of_the_same_server_are_followed(self) -> None:
        """As Modal lets go of a request after 150 s, with an address at which to go on waiting."""
        app = web.Application()
        asked: list[tuple[str, str | None]] = []

        async def first(request: web.Request) -> web.Response:
            asked.append((request.method, request.headers.get("Authorization")))
            raise web.HTTPSeeOther("/later?id=1")

        async def later(request: web.Request) -> web.Response:
            asked.append((request.method, request.headers.get("Authorization")))
            return web.Response(text=request.query["id"])

        app.router.add_post("/", first)
        app.router.add_get("/later", later)
        with serving(app) as url:
            assert tell(Door(url, KEY), "/", {}, seconds=10).text == "1"
        assert asked == [("POST", f"Bearer {KEY}"), ("GET", f"Bearer {KEY}")]

    def test_of_another_server_get_no_key(self) -> None:
        app = web.Application()

        async def answer(_: web.Request) -> web.Response:
            raise web.HTTPFound("http://127.0.0.1:1/elsewhere")

        app.router.add_get("/", answer)
        with serving(app) as url, pytest.raises(NoReply, match="it sends to another server"):
            tell(Door(url, KEY), "/", seconds=10)


def test_the_proxy_token_goes_to_this_machine_and_over_tls_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    app = web.Application()
    seen: list[tuple[str, str | None, str | None]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((str(request.url), request.headers.get("Modal-Key"), request.headers.get("Modal-Session-ID")))
        return web.Response()

    app.router.add_route("*", "/{path:.*}", answer)
    with serving(app) as url:
        # Through the environment's proxy, which here is the same server; not for this machine.
        monkeypatch.setenv("http_proxy", url)
        tell(Door(url, token=("wk-id", "ws-secret"), session="s"), "/health", seconds=10)
        tell(Door("http://example.com", token=("wk-id", "ws-secret")), "/health", seconds=10)
    assert seen == [(f"{url}/health", "wk-id", "s"), ("http://example.com/health", None, None)]
