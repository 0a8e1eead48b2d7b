"""The deployed apps of an Environment, and which of them glmdeploy deployed. One question for all, one for each."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

import modal
from modal_proto import api_pb2

from glmdeploy.errors import DeployError
from glmdeploy.operate.asking import within
from glmdeploy.operate.control_plane import rpc
from glmdeploy.operate.history import history

if TYPE_CHECKING:
    from glmdeploy.operate.history import History, Version
    from glmdeploy.operate.target import Target

AT_ONCE = 8
"""Histories that are read at the same time."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A deployed app. ``containers`` run or wait for a machine."""

    app: str
    history: History
    containers: int

    @property
    def version(self) -> Version | None:
        """The one in production; None where nothing was deployed into the app."""
        return self.history.version(self.history.production)

    @property
    def origin(self) -> Version | None:
        """The version whose plan it runs."""
        return self.history.origin(self.history.production)

    @property
    def foreign(self) -> bool:
        """Whether glmdeploy did not deploy it, as far as the history tells."""
        return self.origin is None


def listing(target: Target) -> tuple[Listed, ...]:
    """All deployed apps of the target's Environment, by name.

    :raises DeployError:
    """
    found = sorted(names(target).items())

    def read(item: tuple[str, tuple[str, int]]) -> Listed:
        app, (app_id, containers) = item
        return Listed(app=app, history=history(app_id, target), containers=containers)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return tuple(pool.map(read, found))


def names(target: Target) -> dict[str, tuple[str, int]]:
    """Ids and numbers of containers of the deployed apps, by their names.

    :raises DeployError:
    """

    async def look() -> dict[str, tuple[str, int]]:
        answer = await rpc("AppList", api_pb2.AppListRequest(environment_name=target.environment or ""))
        return {
            each.description: (each.app_id, each.n_running_tasks)
            for each in answer.apps
            if each.state == api_pb2.APP_STATE_DEPLOYED
        }

    return within(target, "list the apps", look)


def environments(target: Target) -> tuple[str, ...]:
    """The names of the workspace's Environments.

    :raises DeployError:
    """

    async def look() -> tuple[str, ...]:
        return tuple(each.name for each in await modal.Environment.objects.list.aio() if each.name)

    return within(target, "list the Environments", look)


def not_deployed(app: str, target: Target) -> DeployError:
    """That no app of this name is deployed, with the name that may be meant."""
    near: list[str] = []
    with contextlib.suppress(DeployError):
        near = get_close_matches(app, names(target), n=1, cutoff=0.6)
    meant = f"did you mean `{near[0]}`? " if near else ""
    listed = target.glmdeploy("list")
    return DeployError(f"{app} is not deployed in {target}", advice=f"{meant}{listed} shows what is")
