"""Who may speak to the servers on loopback: no page of another host, whatever name it gives this machine."""

from __future__ import annotations

import asyncio
import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from support import PATIENCE, serving

from glmdeploy.local.loopback import is_here, only_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.local.cloud import Cloud


@pytest.fixture(params=["gateway", "hub"])
def server(request: pytest.FixtureRequest, daemon: Cloud) -> tuple[str, str]:
    """A server's address, and a path that it has."""
    if request.param == "gateway":
        return urlsplit(daemon.gateway_url).netloc, "/_apps/none"
    return urlsplit(daemon.hub_url).netloc, "/api/models/org/model"


def ask(address: str, path: str, *headers: tuple[str, str]) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    try:
        connection.putrequest("GET", path, skip_host=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_names_of_loopback_with_the_port(server: tuple[str, str]) -> None:
    address, path = server
    port = address.partition(":")[2]
    for host in ("localhost", "LocalHost", "127.0.0.1", "[::1]"):
        assert ask(address, path, ("Host", f"{host}:{port}"))[0] in {200, 404}


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.2", "x@127.0.0.1"]
)
def test_other_names(server: tuple[str, str], host: str) -> None:
    address, path = server
    port = address.partition(":")[2]
    status, answer = ask(address, path, ("Host", f"{host}:{port}"))
    assert status == 421
    assert f"with the port {port}" in answer["error"]["message"]


def test_other_ports(server: tuple[str, str]) -> None:
    address, path = server
    assert ask(address, path, ("Host", "127.0.0.1"))[0] == 421
    assert ask(address, path, ("Host", "127.0.0.1:1"))[0] == 421


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "http://127.0.0.1:8080", "https://localhost", "http://[::1]:1"]
)
def test_pages_from_here(server: tuple[str, str], origin: str) -> None:
    address, path = server
    assert ask(address, path, ("Host", address), ("Origin", origin))[0] in {200, 404}


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example", "file://", ""])
def test_pages_from_elsewhere(server: tuple[str, str], origin: str) -> None:
    address, path = server
    status, answer = ask(address, path, ("Host", address), ("Origin", origin))
    assert status == 403
    assert "only those from localhost" in answer["error"]["message"]


@pytest.fixture
def socket_url() -> Iterator[str]:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        await connection.send_str("open")
        await connection.close()
        return connection

    app = web.Application(middlewares=[only_loopback])
    app.router.add_get("/", echo)
    with serving(app) as url:
        yield url


def test_websockets(socket_url: str) -> None:
    async def first(**headers: str) -> str:
        async with aiohttp.ClientSession() as session, session.ws_connect(socket_url, headers=headers) as connection:
            return await connection.receive_str()

    assert asyncio.run(first(Origin="http://localhost:3000")) == "open"
    for headers, status in (({"Origin": "https://evil.example"}, 403), ({"Host": "evil.example"}, 421)):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            asyncio.run(first(**headers))
        assert refusal.value.status == status


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:80/path", "http://127.0.0.1:99999", "http://[::1", "127.0.0.1:80", "ftp://localhost"]
)
def test_what_names_nothing_here(url: str) -> None:
    assert not is_here(url)
