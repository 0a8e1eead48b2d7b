"""Who may speak to a server on this machine's loopback interface: programs, and pages that were loaded from here.

A page of any web site can send requests to a local port, and by DNS rebinding read the answers: its host name resolves
to 127.0.0.1 the second time. Such requests name the site, in Host or in Origin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@web.middleware
async def only_loopback(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse what was not sent to this port of loopback (421), or comes from a page of elsewhere (403).

    Pages of a development server on another port of this machine may come. WebSockets are opened by requests as well.
    """
    port = request.transport.get_extra_info("sockname")[1] if request.transport else 0
    hosts = request.headers.getall(hdrs.HOST, [])
    if len(hosts) != 1 or not is_here(f"http://{hosts[0]}", port):
        return refusal(421, f"the host must be localhost, 127.0.0.1 or [::1], with the port {port}")
    strangers = [origin for origin in request.headers.getall(hdrs.ORIGIN, []) if not is_here(origin)]
    if strangers:
        return refusal(403, "pages of other hosts may not use this server: only those from localhost")
    return await handler(request)


def is_here(url: str, port: int | None = None) -> bool:
    """Whether ``url``, without a path, names this machine by its loopback, at ``port`` where one is given."""
    try:
        parts = urlsplit(url)
        named = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return False
    plain = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    return plain and named is not None and parts.hostname in _NAMES and port in {None, named}


def refusal(status: int, message: str) -> web.Response:
    """What is answered in place of what was asked for."""
    return web.json_response({"error": {"message": message}}, status=status)
