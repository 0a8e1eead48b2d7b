"""What GPUs cost on Modal. CPU, host memory and storage come on top, and are small beside eight GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING

from glmdeploy.gpus import PRICES, SECONDS_AN_HOUR
from glmdeploy.sglang import models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.cron import Cron
    from glmdeploy.gpus import Gpu, Price
    from glmdeploy.sizing.model import Model


def hourly(gpu: Gpu, prices: Mapping[str, Price] = PRICES) -> float | None:
    """Dollars that one container's GPUs cost an hour; None where the price is not known."""
    price = prices.get(gpu.type)
    return price.dollars * gpu.count if price else None


def of(gpu: Gpu, seconds: float, prices: Mapping[str, Price] = PRICES) -> float | None:
    """Dollars that one container's GPUs cost for that long; None where the price is not known."""
    rate = hourly(gpu, prices)
    return None if rate is None else rate * seconds / SECONDS_AN_HOUR


@dataclass(frozen=True, kw_only=True)
class Step:
    """A part of a cold start: ``seconds`` are an estimate, ``basis`` tells from what.

    ``least`` is the shortest time that was measured or reported; nobody should count on less.
    """

    name: str
    seconds: int
    basis: str
    least: int


FIRST_START = 52
"""Seconds from SGLang's start to its being ready, at the least, for a model that needs no time to load: 52 to 64 s were
measured with 0.5.11 on an H100, of which about 30 are imports and 25 the engine."""

_IMPORTS, _ENGINE = 30, 25

_REFERENCE = 704 * 1024**3
"""Bytes of GLM-5.1-FP8, whose load from a Modal Volume onto eight B200 was reported to take 5 to 7 minutes."""

_LOAD, _LOAD_LEAST = 360, 300
_LOAD_BASIS = "GLM-5.1-FP8 was reported to load in 5 to 7 minutes from a Modal Volume: 2.1 GB a second (Modal: 1 to 3)"

_COMPILE, _COMPILE_LEAST = 750, 600

_FIRST_REQUEST, _FIRST_REQUEST_LEAST = 60, 20

HUB_RATE = 300_000_000
"""Bytes a second from the Hugging Face Hub: "a few hundred megabytes" (Modal, very_large_models)."""

VOLUME_RATE = 3_000_000_000
"""Bytes a second that a Modal Volume takes at most: "one to three gigabytes" (Modal, very_large_models)."""


def weight_load(model: Model) -> int:
    """Seconds to load the checkpoint from a volume onto the GPUs."""
    return ceil(model.weights * _LOAD / _REFERENCE)


def download(model: Model, rate: int = HUB_RATE) -> int:
    """Seconds to bring the checkpoint from the Hub into a volume at ``rate`` bytes a second."""
    return ceil(model.weights / rate)


def cold_start(model: Model | None, *, compiled: bool) -> tuple[Step, ...]:
    """The steps from a container's start to its first answer; ``compiled`` tells whether kernels are cached.

    Without a model, the steps that every model takes.
    """
    steps = [
        Step(name="imports", seconds=_IMPORTS, least=FIRST_START - _ENGINE, basis="measured with 0.5.11 on an H100")
    ]
    if model is not None:
        least = ceil(model.weights * _LOAD_LEAST / _REFERENCE)
        steps.append(Step(name="weights", seconds=weight_load(model), least=least, basis=_LOAD_BASIS))
        if model.quantization == "fp8" and not compiled:
            basis = "10 to 15 minutes were reported for DeepGEMM's kernels"
            steps.append(Step(name="kernels", seconds=_COMPILE, least=_COMPILE_LEAST, basis=basis))
    basis = "measured with 0.5.11 on an H100: KV pool, CUDA graphs and warm-up of a tiny model"
    steps.append(Step(name="engine", seconds=_ENGINE, least=_ENGINE, basis=basis))
    if model is not None and model.architecture == models.GLM_DSA:
        basis = "measured with 0.5.11 on an H100: about 60 s on a fresh machine, 20 s with warm caches"
        steps.append(Step(name="first answer", seconds=_FIRST_REQUEST, least=_FIRST_REQUEST_LEAST, basis=basis))
    return tuple(steps)


DAY = 24 * SECONDS_AN_HOUR
"""Seconds."""
HOURS_A_DAY = 24.0
_ANY_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """A day's traffic: the hours in which requests come, in as many stretches as there are ``cold_starts``.

    A pause shorter than ``scaledown_window`` ends no stretch: the container waits for the next request.
    """

    busy_hours: float
    cold_starts: int = 1


@dataclass(frozen=True, kw_only=True)
class Day:
    """Hours that one container is billed on a day, and the dollars of all: of one busy container, and of the most."""

    hours: float
    least: float
    most: float


@dataclass(frozen=True, kw_only=True)
class Spending:
    """Dollars. What Modal bills beside the GPUs, CPU cores and memory in use, is not in them."""

    price: Price
    """Of one GPU and hour."""
    container: float
    """An hour of one container."""
    min_containers: int
    max_containers: int
    cold_start: float
    """A cold start, from the container's start on."""
    day: Day | None = None
    """None where no traffic is stated."""

    @property
    def least(self) -> float:
        """An hour of ``min_containers``, which run even when idle."""
        return self.container * self.min_containers

    @property
    def most(self) -> float:
        """An hour of ``max_containers``."""
        return self.container * self.max_containers


def spend(
    price: Price,
    *,
    gpus: int,
    containers: tuple[int, int],
    cold_start: int,
    scaledown_window: int,
    traffic: Traffic | None = None,
    schedule: Cron | None = None,
) -> Spending:
    """What containers of ``gpus`` GPUs cost; ``containers`` are the fewest and the most of them.

    ``cold_start`` and ``scaledown_window`` are in seconds, ``schedule`` is the keep-alive's.
    """
    fewest, most = containers
    hourly = price.dollars * gpus
    own = billed_hours(traffic, cold_start=cold_start, scaledown_window=scaledown_window) if traffic else 0.0
    kept = kept_hours(schedule, cold_start=cold_start, scaledown_window=scaledown_window) if schedule else 0.0
    return Spending(
        price=price,
        container=hourly,
        min_containers=fewest,
        max_containers=most,
        cold_start=hourly * cold_start / 3600,
        day=_day(own, kept, fewest, most, hourly) if traffic or schedule else None,
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
