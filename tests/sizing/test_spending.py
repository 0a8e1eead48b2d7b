"""What hours, days and cold starts cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy import cron, gpus
from glmdeploy.gpus import Price
from glmdeploy.sizing.cost import Traffic, billed_hours, kept_hours, spend

PRICE = Price(dollars=2.0, date="2026-11-23", source="a test")


def spent(fewest: int = 0, most: int = 3, **more: Any) -> Any:
    return spend(PRICE, gpus=8, containers=(fewest, most), cold_start=600, scaledown_window=1200, **more)


def test_an_hour_and_a_cold_start() -> None:
    found = spent(1)
    assert (found.container, found.least, found.most) == (16, 16, 48)
    assert found.cold_start == pytest.approx(16 / 6)
    assert found.day is None


def test_a_day_from_zero() -> None:
    # Two stretches, each with 10 minutes before and 20 minutes after.
    day = spent(traffic=Traffic(busy_hours=8, cold_starts=2)).day
    assert (day.hours, day.least, day.most) == (9, 9 * 16, 3 * 9 * 16)


def test_a_day_of_containers_that_always_run() -> None:
    day = spent(1, traffic=Traffic(busy_hours=9.5)).day
    assert (day.hours, day.least, day.most) == (24, 24 * 16, (24 + 2 * 10) * 16)


def test_a_day_without_requests() -> None:
    day = spent(traffic=Traffic(busy_hours=0)).day
    assert (day.hours, day.least, day.most) == (0, 0, 0)


def test_a_day_with_keepalive() -> None:
    schedule = cron.parse("*/10 9-18 * * 1-5")
    # From 9:00, with its cold start, to 18:50 and a window more.
    kept = 9 + 50 / 60 + 1200 / 3600
    assert kept_hours(schedule, cold_start=600, scaledown_window=1200) == pytest.approx(kept, abs=1 / 60)
    alone = spent(schedule=schedule).day
    assert alone.least == alone.most == pytest.approx(kept * 16, rel=0.01)
    both = spent(schedule=schedule, traffic=Traffic(busy_hours=8, cold_starts=2)).day
    assert both.least == alone.least
    assert both.most == pytest.approx((kept + 9 + 2 * 9) * 16, rel=0.01)


def test_pings_further_apart_than_the_window() -> None:
    hourly = cron.parse("0 * * * *")
    assert kept_hours(hourly, cold_start=0, scaledown_window=600) == pytest.approx(4)
    assert kept_hours(hourly, cold_start=0, scaledown_window=3600) == 24


@given(
    busy=st.floats(0, 24),
    starts=st.integers(1, 1000),
    fewest=st.integers(0, 3),
    more=st.integers(0, 3),
    schedule=st.sampled_from([None, "0 9 * * *", "*/5 * * * *"]),
)
def test_a_day_has_its_bounds(busy: float, starts: int, fewest: int, more: int, schedule: str | None) -> None:
    traffic = Traffic(busy_hours=busy, cold_starts=starts)
    most = max(fewest + more, 1)
    found = spent(fewest, most, traffic=traffic, schedule=schedule and cron.parse(schedule))
    assert billed_hours(traffic, cold_start=600, scaledown_window=1200) >= busy
    assert 24 * found.least <= found.day.least <= found.day.most * (1 + 1e-9)
    assert found.day.most <= 24 * found.most * (1 + 1e-9)
    assert found.day.hours <= 24


def test_rates_become_prices() -> None:
    answer = {"gpu_hour_cost_b200": Decimal("6.25"), "gpu_hour_cost_h100": Decimal("NaN"), "cpu_hour_cost": Decimal(1)}
    found = gpus.prices(answer, source="a workspace", date="2026-11-23")
    assert found == dict.fromkeys(("B200", "B200+"), Price(dollars=6.25, date="2026-11-23", source="a workspace"))


def test_each_gpu_of_a_profile_has_a_rate() -> None:
    rates = {each.rate: 1 for each in gpus.TYPES.values()}
    assert set(gpus.prices(rates, source="all", date="2026-11-23")) == set(gpus.TYPES)
