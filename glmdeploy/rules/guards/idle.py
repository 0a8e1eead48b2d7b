"""Rules about how long an idle container stays and what it costs: the scale-down window, pings, and dollars."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from glmdeploy import cron
from glmdeploy.findings import Severity
from glmdeploy.gpus import PRICES
from glmdeploy.profile import durations
from glmdeploy.rules.rule import TWO_NODES, Rule, Topic, Violation, example
from glmdeploy.sizing import cost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

_SCALE = "https://modal.com/docs/guide/scale"
_COLD = "https://modal.com/docs/guide/cold-start"

_DAY = 24 * 60
"""Minutes."""

_CALENDAR = 28 * 365 + 7
"""Days after which dates fall on the same weekdays again, leap days too (until 2100)."""

CEILING = 200.0
"""Dollars an hour that a profile may cost without saying so: four containers of eight B200, at the prices that ship."""


def _short_window(facts: Facts) -> Iterator[Violation]:
    server = facts.profile.server
    if server.min_containers or facts.model_loaded is None:
        return
    start = sum(step.seconds for step in facts.cold_start(compiled=True))
    if server.scaledown_window < start:
        yield Violation(
            path=("server", "scaledown_window"),
            message=f"an idle {facts.replica} ends after {server.scaledown_window} s, and the next one takes about "
            f"{start} s to start",
        )


def _useless_pings(facts: Facts) -> Iterator[Violation]:
    server, schedule = facts.profile.server, _schedule(facts)
    if schedule is None or server.min_containers:
        return
    gap = min(_gaps(schedule))
    if gap > server.scaledown_window:
        yield Violation(
            path=("keepalive", "schedule"),
            message=f"pings are {durations.describe(gap)} apart or more, and an idle {facts.replica} ends after "
            f"{durations.describe(server.scaledown_window)}: each one starts a {facts.replica} anew",
        )


def _never_idle(facts: Facts) -> Iterator[Violation]:
    server, schedule = facts.profile.server, _schedule(facts)
    if schedule is None or server.min_containers or not _every_day(schedule):
        return
    if max(_gaps(schedule)) <= server.scaledown_window:
        price = f", {facts.hourly * cost.HOURS_A_DAY:,.0f} dollars a day" if facts.hourly is not None else ""
        yield Violation(
            path=("keepalive", "schedule"),
            message=f"pings day and night keep a {facts.replica} of {facts.rented} up for ever{price}",
        )


def _schedule(facts: Facts) -> cron.Cron | None:
    """The schedule of a keep-alive that is switched on; None where it is not, or is none."""
    keepalive = facts.profile.keepalive
    if not keepalive.enabled:
        return None
    try:
        return cron.parse(keepalive.schedule)
    except cron.CronError:
        return None  # GLM024 says so


def _gaps(schedule: cron.Cron) -> list[int]:
    """Seconds from each ping of a day to the next one, at the least, the first of a later day included."""
    times = sorted(hour * 60 + minute for hour in schedule.hours for minute in schedule.minutes)
    days = 1 if _days_in_a_row(schedule) else 2
    return [(later - earlier) * 60 for earlier, later in pairwise([*times, times[0] + days * _DAY])]


def _days_in_a_row(schedule: cron.Cron) -> bool:
    """Whether any two days that follow each other have pings."""
    first = datetime(2024, 1, 1, min(schedule.hours), min(schedule.minutes), tzinfo=UTC)
    fires = (schedule.matches(first + timedelta(days=day)) for day in range(_CALENDAR))
    return any(today and tomorrow for today, tomorrow in pairwise(fires))


def _every_day(schedule: cron.Cron) -> bool:
    whole_month, whole_week = len(schedule.days) == 31, len(schedule.weekdays) == 7
    both = whole_month or whole_week if schedule.either_day else whole_month and whole_week
    return both and len(schedule.months) == 12


def _ceiling(facts: Facts) -> Iterator[Violation]:
    server = facts.profile.server
    rate = facts.hourly
    if rate is None:
        return
    most, ceiling = rate * server.max_containers, server.spend_ceiling or CEILING
    if most > ceiling:
        verb = "costs" if server.max_containers == 1 else "cost"
        whose = "`spend_ceiling`" if server.spend_ceiling else "glmdeploy's own ceiling"
        yield Violation(
            path=("server", "max_containers"),
            message=f"{_several(server.max_containers, facts)} of {facts.rented} {verb} {_money(most)} dollars an hour "
            f"and {_money(most * 24)} a day (prices of {PRICES[facts.gpu.type].date}), above {whose} of "
            f"{_money(ceiling)} an hour",
        )


def _one_container(facts: Facts) -> Iterator[Violation]:
    if facts.profile.server.max_containers == 1:
        yield Violation(
            path=("server", "max_containers"),
            message=f"with one {facts.replica} at most there is no room for a new version beside the one that serves",
        )


def _idle(facts: Facts) -> Iterator[Violation]:
    server, rate = facts.profile.server, facts.hourly
    if rate is None:
        return
    if least := server.min_containers:
        yield Violation(
            path=("server", "min_containers"),
            message=f"{_several(least, facts)} of {facts.rented} always {'runs' if least == 1 else 'run'}: "
            f"{_money(rate * least * 24)} dollars a day without a request (prices of "
            f"{PRICES[facts.gpu.type].date})",
        )
    if spare := server.buffer_containers:
        verb = "waits" if spare == 1 else "wait"
        yield Violation(
            path=("server", "buffer_containers"),
            message=f"{_several(spare, facts)} of {facts.rented} {verb} beside the busy ones while there are requests: "
            f"{_money(rate * spare)} dollars an hour (prices of {PRICES[facts.gpu.type].date})",
        )


def _several(count: int, facts: Facts) -> str:
    return f"{count} {facts.replica}{'s' * (count != 1)}"


def _money(dollars: float) -> str:
    return f"{dollars:,.0f}" if dollars >= 100 else f"{dollars:.2f}"


SHORT_WINDOW = Rule(
    id="GLM047",
    title="scale-down window shorter than a cold start",
    severity=Severity.WARNING,
    topic=Topic.TIME,
    why="With `min_containers: 0` the next request after a pause waits for a cold start, and pays for it. A container "
    "that would have waited as long as that takes costs no more than the one that is started in its place, and answers "
    "at once.",
    fix="raise `server.scaledown_window` (60m is the most), or set `server.min_containers`",
    sources=(_SCALE, _COLD),
    check=_short_window,
    fails=(example("server.scaledown_window=5m"), example("server.scaledown_window=2", profile="h100-glm45-air-fp8")),
    passes=(
        example(),
        example("server.scaledown_window=5m", "server.min_containers=1"),
        example("server.scaledown_window=5m", "model.repo=acme/other"),
    ),
)

USELESS_PINGS = Rule(
    id="GLM048",
    title="keep-alive that keeps nothing alive",
    severity=Severity.WARNING,
    topic=Topic.TIME,
    why="Modal ends a container that has had no request for `scaledown_window`. Pings that are further apart find "
    "none, and each of them starts one: a cold start and an idle window at full price, again and again, and the users "
    "still wait.",
    fix="ping more often than `server.scaledown_window`, raise it, or switch the keep-alive off",
    sources=(_SCALE, _COLD),
    check=_useless_pings,
    fails=(
        example("keepalive.enabled=true", "keepalive.schedule=0 9-18 * * 1-5"),
        example("keepalive.enabled=true", "server.scaledown_window=540"),
        example("keepalive.enabled=true", "keepalive.schedule=30 8 * * *"),
    ),
    passes=(
        example(),
        example("keepalive.enabled=true"),
        example("keepalive.enabled=true", "server.scaledown_window=600"),
        example("keepalive.enabled=true", "keepalive.schedule=0 9-18 * * 1-5", "server.min_containers=1"),
    ),
)

NEVER_IDLE = Rule(
    id="GLM049",
    title="keep-alive that never lets the app scale to zero",
    severity=Severity.WARNING,
    topic=Topic.TIME,
    why="Pings at all hours of all days keep one container up for ever, at its full price, which `min_containers: 1` "
    "would do as well and say so. A keep-alive is for the hours in which people work.",
    fix='narrow the schedule (for instance "*/10 9-18 * * 1-5"), or write `server: {min_containers: 1}` if that is '
    "meant",
    sources=(_SCALE, "https://modal.com/pricing"),
    check=_never_idle,
    fails=(
        example("keepalive.enabled=true", 'keepalive.schedule="*/10 * * * *"'),
        example("keepalive.enabled=true", "keepalive.schedule=0 * * * *", "server.scaledown_window=60m"),
    ),
    passes=(
        example("keepalive.enabled=true"),
        example('keepalive.schedule="*/10 * * * *"'),
        example("keepalive.enabled=true", 'keepalive.schedule="*/10 * * * 1-5"'),
        example("keepalive.enabled=true", 'keepalive.schedule="*/10 1-23 * * *"'),
        example("keepalive.enabled=true", 'keepalive.schedule="*/10 * * * *"', "server.min_containers=1"),
    ),
)

SPEND_CEILING = Rule(
    id="GLM076",
    title="spending rate above the ceiling",
    severity=Severity.WARNING,
    topic=Topic.SECURITY,
    why="`max_containers` is all that bounds the bill: any request to the URL starts a container, also one that "
    "SGLang will refuse for lack of a key. `server.spend_ceiling` says what a deployment may cost an hour; without it "
    "the ceiling is 200 dollars, which three containers of eight B200 keep to (about 150). Counted are the GPUs at "
    "Modal's base rates; CPU, memory and storage come on top.",
    fix="lower `max_containers`, or write what is meant as `server.spend_ceiling`, in dollars an hour",
    sources=("https://modal.com/pricing", "https://modal.com/docs/guide/scale"),
    check=_ceiling,
    fails=(
        example("server.max_containers=5"),
        example(*TWO_NODES, "server.max_containers=2", "server.spend_ceiling=150"),
        example("server.spend_ceiling=100"),
        example("server.spend_ceiling=149.9"),
    ),
    passes=(
        example(),
        example("server.max_containers=4"),
        example("server.max_containers=5", "server.spend_ceiling=250"),
        example("server.spend_ceiling=150"),
    ),
)

IDLE_CONTAINERS = Rule(
    id="GLM077",
    title="containers that run without requests",
    severity=Severity.INFO,
    topic=Topic.SECURITY,
    why="`min_containers` keeps that many containers up day and night, at their full price, and `buffer_containers` "
    "as many more while there are requests. That spares clients the cold start, and may be just what is wanted. "
    "Counted are the GPUs at Modal's base rates.",
    fix="nothing, if that is meant; `min_containers: 0`, and no buffer, pays for cold starts instead",
    sources=("https://modal.com/pricing", "https://modal.com/docs/guide/cold-start"),
    check=_idle,
    fails=(
        example("server.min_containers=1"),
        example("server.min_containers=3"),
        example("server.buffer_containers=1"),
    ),
    passes=(example(), example("server.buffer_containers=0")),
)

NO_ROOM_TO_REPLACE = Rule(
    id="GLM156",
    title="no room to replace a container",
    severity=Severity.INFO,
    topic=Topic.TIME,
    why="Modal replaces a container by starting the new one first, and counts both: where there are as many as "
    "`max_containers`, nothing is replaced. `apply`, `rollback` and `rollover` raise the cap by one for as long as "
    "they take, so that they need the GPUs of two containers at once. Whoever deploys otherwise waits until the old "
    "container ends, and so does a move of Modal's own.",
    fix="nothing, if that is meant; `max_containers: 2` lets a new version start beside the old one at any time",
    sources=(_SCALE, "https://modal.com/docs/guide/managing-deployments"),
    check=_one_container,
    fails=(example("server.max_containers=1"), example("server.max_containers=1", "server.min_containers=1")),
    passes=(example(), example("server.max_containers=2")),
)

RULES = (
    SHORT_WINDOW,
    USELESS_PINGS,
    NEVER_IDLE,
    SPEND_CEILING,
    IDLE_CONTAINERS,
    NO_ROOM_TO_REPLACE,
)
