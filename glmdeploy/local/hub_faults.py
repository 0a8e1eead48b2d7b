"""Failures of a model hub to rehearse: the organization's name says which.

A file fails so many times and is good from then on, until the hub is started anew; another repository's name begins
anew.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from collections.abc import Mapping

_REMEMBERED = 1000
"""Files whose turns are known."""


class HubError(Exception):
    """An error answer; ``code`` goes into X-Error-Code, by which clients choose their exception."""

    def __init__(self, status: int, code: str | None, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


class Faults:
    """What becomes of requests, by the organization and by how often the file was asked for before."""

    def __init__(self) -> None:
        self._turns: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def before(self, request: web.Request) -> None:
        """Refuse a request for a file, or keep it waiting for ever.

        The codes and headers are the Hub's own where it is overloaded.

        :raises HubError:
        """
        organization = request.match_info["organization"]
        if organization == "silent":
            await asyncio.Event().wait()
        if organization == "busy" and "path" in request.match_info and "/resolve/" in request.path:
            turn = self._turn(request)
            if turn == 0:
                raise HubError(503, None, "Service Unavailable", {hdrs.RETRY_AFTER: "1"})
            if turn == 1:
                limits = {hdrs.RETRY_AFTER: "1", "RateLimit": '"resolvers";r=0;t=1'}
                raise HubError(429, None, "Too Many Requests: you have reached your rate limit.", limits)

    async def send(self, request: web.Request, response: web.Response) -> web.StreamResponse:
        """The answer with a file's content: as it is, spoilt, cut off, or without an end."""
        organization = request.match_info["organization"]
        content = response.body
        if request.method != hdrs.METH_GET or organization not in {"corrupt", "cut", "stalled"} or not content:
            return response
        if self._turn(request):
            return response
        assert isinstance(content, bytes)
        half = len(content) // 2
        if organization == "corrupt":
            response.body = content[:half] + bytes([content[half] ^ 0xFF]) + content[half + 1 :]
            return response
        broken = web.StreamResponse(status=response.status, headers=response.headers)
        broken.content_length = len(content)
        await broken.prepare(request)
        await broken.write(content[:half])
        if organization == "stalled":
            await asyncio.Event().wait()
        if request.transport is not None:
            request.transport.close()
        return broken

    def _turn(self, request: web.Request) -> int:
        """How often this was asked for before, in the same way."""
        key = (request.method, request.path)
        turn = self._turns.pop(key, 0)
        self._turns[key] = turn + 1
        if len(self._turns) > _REMEMBERED:
            self._turns.popitem(last=False)
        return turn
