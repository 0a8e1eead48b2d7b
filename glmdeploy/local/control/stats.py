"""What apps, functions and Servers did in a time: inputs and requests, and the containers for them.

Counted by the minute, so a time begins and ends with one; what is answered says which. Names of distributions are those
of Modal's command line (1.6.4, ``cli/function.py``, ``cli/server.py``). What only an engine or the hardware could tell
(inference, CPU, memory, GPU) is left out.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.local.control.apps import app_of, lifecycle
from glmdeploy.local.control.rpc import invalid, nanoseconds, not_found
from glmdeploy.local.state.store import new_id
from glmdeploy.local.state.traffic import (
    EXECUTION,
    FAILURE,
    KEPT,
    MINUTE,
    SUCCESS,
    TIMEOUT,
    WHOLE,
    minute,
    percentile,
    totals,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from glmdeploy.local.backend import Backend
    from glmdeploy.local.control.rpc import Caller
    from glmdeploy.local.state.store import App, Run, Tally

_SHARES = {5000: 0.5, 9000: 0.9, 9900: 0.99}
"""The percentiles that Modal's command line shows, in hundredths."""
_AT_ONCE = 1000
"""Minutes that are added up at once."""
_ID_LENGTH = len(new_id("fu"))
_WELL = frozenset({api_pb2.GenericResult.GENERIC_STATUS_SUCCESS, api_pb2.GenericResult.GENERIC_STATUS_TERMINATED})
ANSWERED = ("1xx", "2xx", "3xx")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A function or a Server of an app, as it was published last, be the app stopped."""

    id: str
    name: str
    app: App
    is_server: bool


@dataclass(frozen=True, kw_only=True)
class Window:
    """Whole minutes from ``start`` on and before ``end``, in seconds; ``until`` is the end to tell, in nanoseconds."""

    start: int
    end: int
    until: int

    @property
    def seconds(self) -> float:
        return self.until / 1e9 - self.start


def window(since: Timestamp, until: Timestamp) -> Window:
    """:raises GRPCError: for what is no time, is too long a time, or is over for too long."""
    first, last, now = nanoseconds(since), nanoseconds(until), time.time_ns()
    if not 0 < last - first <= KEPT * 10**9:
        raise invalid("since must be before until, and seven days before it at most")
    present = minute(now / 1e9)
    start = max(first // 10**9 // MINUTE * MINUTE, present - KEPT)
    end = min(-(-last // 10**9 // MINUTE) * MINUTE, present + MINUTE)
    if end <= start:
        raise invalid("the embedded cloud keeps statistics for seven days, and has none of what is to come")
    # The present minute is not over: what it has so far is all that there is until now.
    return Window(start=start, end=end, until=min(end * 10**9, max(last, now)))


def subjects(backend: Backend, app: App) -> list[Subject]:
    """The functions and Servers of an app's last publication."""
    deployment = backend.registry.deployment(app)
    found = []
    for name, function_id in deployment.function_ids.items() if deployment is not None else ():
        assert deployment is not None
        definition = backend.store.definitions.get(id=deployment.definition_ids.get(function_id, ""))
        if definition is not None:
            data = api_pb2.FunctionData.FromString(definition.data)
            is_server = bool(data.ranked_functions) and data.ranked_functions[0].function.is_server
            found.append(Subject(id=function_id, name=name, app=app, is_server=is_server))
    return found


def subject(backend: Backend, function_id: str, *, is_server: bool) -> Subject:
    """By the id of a handle, of whatever version.

    :raises GRPCError: where there is none, or it is of the other kind.
    """
    record = backend.store.functions.get(id=function_id[:_ID_LENGTH])
    app = backend.registry.app(record.app_id) if record is not None else None
    found = [each for each in subjects(backend, app) if each.id == function_id[:_ID_LENGTH]] if app is not None else []
    if not found:
        raise not_found(f"Function {function_id} not found")
    if found[0].is_server != is_server:
        raise invalid(f"{found[0].name} is {'a function and no Server' if is_server else 'a Server and no function'}")
    return found[0]


def containers(
    backend: Backend, app: App, start: float, end: float, function_id: str = "", task_id: str = ""
) -> list[Run]:
    """Those of an app in a time, or of one function, or one of them; ``ended_at`` is infinite for what goes on.

    :raises GRPCError: where there is no such container.
    """
    if task_id:
        run = backend.ledger.find(task_id)
        if run is None or run.function_id[:_ID_LENGTH] != function_id:
            raise not_found(f"Container {task_id} not found")
    runs = backend.ledger.of_app(app.id, start, end, backend.worker.members)
    return [run for run in runs if function_id in {"", run.function_id[:_ID_LENGTH]} and task_id in {"", run.id}]


def failed(run: Run) -> bool:
    """Whether it ended with an error. What became of the containers of a daemon that was killed is not known."""
    return bool(run.result) and api_pb2.GenericResult.FromString(run.result).status not in _WELL


def within(moment: float, start: float, end: float) -> bool:
    return start <= moment < end


@dataclass(frozen=True, kw_only=True)
class _Containers:
    started: int
    errors: int
    creating: int
    total: int
    active: int
    startup: tuple[float, ...]

    @classmethod
    def of(cls, runs: Sequence[Run], asked: Window) -> _Containers:
        start, end = asked.start, asked.until / 1e9
        return cls(
            started=sum(within(run.started_at, start, end) for run in runs),
            errors=sum(within(run.ended_at, start, end) and failed(run) for run in runs),
            creating=sum(run.ended_at > end and not 0 < run.ready_at <= end for run in runs),
            total=len(runs),
            active=sum(0 < run.started_at < end and run.ended_at >= start for run in runs),
            startup=tuple(sorted(run.ready_at - run.started_at for run in runs if within(run.ready_at, start, end))),
        )

    def distributions(self) -> dict[str, api_pb2.StatsPercentileDistribution]:
        if not self.startup:
            return {}
        ranks = {points: ceil(share * len(self.startup)) for points, share in _SHARES.items()}
        values = {points: self.startup[rank - 1] for points, rank in ranks.items()}
        return {"Startup time (s)": _distribution(values)}


class Stats:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def function_get_time_range_stats(
        self, request: api_pb2.FunctionGetTimeRangeStatsRequest, caller: Caller
    ) -> api_pb2.FunctionGetTimeRangeStatsResponse:
        asked = window(request.since, request.until)
        found = subject(self._backend, request.function_id, is_server=False)
        there = self._containers(found, asked, request.container_id)
        tallies = await self._backend.traffic.of({found.id}, asked.start, asked.end, request.container_id)
        counts = await _total(tallies)
        latency = {"Execution time (s)": EXECUTION, "End-to-end latency (s)": WHOLE}
        answer = api_pb2.FunctionGetTimeRangeStatsResponse(
            input_success_count=counts[SUCCESS],
            input_failure_count=counts[FAILURE],
            input_timeout_count=counts[TIMEOUT],
            input_running_at_end_count=_running(tallies, asked),
            input_percentile_stats=_latencies(counts, latency),
            container_started_count=there.started,
            container_error_count=there.errors,
            container_creating_at_end_count=there.creating,
            container_percentile_stats=there.distributions(),
            container_total_count=there.total,
        )
        _tell(asked, answer.since, answer.until)
        return answer

    async def server_get_time_range_stats(
        self, request: api_pb2.ServerGetTimeRangeStatsRequest, caller: Caller
    ) -> api_pb2.ServerGetTimeRangeStatsResponse:
        """Statuses are counted by their hundreds: as such Modal's command line names them."""
        asked = window(request.since, request.until)
        found = subject(self._backend, request.function_id, is_server=True)
        there = self._containers(found, asked, request.container_id)
        counts = await _total(await self._backend.traffic.of({found.id}, asked.start, asked.end, request.container_id))
        requests = _requests(counts)
        statuses = sorted((int(name[0]) * 100, times) for name, times in counts.items() if name.endswith("xx"))
        answer = api_pb2.ServerGetTimeRangeStatsResponse(
            request_count=requests.total,
            request_rate_per_second=requests.total / asked.seconds,
            request_percentile_stats=_latencies(counts, {"End-to-end latency (s)": WHOLE}),
            container_started_count=there.started,
            container_error_count=there.errors,
            container_creating_at_end_count=there.creating,
            container_percentile_stats=there.distributions(),
            container_total_count=there.total,
        )
        for status, times in statuses:
            answer.request_count_by_status_code.add(status_code=status, count=times)
        _tell(asked, answer.since, answer.until)
        return answer

    async def app_get_time_range_stats(
        self, request: api_pb2.AppGetTimeRangeStatsRequest, caller: Caller
    ) -> api_pb2.AppGetTimeRangeStatsResponse:
        """There are no sandboxes here: their counts are 0."""
        asked = window(request.since, request.until)
        app = app_of(self._backend.registry, request.app_id)
        found = subjects(self._backend, app)
        tallies = await self._backend.traffic.of({each.id for each in found}, asked.start, asked.end)
        runs = containers(self._backend, app, asked.start, asked.until / 1e9)
        answer = api_pb2.AppGetTimeRangeStatsResponse(lifecycle=lifecycle(app), sandboxes=api_pb2.AppSandboxCounts())
        for each in found:
            counts = await _total([row for row in tallies if row.function_id == each.id])
            own = _Containers.of([run for run in runs if run.function_id[:_ID_LENGTH] == each.id], asked)
            there = api_pb2.AppContainerCounts(container_errors=own.errors, container_active_count=own.active)
            if each.is_server:
                serving = api_pb2.AppServerCounts(requests=_requests(counts), containers=there)
                answer.servers.by_name[each.name].CopyFrom(api_pb2.AppServerStats(object_id=each.id, counts=serving))
            else:
                called = api_pb2.AppFunctionCounts(calls=_calls(counts), containers=there)
                answer.functions.by_name[each.name].CopyFrom(api_pb2.AppFunctionStats(object_id=each.id, counts=called))
        for stats in answer.servers.by_name.values():
            _sum(answer.servers.total.requests, stats.counts.requests)
            _sum(answer.servers.total.containers, stats.counts.containers)
        for each_stats in answer.functions.by_name.values():
            _sum(answer.functions.total.calls, each_stats.counts.calls)
            _sum(answer.functions.total.containers, each_stats.counts.containers)
        deployments = self._backend.store.deployments.all(app_id=app.id)
        answer.deployment_count = sum(within(each.deployed_at, asked.start, asked.until / 1e9) for each in deployments)
        _tell(asked, answer.since, answer.until)
        return answer

    def _containers(self, of: Subject, asked: Window, task_id: str) -> _Containers:
        runs = containers(self._backend, of.app, asked.start, asked.until / 1e9, of.id, task_id)
        return _Containers.of(runs, asked)


async def _total(tallies: Sequence[Tally]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for at in range(0, len(tallies), _AT_ONCE):
        counts.update(totals(tallies[at : at + _AT_ONCE]))
        await asyncio.sleep(0)  # streams have their turn
    return counts


def _calls(counts: Counter[str]) -> api_pb2.AppCallCounts:
    """What a client gave up is neither a success nor a failure."""
    succeeded, unsuccessful = counts[SUCCESS], counts[FAILURE] + counts[TIMEOUT]
    return api_pb2.AppCallCounts(total=succeeded + unsuccessful, succeeded=succeeded, failed=unsuccessful)


def _requests(counts: Counter[str]) -> api_pb2.AppRequestCounts:
    total = sum(times for name, times in counts.items() if name.endswith("xx"))
    ok = sum(counts[name] for name in ANSWERED)
    return api_pb2.AppRequestCounts(total=total, ok=ok, failed=total - ok)


def _running(tallies: Sequence[Tally], asked: Window) -> int:
    """What ran when the last minute was over: now, where that is the present one."""
    return sum(each.running for each in tallies if each.minute == asked.end - MINUTE)


def _latencies(counts: Counter[str], names: Mapping[str, str]) -> dict[str, api_pb2.StatsPercentileDistribution]:
    found = {}
    for shown, name in names.items():
        values = {points: percentile(counts, name, share) for points, share in _SHARES.items()}
        told = {points: value for points, value in values.items() if value is not None}
        if told:
            found[shown] = _distribution(told)
    return found


def _distribution(values: Mapping[int, float]) -> api_pb2.StatsPercentileDistribution:
    return api_pb2.StatsPercentileDistribution(
        unit="s",
        percentiles=[
            api_pb2.StatsPercentile(percentile_basis_points=points, value=value) for points, value in values.items()
        ],
    )


def _sum(total: Message, part: Message) -> None:
    """Of numbers alone."""
    for each, value in part.ListFields():
        setattr(total, each.name, getattr(total, each.name) + value)


def _tell(asked: Window, since: Timestamp, until: Timestamp) -> None:
    since.FromSeconds(asked.start)
    until.FromNanoseconds(asked.until)
