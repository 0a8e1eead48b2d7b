"""The front door: web URLs of web functions, and the URLs through which clients move large files.

``/<label>/...`` is a web function. A request that finds no container waits until one has started, then passes
through to the port on which the container listens; what comes back is streamed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from modal_proto import api_pb2
from multidict import CIMultiDict
from yarl import URL

from glmdeploy.local.containers.member import Lease, StartFailedError
from glmdeploy.local.control.rpc import disk_full
from glmdeploy.local.loopback import only_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from glmdeploy.local.backend import Backend
    from glmdeploy.local.containers.member import Member
    from glmdeploy.local.containers.pool import Pool
    from glmdeploy.local.state.files import Link

log = logging.getLogger(__name__)

_CHUNK = 256 * 1024
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
    }
)


class Gateway:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._session: aiohttp.ClientSession | None = None

    def application(self) -> web.Application:
        application = web.Application(middlewares=[only_loopback])
        application.cleanup_ctx.append(self._with_session)
        application.router.add_get("/_files/{token}", self._download)
        application.router.add_put("/_files/{token}", self._upload)
        application.router.add_get("/_apps/{app_id}", self._app_page)
        application.router.add_route("*", "/{label}", self._web)
        application.router.add_route("*", "/{label}/{path:.*}", self._web)
        return application

    async def _with_session(self, _: web.Application) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_CHUNK,
            max_line_size=64 * 1024,
            max_field_size=64 * 1024,
        ) as self._session:
            yield

    # Web functions

    async def _web(self, request: web.Request) -> web.StreamResponse:
        found = self._backend.registry.web_function(request.match_info["label"])
        if found is None:
            return _error(404, f"no web function is deployed at /{request.match_info['label']}")
        live, webhook = found
        pool = self._backend.worker.pool(live.id)
        if pool is None:
            return _error(404, f"{live.tag} is not running")
        lease = Lease()
        pool.submit(lease)
        try:
            return await self._pass(request, await lease.granted, webhook.web_server_port, pool)
        except StartFailedError as fault:
            return _error(503, str(fault))
        finally:
            pool.withdraw(lease)
            pool.release(lease)

    async def _pass(self, request: web.Request, member: Member, configured_port: int, pool: Pool) -> web.StreamResponse:
        assert self._session is not None
        port = await member.web_port(configured_port)
        path = request.raw_path.removeprefix(f"/{request.match_info['label']}") or "/"
        url = f"http://127.0.0.1:{port}{path if path.startswith('/') else f'/{path}'}"
        headers = _forwarded(request)
        response: web.StreamResponse | None = None
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await _pass_websocket(self._session, request, url, headers)
            async with (
                asyncio.timeout(pool.limits.timeout),
                self._session.request(
                    request.method,
                    URL(url, encoded=True),
                    headers=headers,
                    data=request.content if request.can_read_body else None,
                    allow_redirects=False,
                    skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                ) as upstream,
            ):
                response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
                response.headers.update(_returned(upstream, request.match_info["label"]))
                await response.prepare(request)
                async for chunk in upstream.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
                return response
        except aiohttp.ClientConnectorError:
            member.say("nothing listens on the web server's port any more: the container is stopped")
            member.stop()
            pool.balance()
            return _error(502, "the container's web server does not answer")
        except (aiohttp.ClientError, TimeoutError) as fault:
            if response is not None and response.prepared:
                # Too late for a status: the only honest end of a cut-off answer is a cut-off connection.
                if request.transport is not None:
                    request.transport.abort()
                return response
            if isinstance(fault, TimeoutError):
                return _error(504, f"the request hit the function's timeout of {pool.limits.timeout:g}s")
            return _error(502, f"the container's web server broke the connection off: {fault}")

    # Files

    async def _download(self, request: web.Request) -> web.StreamResponse:
        link = self._link(request)
        if link is None or link.writable or not link.path.is_file():
            return _error(404, "no such file")
        length = link.path.stat().st_size - link.offset if link.length is None else link.length
        response = web.StreamResponse()
        response.content_length = length
        await response.prepare(request)
        with link.path.open("rb") as file:
            file.seek(link.offset)
            while length > 0 and (chunk := await asyncio.to_thread(file.read, min(_CHUNK, length))):
                length -= len(chunk)
                await response.write(chunk)
        await response.write_eof()
        return response

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        """The answer's ETag is the content's MD5, as S3's is: Modal's client compares it."""
        link = self._link(request)
        if link is None or not link.writable:
            return _error(404, "no such upload")
        digest = hashlib.md5(usedforsecurity=False)
        partial = link.path.with_name(f"{link.path.name}.part")
        try:
            with partial.open("wb") as file:
                async for chunk in request.content.iter_chunked(_CHUNK):
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
            partial.replace(link.path)
        except OSError as fault:
            partial.unlink(missing_ok=True)
            refusal = disk_full(fault, self._backend.home.root)
            return _error(507 if refusal else 500, str(refusal.message if refusal else fault))
        return web.Response(headers={"ETag": f'"{digest.hexdigest()}"'})

    def _link(self, request: web.Request) -> Link | None:
        return self._backend.links.find(request.match_info["token"])

    async def _app_page(self, request: web.Request) -> web.StreamResponse:
        """What an app's page URL shows."""
        app = self._backend.registry.app(request.match_info["app_id"])
        if app is None:
            return _error(404, "no such app")
        urls = [url for live in self._backend.registry.functions(app) for url in web_urls(live.proto)]
        state = api_pb2.AppState.Name(app.state)  # type: ignore[arg-type]
        return web.json_response({"app": app.name, "state": state, "version": app.version, "web": urls})


def web_urls(function: api_pb2.Function) -> list[str]:
    """Of a function, or of a class's methods."""
    urls = [function.web_url, *(method.web_url for method in function.method_definitions.values())]
    return [url for url in urls if url]


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status)


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
