"""Containers as clients see them: which there are, what one is, and how to stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.local.control.apps import app_of
from glmdeploy.local.control.rpc import not_found

if TYPE_CHECKING:
    from glmdeploy.local.backend import Backend
    from glmdeploy.local.control.rpc import Caller


class Containers:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._worker = backend.worker
        self._registry = backend.registry

    async def task_list(self, request: api_pb2.TaskListRequest, caller: Caller) -> api_pb2.TaskListResponse:
        apps = [app_of(self._registry, request.app_id)] if request.app_id else self._registry.live_apps()
        if request.environment_name and not request.app_id:
            apps = [app for app in apps if app.environment == request.environment_name]
        return api_pb2.TaskListResponse(
            tasks=[
                api_pb2.TaskStats(
                    task_id=member.task_id,
                    app_id=app.id,
                    app_description=app.name,
                    started_at=member.started_at,
                    enqueued_at=member.enqueued_at,
                )
                for app in apps
                for member in self._worker.of_app(app)
            ]
        )

    async def task_get_info(self, request: api_pb2.TaskGetInfoRequest, caller: Caller) -> api_pb2.TaskGetInfoResponse:
        """Of a container that waits for its GPUs, runs, or has ended."""
        run = self._backend.ledger.find(request.task_id)
        if run is None:
            raise not_found(f"Container {request.task_id} not found")
        alive = run.id in self._worker.members
        info = api_pb2.TaskInfo(
            id=run.id,
            enqueued_at=run.enqueued_at,
            started_at=run.started_at,
            finished_at=0.0 if alive else run.ended_at,
            gpu_type=run.gpu,
        )
        if run.gpus:
            info.gpu_config.CopyFrom(api_pb2.GPUConfig(gpu_type=run.gpu, count=run.gpus))
        if run.result:
            info.result.ParseFromString(run.result)
        return api_pb2.TaskGetInfoResponse(app_id=run.app_id, info=info)

    async def container_stop(
        self, request: api_pb2.ContainerStopRequest, caller: Caller
    ) -> api_pb2.ContainerStopResponse:
        member = self._worker.members.get(request.task_id)
        if member is None:
            raise not_found(f"Container {request.task_id} is not running")
        for other in member.peers:
            other.say(f"container {member.task_id}, rank {member.rank} of the cluster, was stopped: all of it ends")
        leader = member.leader
        leader.rescheduling = True
        if request.graceful or self._worker.server_pool(member) is not None:
            self._worker.pool_of(member).let_go(leader)
        else:
            member.stop()
        self._worker.pool_of(member).balance()
        return api_pb2.ContainerStopResponse()
