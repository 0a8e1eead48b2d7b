"""The front door: web URLs of web functions, and the URLs through which clients move large files.

``/<label>/...`` is a web function or a Server. A request to a web function that finds no container waits until one has
started, then passes through to the port on which the container listens; what comes back is streamed. Who waits for long
is redirected to where the answer will be. A Server has no queue.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING

from aiohttp import web
from modal_proto import api_pb2

from glmdeploy.local.admission import admitted, refused, unauthorized
from glmdeploy.local.containers.member import StartFailedError
from glmdeploy.local.containers.server_pool import RefusedError
from glmdeploy.local.control.rpc import disk_full
from glmdeploy.local.loopback import only_loopback, refusal
from glmdeploy.local.passing import Passage, pass_through
from glmdeploy.local.redirects import Exchange, Exchanges
from glmdeploy.local.state.traffic import FAILURE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from glmdeploy.local.backend import Backend
    from glmdeploy.local.state.files import Link

log = logging.getLogger(__name__)

_CHUNK = 256 * 1024


class Gateway:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._passage: Passage | None = None
        self._exchanges = Exchanges(backend.web_timeout)

    def application(self) -> web.Application:
        application = web.Application(middlewares=[only_loopback])
        application.cleanup_ctx.append(self._with_passage)
        application.router.add_get("/_files/{token}", self._download)
        application.router.add_put("/_files/{token}", self._upload)
        application.router.add_get("/_apps/{app_id}", self._app_page)
        application.router.add_route("*", "/{label}", self._web)
        application.router.add_route("*", "/{label}/{path:.*}", self._web)
        return application

    def downloads(self) -> web.Application:
        """Only what clients read through URLs that they were given."""
        application = web.Application(middlewares=[only_loopback])
        application.router.add_get("/_files/{token}", self._download)
        return application

    async def _with_passage(self, _: web.Application) -> AsyncIterator[None]:
        async with Passage() as self._passage:
            yield
            self._exchanges.close()

    # Web functions

    async def _web(self, request: web.Request) -> web.StreamResponse:
        door = self._backend.registry.door(request.match_info["label"])
        if door is None:
            return refusal(404, f"no web function is deployed at /{request.match_info['label']}")
        pool = self._backend.worker.pool(door.live.id)
        if pool is None:
            return refusal(404, f"{door.live.tag} is not running")
        if door.proxy_auth and (refused_at_door := unauthorized(request, self._backend.proxy_token)):
            return refused_at_door

        async def answer(exchange: Exchange) -> web.StreamResponse:
            with self._backend.traffic.visit(door.live.id, exchange, by_status=door.is_server) as visit:
                try:
                    async with admitted(pool, request) as lease:
                        assert self._passage is not None
                        member = await lease.granted
                        visit.begins(member.task_id)
                        response = await pass_through(self._passage, request, member, door.port, pool, exchange)
                except StartFailedError as fault:
                    exchange.fault = FAILURE
                    response = refusal(503, str(fault))
                except RefusedError as fault:
                    response = refused(fault)
                exchange.status = response.status
                return response

        if door.is_server or request.headers.get("Upgrade", "").lower() == "websocket":
            return await answer(Exchange.unredirected(request))
        return await self._exchanges.answer(request, answer)

    # Files

    async def _download(self, request: web.Request) -> web.StreamResponse:
        link = self._link(request)
        if link is None or link.writable or not link.path.is_file():
            return refusal(404, "no such file")
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
            return refusal(404, "no such upload")
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
            full = disk_full(fault, self._backend.home.root)
            return refusal(507 if full else 500, str(full.message if full else fault))
        return web.Response(headers={"ETag": f'"{digest.hexdigest()}"'})

    def _link(self, request: web.Request) -> Link | None:
        return self._backend.links.find(request.match_info["token"])

    async def _app_page(self, request: web.Request) -> web.StreamResponse:
        """What an app's page URL shows."""
        app = self._backend.registry.app(request.match_info["app_id"])
        if app is None:
            return refusal(404, "no such app")
        urls = [url for live in self._backend.registry.functions(app) for url in web_urls(live.data)]
        state = api_pb2.AppState.Name(app.state)  # type: ignore[arg-type]
        return web.json_response({"app": app.name, "state": state, "version": app.version, "web": urls})


def web_urls(function: api_pb2.FunctionData) -> list[str]:
    """Of a function, of a class's methods, or of a Server."""
    urls = [
        function.web_url,
        *function.flash_service_urls,
        *(method.web_url for method in function.method_definitions.values()),
    ]
    return [url for url in urls if url]
