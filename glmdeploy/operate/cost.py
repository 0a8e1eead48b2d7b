"""What apps cost in a stretch of full hours: what Modal billed, where the workspace's plan lets it tell; an estimate.

Modal tells no past containers. So the estimate is a range: at least what runs now has run for, and ``min_containers``
for as long as the app has been deployed; at most ``max_containers`` all the time. Source of the report: the SDK's
``billing.report`` (modal 1.6.4, ``_workspace.py``), for the plans Team and Enterprise.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import modal

from glmdeploy.errors import DeployError
from glmdeploy.operate.asking import within
from glmdeploy.operate.deployed import deployed
from glmdeploy.operate.listing import listing
from glmdeploy.operate.tasks import tasks_of
from glmdeploy.plan.price import estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from modal.types import BillingReportItem

    from glmdeploy.operate.deployed import Deployed
    from glmdeploy.operate.target import Target

ZERO = Decimal(0)
HOUR = timedelta(hours=1)
HOURLY = timedelta(days=14)
"""The longest stretch of which the report is asked by the hour; of a longer one by the day, and then of full days."""
REPORT_SECONDS = 120.0

_OUTAGES = (
    modal.exception.AuthError,
    modal.exception.ConnectionError,
    modal.exception.ServiceError,
    modal.exception.InternalError,
    modal.exception.ClientClosed,
)
"""What says nothing about the workspace's plan."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """From ``since`` until ``until``, in UTC and on full intervals, of which there is one at least."""

    since: datetime
    until: datetime
    resolution: str
    """``h`` or ``d``, as Modal has it."""

    @property
    def hours(self) -> float:
        return (self.until - self.since) / HOUR


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Hours of one replica, and the dollars of its GPUs; None where the price is not known."""

    hourly: float | None
    gpu: str
    nodes: int = 1
    """Containers of a replica."""
    running: int
    """Containers now."""
    ran: float
    """Hours of replicas that those have run, in the stretch."""
    least: float
    most: float | None
    """None for an app without a bound."""
    source: str
    multiplier: float

    def dollars(self, hours: float | None) -> float | None:
        return None if hours is None or self.hourly is None else hours * self.hourly


@dataclass(frozen=True, kw_only=True)
class AppCost:
    """``billed`` are dollars by resource, as Modal names it; None where Modal tells nothing."""

    app: str
    billed: Mapping[str, Decimal] | None = None
    estimate: Estimate | None = None

    @property
    def total(self) -> Decimal | None:
        return None if self.billed is None else sum(self.billed.values(), start=ZERO)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """``refusal`` is why Modal did not tell what it billed; None where it did."""

    stretch: Stretch
    apps: tuple[AppCost, ...]
    refusal: str | None


def stretch(since: datetime, until: datetime) -> Stretch | None:
    """The full intervals between two times: Modal rounds a beginning down, and leaves an unfinished last one out.

    None where there is none.
    """
    resolution = "h" if until - since <= HOURLY else "d"
    begin, end = (each.astimezone(UTC).replace(minute=0, second=0, microsecond=0) for each in (since, until))
    if resolution == "d":
        begin, end = begin.replace(hour=0), end.replace(hour=0)
    return Stretch(since=begin, until=end, resolution=resolution) if begin < end else None


def cost(when: Stretch, target: Target, app: str | None = None) -> Cost:
    """What an app cost, or each of the Environment that Modal billed or that glmdeploy deployed.

    :raises DeployError:
    """
    billed, refusal = _billed(when, target)
    names = [app] if app else sorted({*billed, *(each.app for each in listing(target) if not each.foreign)})
    return Cost(stretch=when, refusal=refusal, apps=tuple(_app(name, when, target, billed, refusal) for name in names))


def _app(
    name: str, when: Stretch, target: Target, billed: Mapping[str, Mapping[str, Decimal]], refusal: str | None
) -> AppCost:
    found = deployed(name, target, ask=False)
    if found is None and not billed.get(name):
        why = f", and what was billed is not told: {refusal}" if refusal else ", and nothing was billed for one"
        raise DeployError(f"no app {name} is deployed on {target}{why}")
    own = None if refusal else billed.get(name, {})
    return AppCost(app=name, billed=own, estimate=_estimate(found, when, target) if found and found.plan else None)


def _billed(when: Stretch, target: Target) -> tuple[dict[str, Mapping[str, Decimal]], str | None]:
    """Dollars by app and resource, and why there are none where Modal refuses."""

    async def ask() -> tuple[dict[str, Mapping[str, Decimal]], str | None]:
        workspace = modal.Workspace.from_context()
        try:
            items = await workspace.billing.report.aio(start=when.since, end=when.until, resolution=when.resolution)
        except _OUTAGES:
            raise
        except modal.exception.Error as refused:
            return {}, str(refused).strip().splitlines()[0] if str(refused).strip() else type(refused).__name__
        return by_app(items, target.environment), None

    return within(target, "ask what was billed", ask, seconds=REPORT_SECONDS)


def by_app(items: Iterable[BillingReportItem], environment: str | None) -> dict[str, Mapping[str, Decimal]]:
    """The dollars of a report by app and resource, the dearest first; of one Environment where it is named."""
    found: dict[str, dict[str, Decimal]] = {}
    for item in items:
        if environment and item.environment_name and item.environment_name != environment:
            continue
        resources = dict(item.cost_by_resource)
        rest = item.cost - sum(resources.values(), start=ZERO)
        if rest:
            resources["other"] = resources.get("other", ZERO) + rest
        own = found.setdefault(item.description or item.object_id, {})
        for name, dollars in resources.items():
            own[name] = own.get(name, ZERO) + dollars
    return {app: dict(sorted(own.items(), key=lambda each: -each[1])) for app, own in found.items()}


def _estimate(found: Deployed, when: Stretch, target: Target) -> Estimate:
    assert found.plan is not None
    priced = estimate(found.plan)
    begin, end = when.since.timestamp(), when.until.timestamp()
    now = time.time()
    tasks = [task for task in tasks_of(found.app_id, target) if task.started]
    ran = sum(max(0.0, min(now, end) - max(task.started, begin)) for task in tasks) / 3600 / found.plan.nodes
    first = min(each.at for each in found.history.versions).timestamp()
    deployed_for = max(0.0, min(now, end) - max(first, begin)) / 3600
    options = found.plan.server.options
    fewest, most = (options[name].value if name in options else None for name in ("min_containers", "max_containers"))
    return Estimate(
        hourly=priced.hourly,
        gpu=priced.gpu,
        nodes=found.plan.nodes,
        running=len(tasks),
        ran=ran,
        least=max(ran, (fewest or 0) * deployed_for),
        most=None if most is None else max(ran, most * deployed_for),
        source=priced.source,
        multiplier=priced.multiplier,
    )
