"""An asynchronous server in a thread of its own, for a program that is not one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager

T = TypeVar("T")


@contextlib.contextmanager
def in_background(serve: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
    """Run ``serve`` for as long as the block lasts. What it raises, at its start or its end, is raised here."""
    started: list[T] = []
    failures: list[BaseException] = []
    ready, finish = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        try:
            async with serve() as running:
                started.append(running)
                ready.set()
                await finish.wait()
        except BaseException as error:
            failures.append(error)
            raise
        finally:
            ready.set()

    def body() -> None:
        asyncio.set_event_loop(loop)
        with contextlib.suppress(Exception):
            loop.run_until_complete(run())
        loop.close()

    thread = threading.Thread(target=body, name="embedded cloud", daemon=True)
    thread.start()
    ready.wait()
    if not started:
        thread.join()
        raise failures[0]
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(finish.set)
        thread.join()
        if failures:
            raise failures[0]
