"""Containers of an app, and when each was asked for: what Modal's SDK knows itself and offers to nobody (1.6.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import modal
from modal._utils.async_utils import synchronizer
from modal.client import _Client
from modal_proto import api_pb2

from glmdeploy.operate.asking import within

if TYPE_CHECKING:
    from glmdeploy.operate.target import Target


@synchronizer.create_blocking
async def _task_list(app_id: str) -> Any:
    client = await _Client.from_env()
    return await client._stub.TaskList(api_pb2.TaskListRequest(app_id=app_id))


@synchronizer.create_blocking
async def _task_info(task_id: str) -> Any:
    client = await _Client.from_env()
    return await client._stub.TaskGetInfo(api_pb2.TaskGetInfoRequest(task_id=task_id))


def tasks_of(app: str, target: Target) -> dict[str, float]:
    """The containers that run or wait for a machine, with the time at which each was asked for (seconds since 1970).

    :raises DeployError:
    """

    async def look() -> dict[str, float]:
        found = await modal.App.lookup.aio(app, environment_name=target.environment)
        answer = await _task_list.aio(found.app_id)
        return {task.task_id: task.enqueued_at for task in answer.tasks}

    return within(target, f"list the containers of {app}", look)


def enqueued_at(target: Target, task: str) -> float | None:
    """When a container was asked for, whether or not it still runs; None for one that nobody knows.

    :raises DeployError:
    """

    async def look() -> float | None:
        try:
            answer = await _task_info.aio(task)
        except modal.exception.NotFoundError:
            return None
        return float(answer.info.enqueued_at) or None

    return within(target, f"look up the container {task}", look)
