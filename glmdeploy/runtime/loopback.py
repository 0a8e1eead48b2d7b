"""Asks the engine on this machine over HTTP: whole answers, within a limit, whatever proxies the environment names."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks this machine itself, whatever ``http_proxy`` says."""

REFUSAL_BYTES = 1000
"""What is read of an answer that is no success."""

ANSWER_LIMIT = 64 * 1024 * 1024
"""What is read of any answer: that to a warm-up of thousands of requests has some kilobytes for each."""


class StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it is the answer, and a key or a token goes nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


class NoAnswer(Exception):
    """A request had no whole answer; the message may hold the key, where that is why."""


def ask_loopback(
    url: str, body: Mapping[str, Any] | None = None, *, key: str | None = None, seconds: float
) -> tuple[int, bytes]:
    """Status and content of an answer; of one that is no success its first bytes.

    :raises NoAnswer: when there is no whole one within ``seconds``, or it is larger than :data:`ANSWER_LIMIT`.
    """
    deadline = time.monotonic() + seconds
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(url, data=data, headers=headers)
        with LOOPBACK.open(request, timeout=seconds) as answer:
            return int(answer.status), _whole(answer, deadline)
    except urllib.error.HTTPError as error:
        with error, contextlib.suppress(OSError, http.client.HTTPException):
            return error.code, error.read(REFUSAL_BYTES)
        return error.code, b""
    except (OSError, http.client.HTTPException, ValueError) as error:
        # ValueError: a header that http.client refuses, which then stands in the message
        raise NoAnswer(str(error) or type(error).__name__) from error


def _whole(answer: http.client.HTTPResponse, deadline: float) -> bytes:
    """All of an answer. A plain read with a size takes one that was cut short for a whole one, and waits for ever.

    :raises TimeoutError:
    :raises http.client.HTTPException: when it was cut short, or is too large.
    """
    parts: list[bytes] = []
    size = 0
    while part := answer.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > ANSWER_LIMIT:
            raise http.client.HTTPException(f"an answer of more than {ANSWER_LIMIT} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("timed out in the middle of an answer")
    if answer.length:  # what was announced and has not come
        raise http.client.IncompleteRead(b"".join(parts), answer.length)
    return b"".join(parts)
