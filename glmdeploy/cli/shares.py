"""Work that processes share: what a function makes of many items, in the order of the items."""

from __future__ import annotations

import gc
import os
import signal
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

Item = TypeVar("Item")
Result = TypeVar("Result")

WORTH = 32
"""Items for which another process is worth its start."""
MOST = 16
"""Processes where nobody says how many: a container may have the time of fewer cores than it sees."""


def processes(count: int) -> int:
    """How many processes ``count`` items are worth on this machine."""
    if not hasattr(os, "fork"):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, count // WORTH, MOST))


def shared(function: Callable[[Item], Result], items: Sequence[Item], number: int) -> Iterator[Result]:
    """What ``function`` makes of each item, in their order, in ``number`` processes.

    They are forks of this one, which does the first item before: what is loaded for that, all have. What a fork fails
    in, or does not live to send, this process does itself, so that it fails as it would alone.
    """
    if number < 2 or len(items) < 3 or not hasattr(os, "fork"):
        yield from map(function, items)
        return
    yield function(items[0])
    items = items[1:]
    gc.freeze()
    forks: list[_Fork[Result]] = []
    try:
        # An interrupt waits until all forks are known, so that none is left.
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for place in range(number):
                forks.append(_Fork(function, items[place::number], [each.pipe for each in forks]))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        for index, item in enumerate(items):
            sent = forks[index % number].received()
            yield function(item) if sent is None else sent[0]
    finally:
        for each in forks:
            each.end()


class _Fork(Generic[Result]):
    """A process that does its share of the items, and sends each result through a pipe."""

    def __init__(self, function: Callable[[Item], Result], items: Sequence[Item], others: Sequence[BinaryIO]) -> None:
        source, target = os.pipe()
        self._process = os.fork()
        if not self._process:
            _do(function, items, target, [source, *(other.fileno() for other in others)])
        os.close(target)
        self.pipe: BinaryIO = os.fdopen(source, "rb")  # closed in `end`

    def received(self) -> tuple[Result] | None:
        """The next result; None where the fork sends no more."""
        import pickle

        try:
            result: Result = pickle.load(self.pipe)
        except (EOFError, pickle.UnpicklingError):
            return None
        return (result,)

    def end(self) -> None:
        self.pipe.close()
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)


def _do(function: Callable[[Item], Result], items: Sequence[Item], target: int, others: Sequence[int]) -> None:
    """The life of a fork. It ends without a word: the process that reads meets whatever goes wrong as well."""
    try:
        import pickle

        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for other in others:  # so that it notices when nobody reads any more
            os.close(other)
        with os.fdopen(target, "wb") as pipe:
            for item in items:
                pickle.dump(function(item), pipe)
                pipe.flush()
    finally:
        os._exit(0)
