"""The control plane: the handlers of all topics put together, behind the token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grpclib import GRPCError, Status

from glmdeploy.local.control.app_logs import AppLogs
from glmdeploy.local.control.apps import Apps
from glmdeploy.local.control.billing import Billing
from glmdeploy.local.control.calls import FunctionCalls, Tasks
from glmdeploy.local.control.clusters import Clusters
from glmdeploy.local.control.containers import Containers
from glmdeploy.local.control.deployments import Deployments
from glmdeploy.local.control.functions import Functions
from glmdeploy.local.control.images import Images, Mounts
from glmdeploy.local.control.metrics import Metrics
from glmdeploy.local.control.rpc import Caller, assemble
from glmdeploy.local.control.stats import Stats
from glmdeploy.local.control.volumes import Volumes
from glmdeploy.local.control.workspace import Secrets, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.message import Message
    from modal_proto.api_grpc import ModalClientBase

    from glmdeploy.local.backend import Backend
    from glmdeploy.local.control.rpc import Fault
    from glmdeploy.local.home import Credentials

HANDLERS = (
    Apps,
    AppLogs,
    Billing,
    Clusters,
    Containers,
    Deployments,
    FunctionCalls,
    Functions,
    Images,
    Metrics,
    Mounts,
    Secrets,
    Stats,
    Tasks,
    Volumes,
    Workspace,
)


def control_plane(
    backend: Backend,
    credentials: Credentials,
    *,
    observer: Callable[[str, Message], None] | None,
    fault: Fault | None,
) -> ModalClientBase:
    """The service. ``observer`` sees every request that was let in; ``fault`` may hinder its answer."""

    def authenticate(headers: Mapping[str, str]) -> Caller:
        version = headers.get("x-modal-client-version", "")
        task_id = headers.get("x-glmdeploy-task", "")
        if task_id:
            member = backend.worker.members.get(task_id)
            if member is not None and member.accepts_secret(headers.get("x-glmdeploy-task-secret", "")):
                return Caller(task_id=task_id, client_version=version)
        elif credentials.match(headers.get("x-modal-token-id", ""), headers.get("x-modal-token-secret", "")):
            return Caller(task_id="", client_version=version)
        raise GRPCError(
            Status.UNAUTHENTICATED,
            "the embedded cloud does not know this token; `glmdeploy local env` prints the right one",
        )

    return assemble(
        [handler(backend) for handler in HANDLERS],
        authenticate=authenticate,
        home=backend.home.root,
        observer=observer,
        fault=fault,
    )
