"""Cron expressions: crontab(5) by example, and properties that hold for every expression."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.cron import Cron, CronError, parse


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("*/10 9-18 * * 1-5", "2026-11-23T08:59", "2026-11-23T09:00"),
        ("*/10 9-18 * * 1-5", "2026-11-20T18:50", "2026-11-23T09:00"),  # Friday evening to Monday
        ("0 0 * * *", "2026-12-31T23:59", "2027-01-01T00:00"),
        ("0 0 * * *", "2026-11-23T00:00", "2026-11-24T00:00"),  # strictly later
        ("0 0 * * 7", "2026-11-23T00:00", "2026-11-29T00:00"),
        ("0 0 * * SUN", "2026-11-23T00:00", "2026-11-29T00:00"),
        ("0 0 * * fri-7", "2026-11-29T00:00", "2026-12-04T00:00"),
        ("5,10-20/5 6 1 jan,JUL *", "2026-07-01T06:10", "2026-07-01T06:15"),
        ("0 12 29 2 *", "2096-03-01T00:00", "2104-02-29T12:00"),  # 2100 is no leap year
        ("0 0 29 2 */7", "2088-03-01T00:00", "2128-02-29T00:00"),
        ("0 0 13 * 5", "2026-11-23T00:00", "2026-11-27T00:00"),  # either day field is enough
        ("0 0 13 * */5", "2026-11-23T00:00", "2026-12-13T00:00"),  # one that begins with * restricts nothing
        ("0 0 31 2 1", "2026-02-01T00:00", "2026-02-02T00:00"),
    ],
)
def test_next(expression: str, after: str, expected: str) -> None:
    assert parse(expression).next(at(after)) == at(expected)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "has 0"),
        ("* * * *", "has 4"),
        ("@daily", "has 1"),
        ("60 * * * *", "minute: '60' is not a number from 0 to 59"),
        ("* 24 * * *", "hour: '24' is not a number from 0 to 23"),
        ("* * 0 * *", "day of month: '0' is not a number from 1 to 31"),
        ("* * * 13 *", "month: '13' is not a number from 1 to 12"),
        ("* * * * 8", "day of week: '8' is not a number from 0 to 7"),
        ("* * * january *", "month: 'january' is not a number from 1 to 12 or jan to dec"),
        ("mon * * * *", "minute: 'mon' is not a number from 0 to 59"),
        ("1,,2 * * * *", "minute: '' is not a number"),
        ("-5 * * * *", "minute: '-5' is not a number"),
        ("1-2-3 * * * *", "minute: '1-2-3' is not a number"),
        ("٣ * * * *", "minute: '٣' is not a number"),
        ("30-10 * * * *", "minute: the range 30-10 runs backwards"),
        ("* * * * fri-sun", "Sunday ends a range as 7"),
        ("5/10 * * * *", "write 5-59/10"),
        ("*/0 * * * *", "minute: '*/0' steps by 0"),
        ("*/ * * * *", "minute: '*/' is not a number"),
        ("*/2/3 * * * *", "minute: '*/2/3' is not a number"),
        (f"{'9' * 5000} * * * *", "is not a number from 0 to 59"),
        ("0 0 31 feb *", "never fires"),
        ("0 0 L * *", "day of month: 'l' is not a number"),
        ("0 0 * * 5#2", "day of week: '5#2' is not a number"),
        ("0 0 0 * * *", "has 6"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("0 0 30,31 2 *", "no month of 2 has a day 30,31"),
    ],
)
def test_refusal(expression: str, message: str) -> None:
    with pytest.raises(CronError) as caught:
        parse(expression)
    assert message in str(caught.value)


def test_the_time_zone_is_kept() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    assert parse("0 9 * * *").next(datetime(2026, 11, 23, 10, tzinfo=zone)) == datetime(2026, 11, 24, 9, tzinfo=zone)


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.integers(1, 20)
    item = st.one_of(
        st.just("*"),
        number.map(str),
        span,
        st.builds(lambda text, by: f"{text}/{by}", st.one_of(st.just("*"), span), step),
    )
    return st.lists(item, min_size=1, max_size=3).map(",".join)


@st.composite
def crons(draw: st.DrawFn) -> Cron:
    bounds = ((0, 59), (0, 23), (1, 28), (1, 12), (0, 7))
    return parse(" ".join(draw(fields(low, high)) for low, high in bounds))


moments = st.datetimes(
    at("2000-01-01").replace(tzinfo=None), at("2100-01-01").replace(tzinfo=None), timezones=st.just(UTC)
)


@given(crons(), moments, st.floats(0, 1))
def test_next_is_the_first_later_match(cron: Cron, after: datetime, fraction: float) -> None:
    found = cron.next(after)
    assert found > after
    assert cron.matches(found)
    assert (found.second, found.microsecond) == (0, 0)
    between = min(after + (found - after) * fraction, found - timedelta(microseconds=1))
    if between.replace(second=0, microsecond=0) > after:
        assert not cron.matches(between)
    assert cron.next(between) == found


@given(crons(), moments)
def test_matches_by_definition(cron: Cron, when: datetime) -> None:
    by_month, by_week = when.day in cron.days, int(when.strftime("%w")) in cron.weekdays
    day_fields = cron.expression.split()[2], cron.expression.split()[4]
    both = any(text.startswith("*") for text in day_fields)
    expected = (by_month and by_week) if both else (by_month or by_week)
    expected = expected and when.minute in cron.minutes and when.hour in cron.hours and when.month in cron.months
    assert cron.matches(when) == expected


@given(st.text(alphabet="0123456789*/,- \tsunjaf@?L#x٣", max_size=40))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        cron = parse(text)
    except CronError:
        return
    assert cron.next(at("2026-01-01")) > at("2026-01-01")
