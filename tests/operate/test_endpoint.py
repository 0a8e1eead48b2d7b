"""What ``apply`` makes of an endpoint's answers: redirects, silence, broken answers, an open door, a failed start."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from support import PATIENCE, serving

from glmdeploy.errors import DeployError
from glmdeploy.operate.endpoint import check_key, failed_start, wait_until_healthy
from glmdeploy.operate.target import Target
from glmdeploy.runtime.public import ask_public

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp.typedefs import Handler

MODAL = Target(name="modal", environment=None)


@contextmanager
def endpoint(answer: Handler) -> Iterator[str]:
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    with serving(app) as url:
        yield url


@contextmanager
def raw(*answers: bytes) -> Iterator[str]:
    """A server that answers its connections with these bytes, one after the other, and then stays silent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):  # a test that needs no more answers ends before it gets them
                for answer in answers:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"not HTTP at all\r\n\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 503 Unavailable\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 303 See Other\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 303 See Other\r\nLocation: ftp://elsewhere/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 303 See Other\r\nLocation: file:///etc/hostname\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\n\xff\xfe\x00{",
    ],
)
def test_broken_answers_are_asked_again(nonsense: bytes) -> None:
    with raw(nonsense, HEALTHY) as url:
        assert wait_until_healthy(url, MODAL, PATIENCE) > 0


def test_redirects_are_followed_as_often_as_modal_sends_them() -> None:
    async def answer(request: web.Request) -> web.Response:
        count = int(request.query.get("count", 0))
        if count < 20:
            raise web.HTTPSeeOther(f"/health?count={count + 1}")
        return web.Response()

    with endpoint(answer) as url:
        assert ask_public(f"{url}/health", PATIENCE).status == 200


def test_silence_ends() -> None:
    with raw() as url:
        with pytest.raises(DeployError, match=r"was not healthy after 1 s \(timed out\)"):
            wait_until_healthy(url, MODAL, 1)
        with pytest.raises(DeployError, match=r"whether .* wants its key is not known: .* timed out") as failure:
            check_key(url, "modal app stop x", 1)
        assert "modal app stop x" in str(failure.value.advice)


def test_the_last_reason_is_told() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=500, text="modal-http: internal error\nmore")

    with (
        endpoint(answer) as url,
        pytest.raises(DeployError, match=r"\(HTTP status 500: modal-http: internal error\)"),
    ):
        wait_until_healthy(url, MODAL, 1)


def test_no_proxy_is_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with raw(HEALTHY) as url:
        assert ask_public(url, PATIENCE).status == 200


def test_a_key_is_required_where_401_is_answered_at_last() -> None:
    statuses = iter([502, 200, 503, 429, 401])

    async def answer(request: web.Request) -> web.Response:
        assert request.path == "/v1/models"
        assert "Authorization" not in request.headers
        return web.Response(status=next(statuses))

    with endpoint(answer) as url:
        check_key(url, "modal app stop x", PATIENCE)
    assert list(statuses) == []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (200, "the endpoint is open: "),
        (204, "the endpoint is open: "),
        (403, "is not known: "),
        (404, "is not known: "),
    ],
)
def test_any_other_answer_is_asked_for_again_and_told(status: int, said: str) -> None:
    """An answer of an old container, which had no key yet, is not the last word."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status)

    with endpoint(answer) as url, pytest.raises(DeployError, match=f"{said}.* {status}") as failure:
        check_key(url, "modal app stop x", 1.5)
    assert "stop it: modal app stop x" in str(failure.value.advice)


REASON = "SGLang ended with exit code 1 while starting\nloading 'weights'\nRuntimeError: \"no\" memory\n"
LOG = f"the last lines of its log:\nloading\nTraceback (most recent call last):\n  File x\nEngineError: {REASON}"


@pytest.mark.parametrize("fault", [RuntimeError(REASON), RuntimeError(REASON.replace("'", ""))])
def test_a_failed_start_is_told_once_in_lines(fault: Exception) -> None:
    body = {"error": {"message": f"container failed to start: {fault!r}\n{LOG}"}}

    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(0)
        return web.Response(status=503, text=json.dumps(body))

    with endpoint(answer) as url, pytest.raises(DeployError) as failure:
        wait_until_healthy(url, MODAL, PATIENCE)
    told = f"{failure.value.message}\n{failure.value.advice}"
    assert failure.value.message.endswith("container failed to start: SGLang ended with exit code 1 while starting")
    assert '  | RuntimeError: "no" memory' in told.splitlines()
    assert told.count("exit code 1") == 1
    assert "Traceback" not in told
    assert "\\n" not in told


@pytest.mark.parametrize(
    ("message", "first", "lines"),
    [
        ("container failed to start: it was killed", "container failed to start: it was killed", []),
        (
            "container failed to start: exit code -9\nthe last lines of its log:\none\ntwo",
            "container failed to start: exit code -9",
            ["  | one", "  | two"],
        ),
        ("no web function is deployed at /x", "no web function is deployed at /x", []),
        ("kind: KeyError('API_KEY')", "kind: API_KEY", []),
        ("kind: Odd('not closed", "kind: Odd('not closed", []),
    ],
)
def test_failed_start(message: str, first: str, lines: list[str]) -> None:
    assert failed_start(message) == (first, lines)
