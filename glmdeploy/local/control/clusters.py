"""Clusters, from both sides: what their containers ask to know each other, and which there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grpclib import GRPCError, Status
from modal_proto import api_pb2

from glmdeploy.local.containers.network import mapped
from glmdeploy.local.control.calls import calling
from glmdeploy.local.control.rpc import conflict, not_found

if TYPE_CHECKING:
    from glmdeploy.local.backend import Backend
    from glmdeploy.local.containers.gang import Gang
    from glmdeploy.local.control.rpc import Caller


class Clusters:
    def __init__(self, backend: Backend) -> None:
        self._worker = backend.worker
        self._registry = backend.registry

    async def task_cluster_hello(
        self, request: api_pb2.TaskClusterHelloRequest, caller: Caller
    ) -> api_pb2.TaskClusterHelloResponse:
        """Each container of a cluster says it once it has imported its code; all are answered when the last one has.

        The addresses are those that the containers were given, whatever they say. Which of them share an NVLink fabric
        is not known: ``fabric_ids`` are empty, as modal 1.6.4 has them where there is none (``experimental``,
        ``get_fabric_peers``).
        """
        member = calling(self._worker, caller)
        if request.task_id != member.task_id:
            raise GRPCError(Status.PERMISSION_DENIED, "a container may say hello for itself alone")
        gang = self._worker.gang_of(member)
        if gang is None:
            raise conflict("only a container of a clustered Server may call this")
        await gang.greeted(member.rank)
        return api_pb2.TaskClusterHelloResponse(
            cluster_id=gang.id,
            cluster_rank=member.rank,
            container_ips=[mapped(address) for address in gang.addresses],
            container_ipv4_ips=gang.addresses,
            fabric_ids=["" for _ in gang.members],
        )

    async def cluster_get(self, request: api_pb2.ClusterGetRequest, caller: Caller) -> api_pb2.ClusterGetResponse:
        """Of a cluster that has a container yet."""
        gang = self._worker.gangs.get(request.cluster_id)
        if gang is None:
            raise not_found(f"Cluster {request.cluster_id} not found")
        return api_pb2.ClusterGetResponse(cluster=_stats(gang))

    async def cluster_list(self, request: api_pb2.ClusterListRequest, caller: Caller) -> api_pb2.ClusterListResponse:
        apps = {app.id: app.environment for app in self._registry.live_apps()}
        return api_pb2.ClusterListResponse(
            clusters=[
                _stats(gang)
                for gang in self._worker.gangs.values()
                if not request.environment_name or apps.get(gang.app_id) == request.environment_name
            ]
        )


def _stats(gang: Gang) -> api_pb2.ClusterStats:
    """``task_ids`` by rank (modal 1.6.4, ``_cluster.py``)."""
    return api_pb2.ClusterStats(
        app_id=gang.app_id,
        task_ids=[member.task_id for member in gang.members],
        cluster_id=gang.id,
        started_at=gang.started_at,
    )
