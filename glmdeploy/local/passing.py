"""Passes a request through to a container's web server, and streams what comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from glmdeploy.local.loopback import refusal

if TYPE_CHECKING:
    from glmdeploy.local.containers.member import Member
    from glmdeploy.local.containers.pool import Pool
    from glmdeploy.local.redirects import Exchange

_READ_BYTES = 256 * 1024
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "modal-key",
        "modal-secret",
    }
)


def passing_session() -> aiohttp.ClientSession:
    """What :func:`pass_through` asks containers with."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=_READ_BYTES,
        max_line_size=64 * 1024,
        max_field_size=64 * 1024,
    )


async def pass_through(
    session: aiohttp.ClientSession,
    request: web.Request,
    member: Member,
    configured_port: int,
    pool: Pool,
    exchange: Exchange,
) -> web.StreamResponse:
    """The container's answer, or 502 or 504 in its place; the connection to the client ends with an answer cut off.

    The answer goes to the request that ``exchange`` names once it begins.
    """
    port = await member.web_port(configured_port)
    path = request.raw_path.removeprefix(f"/{request.match_info['label']}") or "/"
    url = f"http://127.0.0.1:{port}{path if path.startswith('/') else f'/{path}'}"
    headers = _forwarded(request)
    response: web.StreamResponse | None = None
    try:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await _pass_websocket(session, request, url, headers)
        async with (
            asyncio.timeout(pool.limits.timeout),
            session.request(
                request.method,
                URL(url, encoded=True),
                headers=headers,
                data=await exchange.body(),
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            ) as upstream,
        ):
            response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
            response.headers.update(_returned(upstream, request.match_info["label"]))
            request = await exchange.client()
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response
    except aiohttp.ClientConnectorError:
        member.say("nothing listens on the web server's port any more: the container is stopped")
        member.stop()
        pool.balance()
        return refusal(502, "the container's web server does not answer")
    except (aiohttp.ClientError, TimeoutError) as fault:
        if response is not None and response.prepared:
            # Too late for a status: the only honest end of a cut-off answer is a cut-off connection.
            if request.transport is not None:
                request.transport.abort()
            return response
        if isinstance(fault, TimeoutError):
            return refusal(504, f"the request hit the function's timeout of {pool.limits.timeout:g}s")
        return refusal(502, f"the container's web server broke the connection off: {fault}")


def _forwarded(request: web.Request) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in request.headers.get("Connection", "").split(",")}
    headers = CIMultiDict(
        (name, value)
        for name, value in request.headers.items()
        if name.lower() not in _HOP_BY_HOP | named and not name.lower().startswith("x-forwarded-")
    )
    headers["X-Forwarded-For"] = request.remote or "127.0.0.1"
    headers["X-Forwarded-Proto"] = request.scheme
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-Prefix"] = f"/{request.match_info['label']}"
    return headers


def _returned(upstream: aiohttp.ClientResponse, label: str) -> CIMultiDict[str]:
    headers = CIMultiDict((name, value) for name, value in upstream.headers.items() if name.lower() not in _HOP_BY_HOP)
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
