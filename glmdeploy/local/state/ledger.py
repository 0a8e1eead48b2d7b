"""When which container ran, with how many GPUs, and what that costs: kept over restarts and ``kill -9``."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, replace
from decimal import Decimal
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from glmdeploy.local.state.store import Run, Store

GPU_RATE = "1.00000"
"""Dollars for an hour of any GPU: round, so that nobody takes a rehearsal's costs for Modal's."""
_KEPT = 60 * 86_400.0
"""Seconds that an ended container is remembered."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What an app's GPUs of one type cost in the interval that begins at ``start`` (seconds since the epoch)."""

    app_id: str
    environment: str
    start: float
    gpu: str
    dollars: Decimal


class Ledger:
    def __init__(self, store: Store) -> None:
        self._runs = store.runs
        self._changes = store.transaction

    def open(self, run: Run) -> None:
        self._runs.insert(run)

    def started(self, task_id: str) -> None:
        self._change(task_id, started_at=time.time(), ended_at=time.time())

    def ready(self, task_id: str) -> None:
        self._change(task_id, ready_at=time.time())

    def ended(self, task_id: str, result: bytes) -> None:
        self._change(task_id, ended_at=time.time(), result=result)

    def alive(self, task_ids: Collection[str]) -> None:
        """These run still: if nothing more is heard of them, they count until now."""
        if not task_ids:
            return
        with self._changes():
            for task_id in task_ids:
                self._change(task_id, ended_at=time.time())

    def find(self, task_id: str) -> Run | None:
        return self._runs.get(id=task_id)

    def of_app(self, app_id: str, start: float, end: float, running: Collection[str] = ()) -> list[Run]:
        """An app's containers that there were from ``start`` to ``end``, in the order in which they were asked for.

        ``running`` are containers that have not ended: their ``ended_at`` is infinite.
        """
        runs = [replace(run, ended_at=inf) if run.id in running else run for run in self._runs.all(app_id=app_id)]
        return [run for run in runs if run.enqueued_at < end and max(run.ended_at, run.enqueued_at) >= start]

    def forget(self) -> None:
        """Let go what is too old to be asked for."""
        for run in self._runs.all():
            if run.enqueued_at < time.time() - _KEPT:
                self._runs.delete(id=run.id)

    def costs(self, start: float, end: float, step: float, running: Iterable[str] = ()) -> list[Cost]:
        """Of each interval of ``step`` seconds from ``start`` to ``end``, the last one maybe a part; in their order.

        ``running`` are containers that have not ended.
        """
        alive = set(running)
        totals: dict[tuple[float, str, str, str], float] = defaultdict(float)
        for run in self._runs.all():
            until = time.time() if run.id in alive else run.ended_at
            if not (run.started_at and run.gpus):
                continue
            for begin, seconds in _intervals(run.started_at, until, start, end, step):
                totals[begin, run.app_id, run.environment, run.gpu] += seconds * run.gpus
        return [
            Cost(app_id=app_id, environment=environment, start=begin, gpu=gpu, dollars=_dollars(seconds))
            for (begin, app_id, environment, gpu), seconds in sorted(totals.items())
        ]

    def _change(self, task_id: str, **changes: object) -> None:
        run = self._runs.get(id=task_id)
        if run is not None:
            self._runs.put(replace(run, **changes))  # type: ignore[arg-type]


def _intervals(first: float, last: float, start: float, end: float, step: float) -> Iterator[tuple[float, float]]:
    """The intervals that something which lasted from ``first`` to ``last`` touches, and for how many seconds each."""
    begin = start + max(0.0, (first - start) // step) * step
    while begin < min(last, end):
        seconds = min(last, begin + step, end) - max(first, begin)
        if seconds > 0:
            yield begin, seconds
        begin += step


def _dollars(gpu_seconds: float) -> Decimal:
    return (Decimal(GPU_RATE) * Decimal(f"{gpu_seconds:.3f}") / 3600).quantize(Decimal("0.000001"))
