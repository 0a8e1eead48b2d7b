"""What is known of a deployed app just now: its version, its containers, its requests, its price. Changes nothing.

Modal tells when a container was asked for and when it began; whether it is ready its own lines in the log tell. What
nobody tells is None, and not guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.operate import autoscaler
from glmdeploy.operate.deployed import deployed
from glmdeploy.operate.live import endpoint
from glmdeploy.operate.logs import KEPT, Line, Log, Wanted
from glmdeploy.operate.preview import drift_of
from glmdeploy.operate.requests import counted_by_engine, counted_by_modal, key_at_hand, merged
from glmdeploy.operate.tasks import tasks_of
from glmdeploy.plan.price import estimate
from glmdeploy.runtime.verdict import read_place, read_stage, read_verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from glmdeploy.gpus import Price
    from glmdeploy.operate.deployed import Deployed
    from glmdeploy.operate.drift import Drift
    from glmdeploy.operate.requests import Requests
    from glmdeploy.operate.target import Target
    from glmdeploy.operate.tasks import Task
    from glmdeploy.plan.plan import Plan

LOOKED_BACK = timedelta(hours=24)
"""For how long errors are looked for."""

PENDING, STARTED, STARTING, READY, REFUSED = "pending", "started", "starting", "ready", "refused"


@dataclass(frozen=True, kw_only=True)
class Container:
    """``state`` is ``pending`` (waits for a machine), ``started`` (more is not known), ``starting``, ``ready`` or
    ``refused``; ``stage`` is what it said last of its start. ``outdated``: it was asked for before this version. Those
    of one ``cluster`` are one replica, and rank 0 speaks for all of them.
    """

    id: str
    state: str
    outdated: bool
    enqueued: datetime
    started: datetime | None = None
    stage: str | None = None
    cluster: str | None = None
    rank: int = 0


@dataclass(frozen=True, kw_only=True)
class Status:
    """``deployed`` is None where no app of this name runs."""

    app: str
    at: datetime
    deployed: Deployed | None
    url: str | None = None
    key_required: bool | None = None
    proxy_token_required: bool = False
    containers: tuple[Container, ...] = ()
    fewest: int | None = None
    most: int | None = None
    """Replicas that may run; None where Modal's default is not told, and for no bound."""
    bounded: bool = False
    """Whether the two are known."""
    start_seconds: float | None = None
    """How long a start takes: the last one in the log, else the estimate of the plan."""
    requests: Requests | None = None
    error: Line | None = None
    """The last one of :data:`LOOKED_BACK`."""
    log_read: bool = False
    drift: tuple[Drift, ...] | None = None
    """None where it is not known."""
    hourly: float | None = None
    """Dollars for an hour of one container, GPUs alone."""
    nodes: int = 1
    """Containers of a replica."""

    @property
    def healthy(self) -> bool:
        """Deployed, and nothing known that speaks against it: no container of this version has refused to start."""
        own = [each for each in self.containers if not each.outdated]
        refused = [each for each in own if each.state == REFUSED]
        return self.deployed is not None and not (refused and len(refused) == len(own))

    @property
    def now(self) -> float | None:
        """Dollars an hour of the containers that have a machine."""
        billed = sum(each.state != PENDING for each in self.containers)
        return None if self.hourly is None else self.hourly * billed


def status_of(
    app: str,
    target: Target,
    *,
    api_key_env: str | None = None,
    prices: Mapping[str, Price] = gpus.PRICES,
) -> Status:
    """What is known of an app. ``api_key_env`` is a variable with the API key, to ask a Server's engine with.

    Of a web function the engine is asked too while Modal counts requests: nothing keeps an idle container up.

    :raises DeployError: where the target cannot be asked.
    """
    now = datetime.now(UTC)
    found = deployed(app, target, ask=False)
    if found is None:
        return Status(app=app, at=now, deployed=None)
    tasks = tasks_of(found.app_id, target)
    oldest = min((datetime.fromtimestamp(task.enqueued, UTC) for task in tasks), default=now)
    log = Log(app=app, app_id=found.app_id, target=target)
    since = max(min(oldest, now - LOOKED_BACK), now - KEPT + timedelta(minutes=1))
    ours = _read(log, Wanted(ours=True), since)
    errors = _read(log, Wanted(errors=True), now - LOOKED_BACK)
    containers = as_replicas(container(task, ours, found.version.at) for task in tasks)
    known: dict[str, Any] = {}
    if (plan := found.plan) is not None:
        settings = autoscaler.settings(plan.data(), target)
        known = {
            "url": endpoint(plan, target),
            "key_required": plan.api_key is not None,
            "proxy_token_required": plan.proxy_auth,
            "nodes": plan.nodes,
            "fewest": settings.effective.get("min_containers"),
            "most": settings.effective.get("max_containers"),
            "bounded": True,
            "drift": drift_of(found, target),
            "hourly": _hourly(plan, prices),
        }
        counted = counted_by_modal(plan, target)
        ready = sum(each.state == READY and each.rank == 0 for each in containers)
        # A container that nobody uses is not kept from going to sleep; of a Server Modal does not tell who does.
        used = api_key_env is not None if counted is None else bool(counted.running or counted.waiting)
        if ready and used:
            key = key_at_hand(plan, target, api_key_env)
            known["requests"] = merged(counted, counted_by_engine(known["url"], plan, target, key, ready=ready))
        else:
            known["requests"] = counted
    elif found.foreign and (drift := drift_of(found, target)):
        known = {"drift": drift}  # other code over an app of glmdeploy's
    return Status(
        app=app,
        at=now,
        deployed=found,
        containers=containers,
        start_seconds=start_seconds(ours) or _estimated(plan, target),
        error=errors[-1] if errors else None,
        log_read=True,
        **known,
    )


def _read(log: Log, wanted: Wanted, since: datetime) -> list[Line]:
    log.wanted = wanted
    return log.between(since)


def container(task: Task, lines: Sequence[Line], version_at: datetime) -> Container:
    """A container, as its own lines tell of it; ``version_at`` is when the version in production was deployed."""
    state, stage = (STARTED if task.started else PENDING), None
    cluster, rank = None, 0
    for line in lines:
        if line.task != task.id:
            continue
        if (place := read_place(line.text)) is not None:
            cluster, rank = place
        verdict = read_verdict(line.text)
        if verdict is not None:
            state, stage = (REFUSED, "; ".join(verdict.reasons)) if verdict.reasons else (READY, None)
        elif (told := read_stage(line.text)) is not None:
            state, stage = STARTING, told
    return Container(
        id=task.id,
        state=state,
        stage=stage,
        cluster=cluster,
        rank=rank,
        outdated=task.enqueued < version_at.timestamp(),
        enqueued=datetime.fromtimestamp(task.enqueued, UTC),
        started=datetime.fromtimestamp(task.started, UTC) if task.started else None,
    )


def as_replicas(found: Iterable[Container]) -> tuple[Container, ...]:
    """The containers, those above rank 0 of a cluster in the state of its rank 0: they serve, or not, with it."""
    containers = tuple(found)
    first = {each.cluster: each for each in containers if each.cluster and each.rank == 0}
    return tuple(
        replace(each, state=first[each.cluster].state, stage=first[each.cluster].stage)
        if each.rank and each.cluster in first and first[each.cluster].state in (READY, REFUSED)
        else each
        for each in containers
    )


def start_seconds(lines: Sequence[Line]) -> float | None:
    """Seconds from the first word of a container to its readiness, of the last one that told both."""
    began: dict[str, datetime] = {}
    found = None
    for line in lines:
        if line.task is None:
            continue
        began.setdefault(line.task, line.at)
        verdict = read_verdict(line.text)
        if verdict is not None and not verdict.reasons:
            found = (line.at - began[line.task]).total_seconds()
    return found


def _estimated(plan: Plan | None, target: Target) -> float | None:
    """Seconds of a cold start; None where it is not known, and in the embedded cloud, which loads no such model."""
    return None if plan is None or target.cloud else estimate(plan).cold_start


def _hourly(plan: Plan, prices: Mapping[str, Price]) -> float | None:
    """Dollars for an hour of one container's GPUs; None where which GPU it has, or its price, is not known."""
    found = {estimate(replace(plan, gpu=gpu, cluster=None), prices).hourly for gpu in plan.gpus}
    return found.pop() if len(found) == 1 else None
