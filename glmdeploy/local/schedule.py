"""Fires scheduled functions of deployed apps."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from modal_proto import api_pb2

from glmdeploy import cron

if TYPE_CHECKING:
    from glmdeploy.local.backend import Backend
    from glmdeploy.local.state.registry import LiveFunction

log = logging.getLogger(__name__)

_TICK = 1.0
_DAYS = {"years": 365, "months": 30, "weeks": 7, "days": 1}
"""Approximate where the calendar varies: a local rehearsal does not last that long."""


@dataclass(frozen=True, kw_only=True)
class Timetable:
    """When a function runs by itself: never, by a cron expression, or every so many seconds."""

    cron: cron.Cron | None = None
    zone: ZoneInfo | None = None
    period: float = 0.0

    @classmethod
    def parse(cls, schedule: api_pb2.Schedule) -> Timetable:
        """The timetable of Modal's schedule.

        :raises CronError: for an expression that is none.
        :raises ValueError: for an unknown time zone or a period that is not positive.
        """
        if schedule.HasField("cron"):
            try:
                zone = ZoneInfo(schedule.cron.timezone or "UTC")
            except (ZoneInfoNotFoundError, ValueError, OSError) as fault:
                # An OSError for the name of a folder of zones, such as America.
                raise ValueError(f"unknown time zone {schedule.cron.timezone[:80]!r}") from fault
            return cls(cron=cron.parse(schedule.cron.cron_string), zone=zone)
        if schedule.HasField("period"):
            given = schedule.period
            days = sum(getattr(given, unit) * length for unit, length in _DAYS.items())
            try:
                period = timedelta(days=days, hours=given.hours, minutes=given.minutes, seconds=given.seconds)
            except OverflowError as fault:
                raise ValueError("a schedule's period must be less than a million years") from fault
            if period <= timedelta(0):
                raise ValueError("a schedule's period must be positive")
            return cls(period=period.total_seconds())
        return cls()

    def next(self, after: float) -> float | None:
        """The first time later than ``after`` (seconds since the epoch) at which it fires."""
        if self.cron is not None:
            return self.cron.next(datetime.fromtimestamp(after, self.zone or UTC)).timestamp()
        return after + self.period if self.period else None


class Scheduler:
    """Looks once a second. A time that passed while the daemon was down is not made up for."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._due: dict[str, float] = {}

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            try:
                self.tick(time.time())
            except Exception:
                log.exception("the scheduler failed")

    def tick(self, now: float) -> None:
        """Fire what is due at ``now``."""
        due: dict[str, float] = {}
        for app in self._backend.registry.live_apps():
            for live in self._backend.registry.functions(app):
                timetable = Timetable.parse(live.proto.schedule)
                # A new definition starts anew, as on Modal.
                following = self._due.get(live.definition_id) or timetable.next(now)
                if following is None:
                    continue
                if following <= now:
                    self._fire(live)
                    following = timetable.next(now) or now
                due[live.definition_id] = following
        self._due = due

    def _fire(self, live: LiveFunction) -> None:
        pool = self._backend.worker.pool(live.id)
        if pool is not None:
            call = self._backend.calls.create(live.id, live.app.id, api_pb2.FUNCTION_CALL_INVOCATION_TYPE_ASYNC)
            item = api_pb2.FunctionPutInputsItem(input=api_pb2.FunctionInput(data_format=api_pb2.DATA_FORMAT_PICKLE))
            for each in self._backend.calls.add(call, [item]):
                pool.submit(each)
