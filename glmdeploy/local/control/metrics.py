"""Series of numbers about functions and Servers: what :mod:`glmdeploy.local.control.stats` has, bucket by bucket.

What groups Modal has is known from its command line and its docstrings (1.6.4, ``cli/function.py``, ``_metrics.py``),
of its series only ``successful_calls_count``. The others have names of the embedded cloud's own, in the same form: the
last word says how the values of a bucket are put together.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.local.control.rpc import invalid, nanoseconds, unsupported
from glmdeploy.local.control.stats import ANSWERED, containers, failed, subject, within
from glmdeploy.local.state.traffic import CANCELLED, FAILURE, KEPT, MINUTE, SUCCESS, TIMEOUT, minute, totals

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Collection, Iterable, Sequence

    from google.protobuf.timestamp_pb2 import Timestamp

    from glmdeploy.local.backend import Backend
    from glmdeploy.local.control.rpc import Caller
    from glmdeploy.local.state.store import Run, Tally

_WIDTHS = (60, 300, 900, 3600, 4 * 3600, 86_400)
_ABOUT = 100
"""Buckets that are aimed at where their width is left open."""
_MOST = 500
_LONGEST = 31 * 86_400
_UNMEASURED = frozenset({"cpu", "gpu", "inference", "memory", "network"})
"""Groups of Modal's that nothing here could fill."""


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """What is known of a time, in seconds since the epoch: its minutes, all that they have counted, and containers."""

    start: int
    end: int
    tallies: Sequence[Tally]
    counts: Counter[str]
    runs: Sequence[Run]


@dataclass(frozen=True, kw_only=True)
class Series:
    name: str
    unit: str
    description: str
    value: Callable[[Bucket], float | None]


def _times(*kinds: str) -> Callable[[Bucket], float]:
    return lambda bucket: float(sum(bucket.counts[kind] for kind in kinds))


def _most(bucket: Bucket) -> float:
    by_minute: dict[int, int] = {}
    for each in bucket.tallies:
        by_minute[each.minute] = by_minute.get(each.minute, 0) + each.running
    return float(max(by_minute.values(), default=0))


def _execution(bucket: Bucket) -> float | None:
    ended = [each for each in bucket.tallies if each.task_id]
    return _average(sum(each.seconds for each in ended), sum(_ended(each) for each in ended))


def _ended(tally: Tally) -> int:
    return sum(times for name, times in tally.counts.items() if name in _ENDS or name.endswith("xx"))


def _running(bucket: Bucket) -> float:
    seconds = (
        max(0.0, min(run.ended_at, bucket.end) - max(run.started_at, bucket.start))
        for run in bucket.runs
        if run.started_at
    )
    return sum(seconds) / (bucket.end - bucket.start)


def _startup(bucket: Bucket) -> float | None:
    ready = [run.ready_at - run.started_at for run in bucket.runs if within(run.ready_at, bucket.start, bucket.end)]
    return _average(sum(ready), len(ready))


def _average(total: float, count: int) -> float | None:
    return total / count if count else None


_ENDS = frozenset({SUCCESS, FAILURE, TIMEOUT, CANCELLED})
_FAILED_STATUSES = ("0xx", "4xx", "5xx")
_CONTAINERS = (
    Series(
        name="running_containers_avg",
        unit="containers",
        description="containers that ran, by the time for which they did",
        value=_running,
    ),
    Series(
        name="started_containers_count",
        unit="containers",
        description="containers that were started",
        value=lambda bucket: float(sum(within(run.started_at, bucket.start, bucket.end) for run in bucket.runs)),
    ),
    Series(
        name="failed_containers_count",
        unit="containers",
        description="containers that ended with an error",
        value=lambda bucket: float(
            sum(within(run.ended_at, bucket.start, bucket.end) and failed(run) for run in bucket.runs)
        ),
    ),
    Series(
        name="startup_time_avg",
        unit="seconds",
        description="from a container's start until it could take inputs or requests",
        value=_startup,
    ),
)
FUNCTION = {
    "calls": (
        Series(
            name="successful_calls_count",
            unit="calls",
            description="inputs that ended well, and requests that a container answered",
            value=_times(SUCCESS),
        ),
        Series(
            name="failed_calls_count",
            unit="calls",
            description="inputs that failed, and requests without a whole answer",
            value=_times(FAILURE),
        ),
        Series(
            name="timed_out_calls_count",
            unit="calls",
            description="inputs and requests that hit the function's timeout",
            value=_times(TIMEOUT),
        ),
        Series(
            name="running_calls_max",
            unit="calls",
            description="inputs and requests that ran at the end of a minute, at most",
            value=_most,
        ),
        Series(
            name="execution_time_avg",
            unit="seconds",
            description="how long inputs and requests were with a container",
            value=_execution,
        ),
    ),
    "containers": _CONTAINERS,
}
SERVER = {
    "requests": (
        Series(
            name="successful_requests_count",
            unit="requests",
            description="requests answered with a status of 1xx, 2xx or 3xx",
            value=_times(*ANSWERED),
        ),
        Series(
            name="failed_requests_count",
            unit="requests",
            description="requests answered with another status, or not at all",
            value=_times(*_FAILED_STATUSES),
        ),
        Series(
            name="running_requests_max",
            unit="requests",
            description="requests that ran at the end of a minute, at most",
            value=_most,
        ),
        Series(
            name="request_time_avg",
            unit="seconds",
            description="how long requests were with a container",
            value=_execution,
        ),
    ),
    "containers": _CONTAINERS,
}
"""What there is, by the names of its groups."""


class Metrics:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def metrics_get_info(
        self, request: api_pb2.MetricsGetInfoRequest, caller: Caller
    ) -> api_pb2.MetricsGetInfoResponse:
        is_server = request.target_type == api_pb2.MetricsGetInfoRequest.METRICS_TARGET_TYPE_SERVER
        width, first, end = _buckets(request.since, request.until, request.bucket_secs)
        return api_pb2.MetricsGetInfoResponse(
            groups=[
                api_pb2.MetricGroupDefinition(
                    name=name,
                    metrics=[
                        api_pb2.MetricDefinition(name=each.name, unit=each.unit, description=each.description)
                        for each in series
                    ],
                )
                for name, series in _groups(request.groups, is_server=is_server).items()
            ],
            bucket_secs=width,
            bucket_count=(end - first) // width,
        )

    async def function_get_metrics(
        self, request: api_pb2.FunctionGetMetricsRequest, caller: Caller
    ) -> api_pb2.FunctionGetMetricsResponse:
        answer = api_pb2.FunctionGetMetricsResponse()
        await self._fill(answer, request, is_server=False)
        return answer

    async def server_get_metrics(
        self, request: api_pb2.ServerGetMetricsRequest, caller: Caller
    ) -> api_pb2.ServerGetMetricsResponse:
        answer = api_pb2.ServerGetMetricsResponse()
        await self._fill(answer, request, is_server=True)
        return answer

    async def _fill(
        self,
        answer: api_pb2.FunctionGetMetricsResponse | api_pb2.ServerGetMetricsResponse,
        request: api_pb2.FunctionGetMetricsRequest | api_pb2.ServerGetMetricsRequest,
        *,
        is_server: bool,
    ) -> None:
        width, first, end = _buckets(request.since, request.until, request.bucket_secs)
        wanted = _groups(request.groups, is_server=is_server)
        found = subject(self._backend, request.function_id, is_server=is_server)
        runs = containers(self._backend, found.app, first, end, found.id)
        now = time.time()
        oldest = minute(now) - KEPT
        answer.bucket_secs = width
        answer.since.FromSeconds(first)
        answer.until.FromSeconds(end)
        series = [each for group in wanted.values() for each in group]
        answer.series.extend(
            api_pb2.FunctionMetricSeries(name=each.name, unit=each.unit, description=each.description)
            for each in series
        )
        by_bucket: dict[int, list[Tally]] = defaultdict(list)
        for tally in await self._backend.traffic.of({found.id}, max(first, oldest), end):
            by_bucket[tally.minute // width * width].append(tally)
        for start in range(first, end, width):
            bucket = Bucket(
                start=start,
                end=start + width,
                tallies=by_bucket[start],
                counts=totals(by_bucket[start]),
                runs=[run for run in runs if run.enqueued_at < start + width and run.ended_at >= start],
            )
            known = start >= oldest and bucket.end <= now
            for each, line in zip(series, answer.series, strict=True):
                point = line.points.add(value=each.value(bucket) if known else None)
                point.timestamp.FromSeconds(start)
            await asyncio.sleep(0)  # streams have their turn


def _groups(names: Iterable[str], *, is_server: bool) -> dict[str, tuple[Series, ...]]:
    """Those that are asked for, all where none is named.

    :raises GRPCError: for one that there is not.
    """
    there = SERVER if is_server else FUNCTION
    wanted: Collection[str] = list(dict.fromkeys(names)) or list(there)
    for name in wanted:
        if name in _UNMEASURED:
            raise unsupported(f"the metrics group {name!r} is")
        if name not in there:
            raise invalid(f"{name[:40]!r} is no metrics group; there are {', '.join(there)}")
    return {name: there[name] for name in wanted}


def _buckets(since: Timestamp, until: Timestamp, width: int) -> tuple[int, int, int]:
    """How wide they are, when the first begins and when the last is over, in seconds; the present one is left out.

    :raises GRPCError:
    """
    first, last = nanoseconds(since) // 10**9, nanoseconds(until) // 10**9
    if not (0 <= first < last and last - first <= _LONGEST):
        raise invalid("since must be before until, and 31 days before it at most")
    if width % MINUTE:
        raise invalid("bucket_size must be whole minutes: that is how the embedded cloud counts")
    width = width or next((each for each in _WIDTHS if (last - first) / each <= _ABOUT), _WIDTHS[-1])
    if last // width - first // width > _MOST:
        raise invalid(f"metrics have {_MOST} points a series at most: increase bucket_size")
    return width, first // width * width, last // width * width
