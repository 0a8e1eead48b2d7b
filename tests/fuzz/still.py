"""An event loop whose clock stands still while there is something to do, and jumps to the next timer when there is not.

No socket, no thread and no waiting: what would take a minute is over at once, and the same input does the same again.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import time
from typing import TYPE_CHECKING, Any, TypeVar
from unittest.mock import patch

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

T = TypeVar("T")

BEGINNING = 1_800_000_000.0
"""What the clock on the wall says first: seconds since the epoch. The loop's begins at 0."""


class StalledError(AssertionError):
    """Nothing is left to do, and what was waited for has not come."""


class _Nothing(selectors.BaseSelector):
    """Watches no file, and moves the clock on."""

    def __init__(self) -> None:
        self.now = 0.0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, fileobj if isinstance(fileobj, int) else fileobj.fileno(), events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StalledError("it waits for something that will never come")
        self.now += max(timeout, 0.0)
        return []


class Loop(asyncio.SelectorEventLoop):
    """What is to run in a thread runs at once."""

    def __init__(self) -> None:
        self._still = _Nothing()
        super().__init__(self._still)

    def time(self) -> float:
        return self._still.now

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as fault:
            future.set_exception(fault)
        return future


@contextlib.contextmanager
def loop() -> Iterator[Loop]:
    """A loop of its own, by whose clock all of the process tells the time; ends all tasks that are left."""
    made = Loop()
    asyncio.set_event_loop(made)
    try:
        wall = patch.object(time, "time", lambda: BEGINNING + made.time())
        with patch.object(time, "monotonic", made.time), wall:
            yield made
            _end(made)
    finally:
        asyncio.set_event_loop(None)
        made.close()


def _end(made: Loop) -> None:
    for _ in range(5):
        tasks = asyncio.all_tasks(made)
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        made.run_until_complete(asyncio.wait(tasks, timeout=60.0))
    raise AssertionError(f"{len(tasks)} tasks do not end")


def run(made: Loop, what: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives. :raises StalledError: where it waits for ever."""
    return made.run_until_complete(what)
