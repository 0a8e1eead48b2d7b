"""How many GPUs containers may have at once: who finds none left waits for its turn."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_AGAIN = 0.1
"""Seconds between two looks."""


class Quota:
    """``most`` GPUs in each Environment; None is no limit. Who came first is served first."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._used: dict[str, int] = defaultdict(int)
        self._queues: dict[str, list[object]] = defaultdict(list)

    def used(self, environment: str) -> int:
        return self._used[environment]

    async def take(self, environment: str, count: int, given_up: Callable[[], bool]) -> bool:
        """Wait until ``count`` GPUs are left; False where that is no longer wanted before."""
        if count and self.most is not None:
            queue, me = self._queues[environment], object()
            queue.append(me)
            try:
                while not (queue[0] is me and self._used[environment] + count <= self.most):
                    if given_up():
                        return False
                    await asyncio.sleep(_LOOK_AGAIN)
            finally:
                queue.remove(me)
        self._used[environment] += count
        return True

    def give_back(self, environment: str, count: int) -> None:
        self._used[environment] -= count
