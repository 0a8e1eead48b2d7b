"""Who gets in at a web URL, and to which container: proxy tokens, a Server's 503 and 429, a web function's queue.

Modal answers in the same way; the texts that begin with ``modal-http`` are its own (its guide, webhook-proxy-auth).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from aiohttp import web

from glmdeploy.local.containers.member import Lease
from glmdeploy.local.containers.server_pool import RefusedError, ServerPool
from glmdeploy.local.loopback import refusal
from glmdeploy.runtime.public import TOKEN_HEADERS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from glmdeploy.local.containers.pool import Pool
    from glmdeploy.local.home import Credentials

SESSION = "Modal-Session-ID"
"""Requests with the same value go to the same container of a Server."""


def unauthorized(request: web.Request, token: Credentials) -> web.Response | None:
    """The answer to a request without the workspace's proxy token, be it a CORS preflight; None for one with it."""
    key, secret = map(request.headers.get, TOKEN_HEADERS)
    if key is None or secret is None:
        return web.Response(status=401, text="modal-http: missing credentials for proxy authorization")
    if not token.match(key, secret):
        return web.Response(status=401, text="modal-http: invalid credentials for proxy authorization")
    return None


def refused(fault: RefusedError) -> web.Response:
    """The answer to a request that a Server has no container for: as text, but for a start that has failed."""
    return refusal(fault.status, fault.failure) if fault.failure else web.Response(status=fault.status, text=str(fault))


@contextlib.asynccontextmanager
async def admitted(pool: Pool, request: web.Request) -> AsyncIterator[Lease]:
    """A slot for the request as long as the block lasts. ``granted`` is there at once for a Server, else in time.

    :raises RefusedError: where a Server has none.
    """
    if isinstance(pool, ServerPool):
        lease = pool.admit(request.headers.get(SESSION, ""))
        lease.cut = lambda: _hang_up(request)
    else:
        lease = Lease()
        pool.submit(lease)
    try:
        yield lease
    finally:
        pool.withdraw(lease)
        pool.release(lease)


def _hang_up(request: web.Request) -> None:
    transport: asyncio.Transport | None = request.transport
    if transport is not None:
        transport.abort()
