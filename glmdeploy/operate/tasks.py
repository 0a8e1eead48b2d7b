"""Containers of an app, and when each was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import modal
from modal_proto import api_pb2

from glmdeploy.operate.asking import within
from glmdeploy.operate.control_plane import rpc

if TYPE_CHECKING:
    from glmdeploy.operate.target import Target


@dataclass(frozen=True, kw_only=True)
class Task:
    """A container that runs, or waits for a machine: then ``started`` is 0. Seconds since 1970."""

    id: str
    enqueued: float
    started: float


def tasks_of(app_id: str, target: Target) -> tuple[Task, ...]:
    """The containers of an app, the oldest first.

    :raises DeployError:
    """

    async def look() -> tuple[Task, ...]:
        answer = await rpc("TaskList", api_pb2.TaskListRequest(app_id=app_id))
        found = (Task(id=one.task_id, enqueued=one.enqueued_at, started=one.started_at) for one in answer.tasks)
        return tuple(sorted(found, key=lambda task: task.enqueued))

    return within(target, f"list the containers of {app_id}", look)


def enqueued_at(target: Target, task: str) -> float | None:
    """When a container was asked for, whether or not it still runs; None for one that nobody knows.

    :raises DeployError:
    """

    async def look() -> float | None:
        try:
            answer = await rpc("TaskGetInfo", api_pb2.TaskGetInfoRequest(task_id=task))
        except modal.exception.NotFoundError:
            return None
        return float(answer.info.enqueued_at) or None

    return within(target, f"look up the container {task}", look)
