"""Cron expressions of five fields, read and followed by ``cronsim``; what its dialect has beyond crontab(5) is refused.

Minute, hour, day of month, month, day of week: lists, ranges, steps on ``*`` or on a range, English names of three
letters, Sunday as 0 or 7. Where both day fields are restricted a day matches if either does; a field that begins with
``*`` does not count as restricted. Modal takes the same (https://modal.com/docs/guide/cron).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from glmdeploy.records import record

if TYPE_CHECKING:
    from cronsim import CronSim

_FIELDS = (
    ("minute", "a number from 0 to 59"),
    ("hour", "a number from 0 to 23"),
    ("day of month", "a number from 1 to 31"),
    ("month", "a number from 1 to 12 or jan to dec"),
    ("day of week", "a number from 0 to 7 or sun to sat"),
)
_ITEM = re.compile(
    r"(?P<span>\*|(?P<first>[0-9]{1,4}|[a-z]{3})(?P<last>-(?:[0-9]{1,4}|[a-z]{3}))?)(?P<step>/[0-9]{1,4})?"
)


class CronError(ValueError):
    """An expression that is not a valid schedule; the message names the field and what is wrong with it."""


@record
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
        by_month, by_week = when.day in self.days, when.isoweekday() % 7 in self.weekdays
        return (
            when.minute in self.minutes
            and when.hour in self.hours
            and when.month in self.months
            and (by_month or by_week if self.either_day else by_month and by_week)
        )

    def next(self, after: datetime) -> datetime:
        """The first whole minute later than ``after`` in which the schedule fires, in the time zone of ``after``.

        Where the clock is put forward or back, as Debian's cron has it (``cronsim``).

        :raises OverflowError: when the schedule does not fire again.
        """
        from cronsim import CronSim

        try:
            return next(CronSim(self.expression, after))
        except StopIteration:
            raise OverflowError(f"{self.expression!r} does not fire again") from None


@lru_cache(maxsize=64)
def parse(expression: str) -> Cron:
    """Read ``expression``.

    :raises CronError: for one that crontab(5) does not allow, and for one that can never fire, such as 31 February:
    nobody writes that on purpose.
    """
    from cronsim import CronSim, CronSimError

    fields = expression.lower().split()
    if len(fields) != len(_FIELDS):
        raise CronError(
            "a cron expression has five fields (minute, hour, day of month, month, day of week), "
            f"{expression!r} has {len(fields)}"
        )
    for index, text in enumerate(fields):
        for item in text.split(","):
            _check(index, item)
    try:
        read = CronSim(" ".join(fields), datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError:
        days, months = fields[2:4]
        raise CronError(f"{' '.join(fields)!r} never fires: no month of {months} has a day {days}") from None
    return _cron(" ".join(expression.split()), read)


def _check(index: int, item: str) -> None:
    """Look at one item of the list in the field ``index``.

    :raises CronError: where ``cronsim`` refuses it, or reads more into it than crontab(5) knows.
    """
    name, allowed = _FIELDS[index]
    match = _ITEM.fullmatch(item)
    if match is None:
        raise CronError(f"{name}: {item[:40]!r} is not {allowed}, *, a range of such, or either with a step")
    if match["step"] and match["span"] != "*" and not match["last"]:
        high = allowed.split(" or ")[0].rsplit(" ", 1)[1]
        raise CronError(f"{name}: a step needs * or a range before it; write {match['first']}-{high}{match['step']}")
    if match["step"] and int(match["step"][1:]) == 0:
        raise CronError(f"{name}: {item!r} steps by 0; a step is a whole number from 1")
    for end in filter(None, (match["first"], (match["last"] or "").removeprefix("-"))):
        if not _taken(index, end):
            raise CronError(f"{name}: {item!r} is not {allowed}")
    if not _taken(index, match["span"]):
        hint = " (Sunday ends a range as 7)" if name == "day of week" else ""
        raise CronError(f"{name}: the range {match['span']} runs backwards{hint}")


def _taken(index: int, text: str) -> bool:
    """Whether ``cronsim`` takes the text in the field ``index``."""
    from cronsim import CronSim, CronSimError

    fields = ["*"] * len(_FIELDS)
    fields[index] = text
    try:
        CronSim(" ".join(fields), datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError:
        return False
    return True


def _cron(expression: str, read: CronSim) -> Cron:
    return Cron(
        expression=expression,
        minutes=frozenset(read.minutes),
        hours=frozenset(read.hours),
        days=frozenset(read.days),
        months=frozenset(read.months),
        weekdays=frozenset(day % 7 for day in read.weekdays if isinstance(day, int)),
        either_day=not read.day_and,
    )
