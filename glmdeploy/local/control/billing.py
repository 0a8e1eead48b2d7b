"""What things cost here: a round dollar for an hour of any GPU, and nothing for anything else.

Intervals are as Modal's SDK documents them (1.6.4, ``_workspace.py``): the first one is rounded down, and the last one
is left out while it is not over.
"""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from grpclib import GRPCError, Status
from modal_proto import api_pb2

from glmdeploy import gpus
from glmdeploy.local.control.rpc import invalid, nanoseconds, not_found
from glmdeploy.local.state.ledger import GPU_RATE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from google.protobuf.timestamp_pb2 import Timestamp

    from glmdeploy.local.backend import Backend
    from glmdeploy.local.control.rpc import Caller
    from glmdeploy.local.state.ledger import Cost

_STEPS = {"h": 3600.0, "d": 86_400.0}
_LONGEST = 366 * 86_400.0
"""Seconds that a report may cover."""


def month(moment: float) -> tuple[float, float]:
    """The billing cycle of a moment: its start, and that of the next one."""
    start = datetime.fromtimestamp(moment, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    over = start.month == 12
    following = start.replace(year=start.year + over, month=1 if over else start.month + 1)
    return start.timestamp(), following.timestamp()


def spent(backend: Backend, since: float, until: float) -> dict[str, dict[str, Decimal]]:
    """Dollars of each Environment, by its name, by GPU."""
    totals: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for cost in backend.ledger.costs(since, until, until - since, backend.worker.members):
        totals[cost.environment][cost.gpu] += cost.dollars
    return totals


class Billing:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def workspace_billing_rates(
        self, request: api_pb2.WorkspaceBillingRatesRequest, caller: Caller
    ) -> api_pb2.WorkspaceBillingRatesResponse:
        return api_pb2.WorkspaceBillingRatesResponse(
            rates=dict.fromkeys((each.rate for each in gpus.TYPES.values()), GPU_RATE),
            formatted=f"glmdeploy's embedded cloud bills nothing. For rehearsals, any GPU costs ${GPU_RATE} an hour.",
        )

    async def workspace_billing_report(
        self, request: api_pb2.WorkspaceBillingReportRequest, caller: Caller
    ) -> AsyncIterator[api_pb2.WorkspaceBillingReportItem]:
        self._check()
        step = _STEPS.get(request.resolution or "d")
        if step is None:
            raise invalid("resolution must be 'd' or 'h'")
        start, end = (_seconds(moment) for moment in (request.start_timestamp, request.end_timestamp))
        if not 0 < end - start <= _LONGEST:
            raise invalid("a report needs a start before its end, and a year of it at most")
        first, last = start // step * step, min(end, time.time()) // step * step
        environments = {each.id: each.name for each in self._backend.store.environments.all()}
        names = {environments.get(environment_id) for environment_id in request.environment_ids}
        costs = self._backend.ledger.costs(first, last, step, self._backend.worker.members)
        groups: dict[tuple[float, str], list[Cost]] = defaultdict(list)
        for cost in costs:
            wanted = not request.environment_ids or cost.environment in names
            if wanted and (not request.app_ids or cost.app_id in request.app_ids):
                groups[cost.start, cost.app_id].append(cost)
        for (begin, app_id), each in groups.items():
            yield self._item(begin, app_id, each, set(request.tag_names))

    async def workspace_billing_summary(
        self, request: api_pb2.WorkspaceBillingSummaryRequest, caller: Caller
    ) -> api_pb2.WorkspaceBillingSummaryResponse:
        self._check()
        start, end = month(_seconds(request.start_timestamp))
        totals: dict[str, Decimal] = defaultdict(Decimal)
        for environment in spent(self._backend, start, end).values():
            for gpu, dollars in environment.items():
                totals[gpu] += dollars
        total = str(sum(totals.values(), Decimal()))
        answer = api_pb2.WorkspaceBillingSummaryResponse(
            metered_cost=total, billed_cost=total, metered_cost_breakdown=_texts(totals)
        )
        answer.start_timestamp.FromSeconds(int(start))
        answer.end_timestamp.FromSeconds(int(end))
        return answer

    async def environment_billing_summary(
        self, request: api_pb2.EnvironmentBillingSummaryRequest, caller: Caller
    ) -> api_pb2.EnvironmentBillingSummaryResponse:
        self._check()
        environment = self._backend.store.environments.get(id=request.environment_id)
        if environment is None:
            raise not_found(f"Environment {request.environment_id} not found")
        start, end = month(_seconds(request.start_timestamp))
        totals = spent(self._backend, start, end).get(environment.name, {})
        answer = api_pb2.EnvironmentBillingSummaryResponse(
            metered_cost=str(sum(totals.values(), Decimal())), metered_cost_breakdown=_texts(totals)
        )
        answer.start_timestamp.FromSeconds(int(start))
        answer.end_timestamp.FromSeconds(int(end))
        return answer

    def _check(self) -> None:
        if not self._backend.subscription.paid:
            raise GRPCError(
                Status.PERMISSION_DENIED, "billing reports are not part of this workspace's plan: upgrade to Team"
            )

    def _item(
        self, begin: float, app_id: str, costs: list[Cost], tag_names: set[str]
    ) -> api_pb2.WorkspaceBillingReportItem:
        app = self._backend.registry.app(app_id)
        tags = app.tags if app else {}
        item = api_pb2.WorkspaceBillingReportItem(
            object_id=app_id,
            description=app.name if app else "",
            environment_name=costs[0].environment,
            cost=str(sum((cost.dollars for cost in costs), Decimal())),
            tags={name: value for name, value in tags.items() if "*" in tag_names or name in tag_names},
            cost_by_resource={cost.gpu: str(cost.dollars) for cost in costs},
        )
        item.interval.FromSeconds(int(begin))
        return item


def _seconds(moment: Timestamp) -> float:
    return nanoseconds(moment) / 1e9


def _texts(totals: Mapping[str, Decimal]) -> dict[str, str]:
    return {gpu: str(dollars) for gpu, dollars in totals.items()}
