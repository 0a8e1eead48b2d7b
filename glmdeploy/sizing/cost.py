"""What GPUs cost on Modal. CPU, host memory and storage come on top, and are small beside eight GPUs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from glmdeploy.gpus import PRICES, SECONDS_AN_HOUR
from glmdeploy.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glmdeploy.cron import Cron
    from glmdeploy.gpus import Gpu, Price


def hourly(gpu: Gpu, prices: Mapping[str, Price] = PRICES) -> float | None:
    """Dollars that one container's GPUs cost an hour; None where the price is not known."""
    price = prices.get(gpu.type)
    return price.dollars * gpu.count if price else None


def of(gpu: Gpu, seconds: float, prices: Mapping[str, Price] = PRICES) -> float | None:
    """Dollars that one container's GPUs cost for that long; None where the price is not known."""
    rate = hourly(gpu, prices)
    return None if rate is None else rate * seconds / SECONDS_AN_HOUR


BROAD, NARROW = 1.5, 1.75
"""What Modal multiplies prices by for a chosen region, such as ``us``, and such as ``us-west``: its guide
(region-selection). An earlier edition of that page had 1.25 and 2.5."""


def region_multiplier(regions: str | Sequence[str] | None) -> float:
    """The factor of the chosen region, 1 for none; of several regions the dearest."""
    chosen = (regions,) if isinstance(regions, str) else regions or ()
    return max((NARROW if "-" in region else BROAD for region in chosen), default=1.0)


DAY = 24 * SECONDS_AN_HOUR
"""Seconds."""
HOURS_A_DAY = 24.0
_ANY_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@record
class Traffic:
    """A day's traffic: the hours in which requests come, in as many stretches as there are ``cold_starts``.

    A pause shorter than ``scaledown_window`` ends no stretch: the container waits for the next request.
    """

    busy_hours: float
    cold_starts: int = 1


@record
class Day:
    """Hours that one container is billed on a day, and the dollars of all: of one busy container, and of the most."""

    hours: float
    least: float
    most: float


@record
class Spending:
    """Dollars. What Modal bills beside the GPUs, CPU cores and memory in use, is not in them."""

    price: Price
    """Of one GPU and hour, without a region."""
    multiplier: float
    """Of the price, for the chosen region; 1 for none."""
    container: float
    """An hour of one container."""
    nodes: int
    """Containers of one replica. Where there are several, what is said of containers below is said of replicas."""
    min_containers: int
    max_containers: int
    cold_start: float
    """A cold start, from the container's start on."""
    day: Day | None = None
    """None where no traffic is stated."""

    @property
    def replica(self) -> float:
        """An hour of all containers that serve together."""
        return self.container * self.nodes

    @property
    def least(self) -> float:
        """An hour of ``min_containers``, which run even when idle."""
        return self.replica * self.min_containers

    @property
    def most(self) -> float:
        """An hour of ``max_containers``."""
        return self.replica * self.max_containers


def spend(
    price: Price,
    *,
    gpus: int,
    containers: tuple[int, int],
    cold_start: int,
    scaledown_window: int,
    traffic: Traffic | None = None,
    schedule: Cron | None = None,
    multiplier: float = 1.0,
    nodes: int = 1,
) -> Spending:
    """What containers of ``gpus`` GPUs cost; ``containers`` are the fewest and the most of them.

    Where ``nodes`` of them serve together, ``containers`` counts such replicas. ``cold_start`` and
    ``scaledown_window`` are in seconds, ``schedule`` is the keep-alive's, ``multiplier`` the region's.
    """
    fewest, most = containers
    hourly = price.dollars * gpus * multiplier
    own = billed_hours(traffic, cold_start=cold_start, scaledown_window=scaledown_window) if traffic else 0.0
    kept = kept_hours(schedule, cold_start=cold_start, scaledown_window=scaledown_window) if schedule else 0.0
    return Spending(
        price=price,
        multiplier=multiplier,
        container=hourly,
        nodes=nodes,
        min_containers=fewest,
        max_containers=most,
        cold_start=hourly * nodes * cold_start / 3600,
        day=_day(own, kept, fewest, most, hourly * nodes) if traffic or schedule else None,
    )


def billed_hours(traffic: Traffic, *, cold_start: int, scaledown_window: int) -> float:
    """Hours a day that one container is billed for the traffic; the other two are in seconds.

    Each stretch begins with a cold start and ends with the idle container that waits for ``scaledown_window``.
    """
    if not traffic.busy_hours:
        return 0.0
    return min(HOURS_A_DAY, traffic.busy_hours + traffic.cold_starts * (cold_start + scaledown_window) / 3600)


def kept_hours(schedule: Cron, *, cold_start: int, scaledown_window: int) -> float:
    """Hours that the keep-alive's pings keep one container up on the longest day of a week in which they are sent."""
    first = schedule.next(_ANY_MOMENT).replace(hour=0, minute=0)
    minutes, until = [0] * 7, 0
    for minute in range(7 * 1440):
        now = minute * 60
        if schedule.matches(first + timedelta(minutes=minute)):
            until = max(until, now + scaledown_window + (cold_start if until <= now else 0))
        minutes[minute // 1440] += until > now
    return max(minutes) / 60


def _day(own: float, kept: float, fewest: int, most: int, hourly: float) -> Day:
    """``own`` hours for the traffic, ``kept`` hours for the keep-alive.

    At least, one container takes all requests, in the hours in which it is kept up anyway. At most, all containers are
    up for the traffic, and the keep-alive's hours are others.
    """
    if fewest:
        return Day(
            hours=HOURS_A_DAY,
            least=fewest * HOURS_A_DAY * hourly,
            most=(fewest * HOURS_A_DAY + (most - fewest) * own) * hourly,
        )
    one = max(own, kept)
    return Day(hours=one, least=one * hourly, most=(min(HOURS_A_DAY, own + kept) + (most - 1) * own) * hourly)
