"""The apps that are deployed in an Environment, whoever deployed them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.operate.asking import within
from glmdeploy.operate.control_plane import rpc

if TYPE_CHECKING:
    from glmdeploy.operate.target import Target


def deployed_apps(target: Target, *, seconds: float | None = None) -> dict[str, str]:
    """The ids of the deployed apps by name, in the order of their names; the wait for them is ``seconds`` at most.

    :raises DeployError:
    """

    async def look() -> dict[str, str]:
        environment = target.environment or ""
        answer = await rpc("AppList", api_pb2.AppListRequest(environment_name=environment))
        found = {app.name or app.description: app.app_id for app in answer.apps if app.state == _DEPLOYED}
        return dict(sorted(found.items()))

    return within(target, "list the deployed apps", look, seconds=seconds)


_DEPLOYED = api_pb2.APP_STATE_DEPLOYED
