"""How much each function was asked, minute by minute: what ended how, how long it took, and what ran.

Counted in memory, and written every few seconds in one transaction: a daemon that is killed loses what came since. How
long something took is kept as the number of its class, of which there are four to each doubling.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from math import ceil, log2
from typing import TYPE_CHECKING, Protocol

from modal_proto import api_pb2

from glmdeploy.local.state.store import Tally, new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from glmdeploy.local.state.calls import Input
    from glmdeploy.local.state.store import Store

SUCCESS, FAILURE, TIMEOUT, CANCELLED = "success", "failure", "timeout", "cancelled"
"""How an input of a function ends, or a request to a web function, which is one on Modal too."""
EXECUTION, WHOLE = "execution", "whole"
"""How long something took: in its container, and from when it was asked for."""
MINUTE = 60
KEPT = 7 * 86_400
"""Seconds that counts are kept: Modal answers for no longer a time at once."""

_EVERY = 5.0
"""Seconds between two writes."""
_UNWRITTEN = 3600
"""Seconds that counts wait where they cannot be written."""
_AT_ONCE = 3 * 3600
"""Seconds of which all is read at once, before the streams have their turn."""
_SHORTEST, _LONGEST = 0.001, 86_400.0
"""Seconds: the bounds of what is told apart."""
_ID_LENGTH = len(new_id("fu"))

_KINDS = {
    api_pb2.GenericResult.GENERIC_STATUS_SUCCESS: SUCCESS,
    api_pb2.GenericResult.GENERIC_STATUS_TIMEOUT: TIMEOUT,
    api_pb2.GenericResult.GENERIC_STATUS_TERMINATED: CANCELLED,
}

log = logging.getLogger(__name__)


class Outcome(Protocol):
    """Of a request: the status of the answer that has begun, 0 for none; how it failed, empty where it did not.

    A client that goes when the answer is ``whole`` has not given up.
    """

    status: int
    whole: bool
    fault: str


@dataclass(kw_only=True)
class Visit:
    """A request on its way. Moments are of the monotonic clock."""

    came: float
    began: float = 0.0
    task_id: str = ""

    def begins(self, task_id: str) -> None:
        """It has a container."""
        self.began, self.task_id = time.monotonic(), task_id


@dataclass(kw_only=True)
class _Pending:
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


class Traffic:
    """``loads`` has how much each container works on, by its function's id and its own; nothing is left out but 0."""

    def __init__(self, store: Store, loads: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        self._store = store
        self._loads = loads
        self._pending: dict[tuple[int, str, str], _Pending] = defaultdict(_Pending)
        self._running: dict[tuple[int, str, str], int] = {}
        """As it was written last."""
        self._forgotten = 0

    # What happens

    @contextlib.contextmanager
    def visit(self, function_id: str, outcome: Outcome, *, by_status: bool) -> Iterator[Visit]:
        """A request, for as long as the block lasts; ``by_status`` counts the answers of a Server."""
        visit = Visit(came=time.monotonic())
        try:
            yield visit
        except asyncio.CancelledError:
            outcome.fault = CANCELLED
            raise
        except Exception:
            outcome.fault = FAILURE
            raise
        finally:
            now = time.monotonic()
            fault = "" if outcome.whole and outcome.fault == CANCELLED else outcome.fault
            kind = f"{outcome.status // 100}xx" if by_status else fault or SUCCESS
            times = {EXECUTION: now - visit.began, WHOLE: now - visit.came} if visit.task_id else {}
            self._count(function_id, visit.task_id, kind, times, cut=fault == CANCELLED)

    def input_ended(self, work: Input) -> None:
        if work.output is None:
            return
        kind = _KINDS.get(work.output.result.status, FAILURE)
        now = time.time()
        times = {EXECUTION: now - work.started_at, WHOLE: now - work.created_at} if work.started_at else {}
        self._count(work.call.function_id, work.task_id, kind, times, cut=kind == CANCELLED)

    def _count(self, function_id: str, task_id: str, kind: str, times: Mapping[str, float], *, cut: bool) -> None:
        pending = self._pending[minute(time.time()), function_id[:_ID_LENGTH], task_id]
        pending.counts[kind] += 1
        pending.seconds += times.get(EXECUTION, 0.0)
        # What a client gave up says little about how long it takes.
        for name, seconds in () if cut else times.items():
            pending.counts[f"{name}.{_class(seconds)}"] += 1

    # What is kept

    async def run(self) -> None:
        """Write again and again, until it is cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            self.write()

    def write(self) -> None:
        """Write what came since the last time, and what runs. Where that fails, the next time is for both."""
        now = minute(time.time())
        running = {(now, function[:_ID_LENGTH], task): load for (function, task), load in self._loads().items()}
        over = dict.fromkeys((key for key, load in self._running.items() if key[0] == now and load), 0)
        keys = self._pending.keys() | {key for key, load in (over | running).items() if self._running.get(key) != load}
        if not keys:
            return
        try:
            with self._store.aside():
                for key in keys:
                    self._add(key, self._pending.get(key) or _Pending(), (over | running).get(key))
                if now - self._forgotten >= MINUTE * 60:
                    self._store.tallies.delete_below("minute", now - KEPT)
        except sqlite3.Error:
            log.exception("what was counted could not be written")
            for key in [key for key in self._pending if key[0] < now - _UNWRITTEN]:
                del self._pending[key]
            return
        if now - self._forgotten >= MINUTE * 60:
            self._forgotten = now
        self._pending.clear()
        self._running = over | running

    def _add(self, key: tuple[int, str, str], pending: _Pending, running: int | None) -> None:
        began, function_id, task_id = key
        found = self._store.tallies.get(minute=began, function_id=function_id, task_id=task_id)
        known = found or Tally(minute=began, function_id=function_id, task_id=task_id)
        self._store.tallies.put(
            replace(
                known,
                counts=dict(pending.counts + Counter(known.counts)),
                seconds=known.seconds + pending.seconds,
                running=known.running if running is None else running,
            )
        )

    # What is known

    async def of(self, function_ids: Collection[str], start: int, end: int, task_id: str = "") -> list[Tally]:
        """Of the minutes from ``start`` on and before ``end``, in their order; of all containers, or of one."""
        self.write()
        found: list[Tally] = []
        for begin in range(start, end, _AT_ONCE):
            rows = self._store.tallies.between("minute", begin, min(begin + _AT_ONCE, end))
            found += [row for row in rows if row.function_id in function_ids and task_id in {"", row.task_id}]
            await asyncio.sleep(0)
        return found


def minute(moment: float) -> int:
    """When the minute of a moment began; both in seconds since the epoch."""
    return int(moment // MINUTE) * MINUTE


def totals(tallies: Collection[Tally]) -> Counter[str]:
    """The counts of all of them together."""
    counts: Counter[str] = Counter()
    for each in tallies:
        counts.update(each.counts)
    return counts


def percentile(counts: Mapping[str, int], name: str, share: float) -> float | None:
    """Seconds within which so large a share of what has ended had ended, to a tenth; None where nothing has.

    ``name`` says which time: :data:`EXECUTION` or :data:`WHOLE`.
    """
    classes = sorted((int(key.partition(".")[2]), times) for key, times in counts.items() if key.startswith(f"{name}."))
    rank = ceil(share * sum(times for _, times in classes))
    for number, times in classes:
        rank -= times
        if rank <= 0:
            return float(_SHORTEST * 2 ** ((number + 0.5) / 4))
    return None


def _class(seconds: float) -> int:
    return int(4 * log2(min(max(seconds, _SHORTEST), _LONGEST) / _SHORTEST))
