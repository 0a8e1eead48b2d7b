"""A container of the embedded cloud without a process, for tests of its control plane alone."""

from __future__ import annotations

import asyncio


class Idle:
    """In the place of a container's process: it does nothing until it is ended."""

    def __init__(self, *_: object) -> None:
        self._end = asyncio.Event()

    async def run(self) -> int:
        await self._end.wait()
        return 0

    def interrupt(self) -> None:
        self._end.set()

    def terminate(self) -> None:
        self._end.set()

    def give_up(self) -> None:
        self._end.set()

    def end(self, *, after: float) -> None:
        self._end.set()
