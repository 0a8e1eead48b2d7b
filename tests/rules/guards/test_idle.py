"""What an idle container costs, and what the pings of a keep-alive do."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st
from judged import changed, checked, facts_of, messages

from glmdeploy import cron
from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load
from glmdeploy.rules.guards import idle
from glmdeploy.sizing import cost

if TYPE_CHECKING:
    from glmdeploy.plan.plan import Plan

FACTS = facts_of()
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
MINUTES = st.sampled_from(["*", "*/5", "*/20", "*/59", "0", "7,37", "50-59"])
HOURS = st.sampled_from(["*", "*/2", "9-18", "23", "0-22", "0,23"])
WEEKDAYS = st.sampled_from(["*", "1-5", "0", "0-6", "1,3,6"])


@example(minute="*/59", hour="0,23", weekday="0", window=120)
@given(minute=MINUTES, hour=HOURS, weekday=WEEKDAYS, window=st.sampled_from([120, 300, 1200, 3000, 3600]))
def test_two_weeks_of_pings(minute: str, hour: str, weekday: str, window: int) -> None:
    schedule = f"{minute} {hour} * * {weekday}"
    sets = ("keepalive.enabled=true", f'keepalive.schedule="{schedule}"', f"server.scaledown_window={window}")
    found = {finding.id for finding in checked(*sets).findings}

    times, pings = [], cron.parse(schedule)
    moment = pings.next(MONDAY - timedelta(minutes=1))
    while moment < MONDAY + timedelta(days=15):
        times.append(moment)
        moment = pings.next(moment)
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert ("GLM048" in found) == (min(gaps) > window)
    assert ("GLM049" in found) == (max(gaps) <= window)


def test_spending_is_told_by_hour_and_day_with_the_prices_date() -> None:
    [message] = messages("GLM076", "server.max_containers=5")
    price = cost.PRICES["B200"]
    most = 5 * 8 * price.dollars
    assert f"cost {most:,.0f} dollars an hour and {24 * most:,.0f} a day (prices of {price.date})" in message
    assert message.endswith(f"above glmdeploy's own ceiling of {idle.CEILING:.0f} an hour")


@given(st.integers(1, 40), st.floats(1, 5000))
def test_the_ceiling_is_not_above_itself(containers: int, ceiling: float) -> None:
    server = changed(FACTS.profile.server, max_containers=containers, spend_ceiling=ceiling)
    facts = dataclasses.replace(FACTS, profile=changed(FACTS.profile, server=server))
    rate = cost.hourly(facts.gpu)
    assert rate is not None
    assert bool(list(idle.SPEND_CEILING.check(facts))) is (containers * rate > ceiling)


def planned(*sets: str) -> Plan:
    return plan_of(load("b200-eagle-bf16kv", sets=sets))[0]


def test_the_ceiling_is_no_part_of_the_plan() -> None:
    assert planned("server.spend_ceiling=5000").digest == planned().digest
