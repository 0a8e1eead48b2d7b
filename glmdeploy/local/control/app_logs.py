"""Logs of apps, followed or searched."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from modal_proto import api_pb2

from glmdeploy.local.control.rpc import invalid, nanoseconds, not_found, patience, position
from glmdeploy.local.state.registry import LIVE_STATES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.protobuf.timestamp_pb2 import Timestamp

    from glmdeploy.local.backend import Backend
    from glmdeploy.local.control.rpc import Caller
    from glmdeploy.local.state.logbook import Entry

_NANOSECONDS = 1_000_000_000
_MOST_BUCKETS = 100_000
_LOOK_AGAIN = 0.05
"""Seconds between two looks whether an app whose log is followed is over: who ends it waits for that."""
_RECENT = 1000
"""Entries from before that a follower is shown first."""


class _Filter(Protocol):
    """What the requests have in common."""

    function_id: str
    function_call_id: str
    task_id: str
    search_text: str


class AppLogs:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._logs = backend.logs

    async def app_get_logs(
        self, request: api_pb2.AppGetLogsRequest, caller: Caller
    ) -> AsyncIterator[api_pb2.TaskLogsBatch]:
        """What is still in memory, then what comes, for ``timeout`` seconds or until the app is over."""
        app_id = request.app_id or self._app_of_task(request.task_id)
        self._check(app_id)
        after = position(request.last_entry_id) or self._logs.recent(app_id, _RECENT)
        deadline = time.monotonic() + patience(request.timeout)
        entries = self._logs.follow(app_id, after=after)
        pending: asyncio.Task[Entry] | None = None
        try:
            while True:
                pending = pending or asyncio.ensure_future(anext(entries))
                over = self._over(app_id)
                pause = 0.0 if over else min(deadline - time.monotonic(), _LOOK_AGAIN)
                done, _ = await asyncio.wait({pending}, timeout=max(pause, 0.0))
                if done:
                    entry, pending = pending.result(), None
                    if _matches(entry, request, request.file_descriptor):
                        yield _batch(entry)
                elif over:
                    yield api_pb2.TaskLogsBatch(app_done=True)
                    return
                elif time.monotonic() >= deadline:
                    return
        finally:
            if pending is not None:
                # A generator that is still running cannot be closed.
                pending.cancel()
                await asyncio.wait({pending})
            await entries.aclose()

    async def app_fetch_logs(
        self, request: api_pb2.AppFetchLogsRequest, caller: Caller
    ) -> api_pb2.AppFetchLogsResponse:
        self._check(request.app_id)
        entries = [
            entry
            for entry in await self._between(request.app_id, request.since, request.until)
            if _matches(entry, request, request.source)
        ]
        return api_pb2.AppFetchLogsResponse(batches=[_batch(entry) for entry in entries[-request.limit :]])

    async def app_count_logs(
        self, request: api_pb2.AppCountLogsRequest, caller: Caller
    ) -> api_pb2.AppCountLogsResponse:
        self._check(request.app_id)
        width = request.bucket_secs
        since, until = _seconds(request.since), _seconds(request.until)
        if width <= 0 or (until - since) / width > _MOST_BUCKETS:
            raise invalid("the buckets are too narrow for that time")
        counts = Counter(
            (entry.id // _NANOSECONDS // width, entry.source)
            for entry in await self._between(request.app_id, request.since, request.until)
            if _matches(entry, request, request.source)
        )
        response = api_pb2.AppCountLogsResponse(app_id=request.app_id)
        for number in range(int(since // width), int(until // width) + 1):
            bucket = response.buckets.add(
                stdout_logs=counts[number, api_pb2.FILE_DESCRIPTOR_STDOUT],
                stderr_logs=counts[number, api_pb2.FILE_DESCRIPTOR_STDERR],
                system_logs=counts[number, api_pb2.FILE_DESCRIPTOR_INFO],
            )
            bucket.bucket_start_at.seconds = number * width
        return response

    async def _between(self, app_id: str, since: Timestamp, until: Timestamp) -> list[Entry]:
        low, high = nanoseconds(since), nanoseconds(until)
        entries = await asyncio.to_thread(self._logs.read, app_id)
        return [entry for entry in entries if low <= entry.id < high]

    def _check(self, app_id: str) -> None:
        if self._backend.registry.app(app_id) is None:
            raise not_found(f"App {app_id} not found")

    def _over(self, app_id: str) -> bool:
        """Nothing more will come: the app has been stopped, and so have its containers."""
        app = self._backend.registry.app(app_id)
        stopped = app is None or app.state not in LIVE_STATES | {api_pb2.APP_STATE_INITIALIZING}
        return stopped and not any(member.app_id == app_id for member in self._backend.worker.members.values())

    def _app_of_task(self, task_id: str) -> str:
        member = self._backend.worker.members.get(task_id)
        if member is None:
            raise not_found(f"Container {task_id} is not running")
        return member.app_id


def _matches(entry: Entry, wanted: _Filter, source: int) -> bool:
    return (
        (not source or entry.source == source)
        and (not wanted.function_id or entry.function_id == wanted.function_id)
        and (not wanted.function_call_id or entry.call_id == wanted.function_call_id)
        and (not wanted.task_id or entry.task_id == wanted.task_id)
        and wanted.search_text in entry.text
    )


def _batch(entry: Entry) -> api_pb2.TaskLogsBatch:
    item = api_pb2.TaskLogs(
        data=entry.text,
        timestamp=entry.id / _NANOSECONDS,
        timestamp_ns=entry.id,
        file_descriptor=entry.source,  # type: ignore[arg-type]
        function_call_id=entry.call_id,
    )
    return api_pb2.TaskLogsBatch(
        task_id=entry.task_id, function_id=entry.function_id, entry_id=str(entry.id), items=[item]
    )


def _seconds(timestamp: Timestamp) -> float:
    return nanoseconds(timestamp) / _NANOSECONDS
