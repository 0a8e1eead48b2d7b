"""When scheduled functions fire."""

from __future__ import annotations

import pytest
from modal_proto import api_pb2

from glmdeploy.local.schedule import Timetable


class TestSchedules:
    def test_by_cron_in_a_time_zone(self) -> None:
        schedule = api_pb2.Schedule(cron=api_pb2.Schedule.Cron(cron_string="30 9 * * *", timezone="Europe/Berlin"))
        midnight = 1_767_225_600.0  # 2026-01-01 00:00 UTC
        assert Timetable.parse(schedule).next(midnight) == midnight + 8.5 * 3600

    def test_by_period(self) -> None:
        schedule = api_pb2.Schedule(period=api_pb2.Schedule.Period(minutes=2, seconds=0.5))
        assert Timetable.parse(schedule).next(100.0) == 220.5

    def test_none(self) -> None:
        assert Timetable.parse(api_pb2.Schedule()).next(0.0) is None

    @pytest.mark.parametrize(
        "schedule",
        [
            api_pb2.Schedule(cron=api_pb2.Schedule.Cron(cron_string="* * * * *", timezone="Mars/Olympus")),
            api_pb2.Schedule(cron=api_pb2.Schedule.Cron(cron_string="every day")),
            api_pb2.Schedule(period=api_pb2.Schedule.Period()),
        ],
    )
    def test_refused(self, schedule: api_pb2.Schedule) -> None:
        with pytest.raises(ValueError, match=r"."):
            Timetable.parse(schedule)
