"""Passes a request through to a container's web server, and streams what comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from glmdeploy.local.loopback import refusal
from glmdeploy.local.state import traffic
from glmdeploy.local.upstream import BrokenOffError, Connection, Connections, NotListeningError
from glmdeploy.runtime.public import TOKEN_HEADERS

if TYPE_CHECKING:
    from glmdeploy.local.containers.member import Member
    from glmdeploy.local.containers.pool import Pool
    from glmdeploy.local.http_body import Head
    from glmdeploy.local.redirects import Exchange

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "expect",  # aiohttp has answered it
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        *(name.lower() for name in TOKEN_HEADERS),  # no container gets to see a proxy token
    }
)


class Passage:
    """What :func:`pass_through` asks containers with: connections that are used again, and a client for WebSockets."""

    def __init__(self) -> None:
        self.connections = Connections()
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=64 * 1024,
            max_field_size=64 * 1024,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.connections.close()
        await self.session.close()


async def pass_through(
    passage: Passage, request: web.Request, member: Member, configured_port: int, pool: Pool, exchange: Exchange
) -> web.StreamResponse:
    """The container's answer, or 502 or 504 in its place; the connection to the client ends with an answer cut off.

    The answer goes to the request that ``exchange`` names once it begins.
    """
    port = await member.web_port(configured_port)
    label = request.match_info["label"]
    path = request.raw_path.removeprefix(f"/{label}") or "/"
    path = path if path.startswith("/") else f"/{path}"
    headers = _forwarded(request)
    response: web.StreamResponse | None = None
    try:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await _pass_websocket(passage.session, request, f"http://127.0.0.1:{port}{path}", headers)
        body = await exchange.body()
        asked = _asked(request.method, path, headers, body)
        async with (
            asyncio.timeout(pool.limits.timeout),
            passage.connections.asked(member.task_id, port, request.method, asked, body) as (upstream, head),
        ):
            response = web.StreamResponse(status=head.status, reason=head.reason)
            exchange.status = head.status
            response.headers.update(_returned(head, label))
            request = await exchange.client()
            try:
                await _relay(upstream, request, response)
            finally:
                exchange.whole = upstream.whole
            return response
    except (NotListeningError, aiohttp.ClientConnectorError):
        exchange.fault = traffic.FAILURE
        member.say("nothing listens on the web server's port any more: the container is stopped")
        member.stop()
        pool.balance()
        return refusal(502, "the container's web server does not answer")
    except (BrokenOffError, aiohttp.ClientError, TimeoutError) as fault:
        exchange.fault = _kind(fault)
        if response is not None and response.prepared:
            # Too late for a status: the only honest end of a cut-off answer is a cut-off connection.
            if request.transport is not None:
                request.transport.abort()
            return response
        if isinstance(fault, TimeoutError):
            return refusal(504, f"the request hit the function's timeout of {pool.limits.timeout:g}s")
        return refusal(502, f"the container's web server broke the connection off: {fault}")


def _kind(fault: Exception) -> str:
    if isinstance(fault, aiohttp.ClientConnectionResetError):
        return traffic.CANCELLED  # by the client, who is gone
    return traffic.TIMEOUT if isinstance(fault, TimeoutError) else traffic.FAILURE


async def _relay(upstream: Connection, request: web.Request, response: web.StreamResponse) -> None:
    """Answer with what comes; the body goes past aiohttp, which writes the headers, and the end of the last chunk.

    :raises BrokenOffError:
    :raises aiohttp.ClientError: where the client is gone.
    """
    no_body = request.method == "HEAD" or response.status in {204, 304}
    framed = request.version >= aiohttp.HttpVersion11 and response.content_length is None and not no_body
    if framed:
        response.enable_chunked_encoding()
    writer = await response.prepare(request)
    if writer is None or request.transport is None:
        raise aiohttp.ClientConnectionResetError("the client is gone")
    await upstream.relay(writer, request.transport, framed=framed)
    await response.write_eof()


def _asked(method: str, path: str, headers: CIMultiDict[str], body: aiohttp.StreamReader | bytes | None) -> bytes:
    """The head of a request with this body."""
    if isinstance(body, bytes):
        headers["Content-Length"] = str(len(body))
    elif body is not None and "Content-Length" not in headers:
        headers["Transfer-Encoding"] = "chunked"
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode(errors="surrogateescape")


def _forwarded(request: web.Request) -> CIMultiDict[str]:
    dropped = _HOP_BY_HOP | {name.strip().lower() for name in request.headers.get("Connection", "").split(",")}
    headers = CIMultiDict(
        (name, value)
        for name, value in request.headers.items()
        if name.lower() not in dropped and not name.lower().startswith("x-forwarded-")
    )
    headers.setdefault("Host", request.host)  # whatever Connection names
    headers["X-Forwarded-For"] = request.remote or "127.0.0.1"
    headers["X-Forwarded-Proto"] = request.scheme
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-Prefix"] = f"/{request.match_info['label']}"
    return headers


def _returned(head: Head, label: str) -> CIMultiDict[str]:
    headers = CIMultiDict((name, value) for name, value in head.headers.items() if name.lower() not in _HOP_BY_HOP)
    if "Transfer-Encoding" in head.headers:
        headers.popall("Content-Length", None)  # it does not count beside the other (RFC 9112, 6.3)
    elif lengths := headers.popall("Content-Length", None):
        headers["Content-Length"] = lengths[0]  # one that was said twice is passed on once (RFC 9110, 8.6)
    location = headers.get("Location", "")
    if location.startswith("/") and not location.startswith("//"):
        headers["Location"] = f"/{label}{location}"
    return headers


async def _pass_websocket(
    session: aiohttp.ClientSession, request: web.Request, url: str, headers: CIMultiDict[str]
) -> web.StreamResponse:
    protocols = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if name.strip()]
    handshake = [name for name in headers if name.lower().startswith("sec-websocket-")]
    for name in handshake:
        headers.popall(name, None)
    async with session.ws_connect(url, headers=headers, protocols=protocols, max_msg_size=0) as upstream:
        chosen = [upstream.protocol] if upstream.protocol else []
        client = web.WebSocketResponse(protocols=chosen, max_msg_size=0)
        await client.prepare(request)

        async def pump(
            source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
            target: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
        ) -> None:
            async for message in source:
                if message.type == aiohttp.WSMsgType.TEXT:
                    await target.send_str(message.data)
                elif message.type == aiohttp.WSMsgType.BINARY:
                    await target.send_bytes(message.data)
            await target.close(code=source.close_code or 1000)

        await asyncio.gather(pump(client, upstream), pump(upstream, client))
        return client
