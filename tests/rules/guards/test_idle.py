"""What the rules say of a keep-alive's schedule is what its pings do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from glmdeploy import cron, source
from glmdeploy.resolve import resolve

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)

MINUTES = st.sampled_from(["*", "*/5", "*/20", "*/59", "0", "7,37", "50-59"])
HOURS = st.sampled_from(["*", "*/2", "9-18", "23", "0-22", "0,23"])
WEEKDAYS = st.sampled_from(["*", "1-5", "0", "0-6", "1,3,6"])


@example(minute="*/59", hour="0,23", weekday="0", window=120)
@given(minute=MINUTES, hour=HOURS, weekday=WEEKDAYS, window=st.sampled_from([120, 300, 1200, 3000, 3600]))
def test_two_weeks_of_pings(minute: str, hour: str, weekday: str, window: int) -> None:
    schedule = f"{minute} {hour} * * {weekday}"
    sets = ("keepalive.enabled=true", f'keepalive.schedule="{schedule}"', f"server.scaledown_window={window}")
    found = {finding.id for finding in resolve(source.load("b200-eagle-bf16kv", sets=sets)).findings}

    times, pings = [], cron.parse(schedule)
    moment = pings.next(MONDAY - timedelta(minutes=1))
    while moment < MONDAY + timedelta(days=15):
        times.append(moment)
        moment = pings.next(moment)
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert ("GLM048" in found) == (min(gaps) > window)
    assert ("GLM049" in found) == (max(gaps) <= window)
