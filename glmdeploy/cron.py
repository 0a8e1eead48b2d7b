"""Cron expressions of five fields: minute, hour, day of month, month, day of week.

The rules are those of crontab(5) as Vixie cron wrote them: lists, ranges, steps on ``*`` or on a range,
English month and day names of three letters, Sunday as 0 or 7. Where both day fields are restricted a day
matches if either does; a field that begins with ``*`` does not count as restricted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class CronError(ValueError):
    """An expression that is not a valid schedule; the message names the field and what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Cron:
    """A parsed expression; made by :func:`parse`. ``weekdays`` counts from Sunday, 0."""

    expression: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    """Both day fields are restricted, so that one of them is enough."""

    def matches(self, when: datetime) -> bool:
        """Whether the schedule fires in the minute of ``when``, by the clock of its own time zone."""
        return (
            when.minute in self.minutes and when.hour in self.hours and when.month in self.months and self._on_day(when)
        )

    def next(self, after: datetime) -> datetime:
        """The first whole minute later than ``after`` in which the schedule fires.

        The result is in the time zone of ``after`` and is found by that zone's clock: where the clock is put
        back or forward, a time is neither repeated nor moved. Raises OverflowError past the year 9999.
        """
        moment = after.replace(second=0, microsecond=0, fold=0) + timedelta(minutes=1)
        while True:
            if moment.month not in self.months:
                # 32 days after the first lie in the following month, whatever the month's length.
                moment = (moment.replace(day=1, hour=0, minute=0) + timedelta(days=32)).replace(day=1)
            elif not self._on_day(moment):
                moment = moment.replace(hour=0, minute=0) + timedelta(days=1)
            elif moment.hour not in self.hours:
                moment = moment.replace(minute=0) + timedelta(hours=1)
            elif moment.minute not in self.minutes:
                moment += timedelta(minutes=1)
            else:
                return moment

    def _on_day(self, when: datetime) -> bool:
        by_month = when.day in self.days
        by_week = when.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.either_day else by_month and by_week


def parse(expression: str) -> Cron:
    """Read ``expression``.

    Raises :class:`CronError` for one that crontab(5) does not allow, and for one that can never fire, such as
    31 February: nobody writes that on purpose.
    """
    fields = expression.split()
    if len(fields) != 5:
        raise CronError(
            "a cron expression has five fields (minute, hour, day of month, month, day of week), "
            f"{expression!r} has {len(fields)}"
        )
    minute, hour, day, month, weekday = (field.lower() for field in fields)
    cron = Cron(
        expression=" ".join(fields),
        minutes=_field("minute", minute, 0, 59),
        hours=_field("hour", hour, 0, 23),
        days=_field("day of month", day, 1, 31),
        months=_field("month", month, 1, 12, _MONTHS),
        weekdays=frozenset(value % 7 for value in _field("day of week", weekday, 0, 7, _DAYS)),
        either_day=not day.startswith("*") and not weekday.startswith("*"),
    )
    if not cron.either_day and min(cron.days) > max(_LONGEST_MONTH[month - 1] for month in cron.months):
        raise CronError(f"{cron.expression!r} never fires: no month that it names has a day {min(cron.days)}")
    return cron


def _field(field: str, text: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    values: set[int] = set()
    for item in text.split(","):
        span, slash, step = item.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            start, end = low, high
        else:
            start = _value(field, first, low, high, names)
            end = _value(field, last, low, high, names) if dash else start
        if end < start:
            hint = " (Sunday ends a range as 7)" if names == _DAYS else ""
            raise CronError(f"{field}: the range {span} runs backwards{hint}")
        if slash and not dash and span != "*":
            raise CronError(f"{field}: a step needs * or a range before it; write {span}-{high}/{step}")
        values.update(range(start, end + 1, _step(field, step) if slash else 1))
    return frozenset(values)


def _value(field: str, text: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if text in names:
        return low + names.index(text)
    if not (text.isascii() and text.isdigit()):
        allowed = f"a number from {low} to {high}" + (f" or {names[0]} to {names[-1]}" if names else "")
        raise CronError(f"{field}: {text!r} is not {allowed}")
    # Cut before int(): Python refuses to convert thousands of digits, with an error that names no field.
    if len(text) > 4 or not low <= int(text) <= high:
        raise CronError(f"{field}: {text} is not between {low} and {high}")
    return int(text)


def _step(field: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) > 0):
        raise CronError(f"{field}: {text!r} is not a step; a step is a whole number from 1")
    return int(text)
