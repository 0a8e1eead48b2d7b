"""Asks a deployed endpoint for ``verify``: whole answers and streams, each with its times.

A connection is made for each request, and the clock starts when it stands: what is measured is the server, and not the
way to it. What a container that goes away leaves behind is told from all else, since it is asked again.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import ssl
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from glmdeploy.runtime.public import HERE, REDIRECTS, TOKEN_HEADERS

SESSION_HEADER = "Modal-Session-ID"
"""Requests with the same one go to the same container of a Server (Modal's guide)."""

GONE_STATUSES = (502, 503)
"""What a proxy answers for a container that went away."""

READ_BYTES = 1 << 16
ASKED_BYTES = 64 << 20
"""The most that is read of an answer."""

DOOR_KEY = "\0"
"""Stands for the door's own key."""


class NoReply(Exception):
    """A request had no whole answer. The message holds neither key nor token."""


class GoneAway(NoReply):
    """The container, or the way to it, went away in the middle of a request."""


@dataclass(frozen=True)
class Door:
    """Where the endpoint is, and what opens it: the API key, and a proxy token's id and secret."""

    url: str
    key: str | None = field(default=None, repr=False)
    token: tuple[str, ...] = field(default=(), repr=False)
    session: str = ""


@dataclass(frozen=True)
class Told:
    """A whole answer. ``seconds`` from the sending of the request to the last byte."""

    status: int
    body: bytes
    seconds: float
    server: str = ""

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def data(self) -> Any:
        """The answer as JSON. :raises ValueError: where it is none."""
        return json.loads(self.body)


def tell(
    door: Door, path: str, body: Mapping[str, Any] | None = None, *, seconds: float, key: str | None = DOOR_KEY
) -> Told:
    """The whole answer to a GET, or with a ``body`` to a POST. Another ``key`` than the door's may be sent, or None.

    ``seconds`` of silence at most.

    :raises NoReply: :class:`GoneAway` where it may be asked again.
    """
    with opened(door, path, body, seconds=seconds, key=key) as (answer, began):
        parts, size = [], 0
        with gone_away():
            while part := answer.read1(READ_BYTES):
                parts.append(part)
                size += len(part)
                if size > ASKED_BYTES:
                    raise NoReply(f"an answer of more than {ASKED_BYTES >> 20} MiB")
            if answer.length:
                raise GoneAway("the answer was cut off")
        return Told(answer.status, b"".join(parts), time.monotonic() - began, answer.headers.get("Server", ""))


@contextmanager
def opened(
    door: Door, path: str, body: Mapping[str, Any] | None = None, *, seconds: float, key: str | None = DOOR_KEY
) -> Iterator[tuple[http.client.HTTPResponse, float]]:
    """The beginning of an answer, and when its request was sent; the connection ends with the block.

    Redirects of the same server are followed: Modal answers so where a request takes longer than 150 s.

    :raises NoReply:
    """
    try:
        url = urllib.parse.urlsplit(door.url.rstrip("/") + path)
    except ValueError:
        raise NoReply("no address of a web server") from None
    headers = _headers(door, url, door.key if key == DOOR_KEY else key)
    content = None if body is None else json.dumps(body).encode()
    began = 0.0
    while True:
        connection = _connection(url, seconds)
        with contextlib.closing(connection):
            with gone_away(connecting=True):
                connection.connect()
            began = began or time.monotonic()
            with gone_away():
                method = "GET" if content is None else "POST"
                connection.request(method, _target(connection, url), body=content, headers=headers)
                answer = connection.getresponse()
            to = answer.headers.get("Location") if answer.status in REDIRECTS else None
            if to is None:
                yield answer, began
                return
        try:
            there = urllib.parse.urlsplit(urllib.parse.urljoin(url.geturl(), to))
        except ValueError:
            raise NoReply("it sends to no address") from None
        if (there.scheme, there.netloc) != (url.scheme, url.netloc):
            raise NoReply("it sends to another server")
        url, content = there, None


def _headers(door: Door, url: urllib.parse.SplitResult, key: str | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": "glmdeploy-verify"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    if url.scheme == "https" or url.hostname in HERE:
        headers |= dict(zip(TOKEN_HEADERS, door.token, strict=False))
    if door.session:
        headers[SESSION_HEADER] = door.session
    return headers


def _connection(url: urllib.parse.SplitResult, seconds: float) -> http.client.HTTPConnection:
    """Not connected yet; through the proxy that the environment names, but never to this machine."""
    host = url.hostname or ""
    if url.scheme not in {"http", "https"} or not host:
        raise NoReply("no address of a web server")
    try:
        port = url.port
    except ValueError:
        raise NoReply("no address of a web server") from None
    proxy = None
    if host not in HERE and not urllib.request.proxy_bypass(host):
        proxy = urllib.request.getproxies().get(url.scheme)
    made: http.client.HTTPConnection
    if proxy is None:
        if url.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=seconds, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=seconds)
    by = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
    if url.scheme == "https":
        made = http.client.HTTPSConnection(by.hostname or "", by.port or 80, timeout=seconds)
        made.set_tunnel(host, port or 443, headers=_proxy_headers(by))
    else:
        made = http.client.HTTPConnection(by.hostname or "", by.port or 80, timeout=seconds)
    return made


def _proxy_headers(by: urllib.parse.SplitResult) -> dict[str, str]:
    if by.username is None:
        return {}
    pair = f"{urllib.parse.unquote(by.username)}:{urllib.parse.unquote(by.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _target(connection: http.client.HTTPConnection, url: urllib.parse.SplitResult) -> str:
    """What stands in the request's first line: the path, or for a proxy without a tunnel the whole URL."""
    through = url.scheme == "http" and connection.host != url.hostname
    path = urllib.parse.urlunsplit(("", "", url.path or "/", url.query, ""))
    return f"{url.scheme}://{url.netloc}{path}" if through else path


@contextmanager
def gone_away(*, connecting: bool = False) -> Iterator[None]:
    """Turn what the network raises into :class:`NoReply`, without what was sent."""
    try:
        yield
    except NoReply:
        raise
    except TimeoutError:
        raise NoReply("no answer in time") from None
    except ValueError:  # http.client shows the header
        raise NoReply("the key or the proxy token can be no header") from None
    except ssl.SSLError as fault:
        raise NoReply(f"TLS: {fault.reason or 'failed'}") from None
    except (ConnectionError, http.client.HTTPException) as fault:
        kind = NoReply if connecting else GoneAway
        raise kind(getattr(fault, "strerror", None) or type(fault).__name__) from None
    except OSError as fault:
        raise NoReply(fault.strerror or str(fault) or type(fault).__name__) from None


def check_status(answer: Told) -> None:
    """:raises GoneAway: for what a proxy says of a container that is no more."""
    if answer.status in GONE_STATUSES:
        raise GoneAway(f"status {answer.status}")
