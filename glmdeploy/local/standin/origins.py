"""What pages of other origins are told, as SGLang tells them (CORS): all may ask for everything.

Measured on the real SGLang 0.5.23 with Starlette 1.10 (``CORSMiddleware`` in ``entrypoints/http_server.py``), whose key
is asked for around it: a preflight needs none and passes, an answer 401 says nothing of origins. Older Starlettes,
which images of older releases have, know neither QUERY nor private networks.
"""

from __future__ import annotations

from aiohttp import hdrs, web

_PRIVATE_NETWORK = "Access-Control-Request-Private-Network"
_METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, QUERY"
_MAX_AGE = "600"


def preflight(request: web.Request) -> web.Response | None:
    """The answer to a browser that asks whether it may ask; None for any other request."""
    origin, method = request.headers.get(hdrs.ORIGIN), request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD)
    if request.method != hdrs.METH_OPTIONS or origin is None or method is None:
        return None
    refused = [
        what
        for what, wrong in (
            ("method", method not in _METHODS.split(", ")),
            ("private-network", _PRIVATE_NETWORK in request.headers),
        )
        if wrong
    ]
    varies = (hdrs.ORIGIN, hdrs.ACCESS_CONTROL_REQUEST_METHOD, hdrs.ACCESS_CONTROL_REQUEST_HEADERS, _PRIVATE_NETWORK)
    headers = {
        hdrs.VARY: ", ".join(varies),
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: _METHODS,
        hdrs.ACCESS_CONTROL_MAX_AGE: _MAX_AGE,
        hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS: "true",
        hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: origin,
    }
    if wanted := request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS):
        headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = wanted
    text = f"Disallowed CORS {', '.join(refused)}" if refused else "OK"
    return web.Response(status=400 if refused else 200, text=text, headers=headers)


def open_to_all(request: web.Request, response: web.StreamResponse) -> None:
    """Add to an answer what lets a page of another origin read it."""
    if response.status == 401 or hdrs.VARY in response.headers:
        return
    response.headers[hdrs.VARY] = hdrs.ORIGIN
    if origin := request.headers.get(hdrs.ORIGIN):
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
