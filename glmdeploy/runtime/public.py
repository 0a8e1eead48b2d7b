"""Asks the deployed endpoint over HTTP, from outside, with the proxy token that Modal may want before anything else.

A web function of Modal answers 303 after 150 s, with an address at which to go on waiting (Modal's guide,
webhook-timeouts). Each request here has a limit of its own; redirects are followed one by one.
"""

from __future__ import annotations

import contextlib
import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from glmdeploy.runtime.loopback import StayHere

TOKEN_HEADERS = ("Modal-Key", "Modal-Secret")
"""The headers of a proxy token's id and secret (Modal's guide, webhook-proxy-auth)."""

LET_GO_SECONDS = 180.0
"""The limit of one request: Modal lets go of one that waits after 150."""
PUBLIC_BYTES = 100_000
REDIRECTS = {301, 302, 303, 307, 308}
HERE = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class PublicAnswer:
    """``status`` is None where there was no answer; ``reason`` says why, or is the status in words."""

    status: int | None
    reason: str
    body: bytes = b""
    location: str | None = None


def ask_public(url: str, seconds: float, token: Sequence[str] = ()) -> PublicAnswer:
    """One GET without an API key, followed through redirects, which ends after ``seconds``, or little more.

    ``token`` is a proxy token's id and secret, or nothing; it goes to the host of ``url`` alone, and not in the clear.
    Proxies are those of the environment, never for this machine itself.
    """
    deadline = time.monotonic() + seconds
    first = url
    answer = _ask_once(url, seconds, token)
    while answer.location and (left := deadline - time.monotonic()) > 0:
        url = urllib.parse.urljoin(url, answer.location)
        answer = _ask_once(url, left, token if _origin(url) == _origin(first) else ())
    return answer


def _ask_once(url: str, seconds: float, token: Sequence[str]) -> PublicAnswer:
    try:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"}:
            return PublicAnswer(None, f"it sends to {parts.scheme}:")
        here = parts.hostname in HERE
        proxies = [urllib.request.ProxyHandler({})] if here else []
        opener = urllib.request.build_opener(*proxies, StayHere)
        request = urllib.request.Request(url)
        if here or parts.scheme == "https":
            for name, value in zip(TOKEN_HEADERS, token, strict=False):  # of none, or of two
                request.add_header(name, value)
        with opener.open(request, timeout=min(max(seconds, 1.0), LET_GO_SECONDS)) as answer:
            return PublicAnswer(answer.status, f"HTTP status {answer.status}", answer.read(PUBLIC_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            body = b""
            with contextlib.suppress(OSError, http.client.HTTPException):
                body = error.read(PUBLIC_BYTES)
            location = error.headers.get("Location") if error.code in REDIRECTS else None
            return PublicAnswer(error.code, f"HTTP status {error.code}", body, location)
    except (OSError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", None)
        return PublicAnswer(None, str(cause or error) or type(error).__name__)
    except ValueError as error:  # a redirect to no URL; or a token that can be no header, which is not shown
        return PublicAnswer(None, "the proxy token can be no header" if token else str(error))


def _origin(url: str) -> tuple[str, str]:
    with contextlib.suppress(ValueError):
        parts = urllib.parse.urlsplit(url)
        return parts.scheme, parts.netloc
    return "", ""
