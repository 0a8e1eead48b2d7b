"""Sends the new version of an app: a plan, an earlier version again, or fresh containers of the one that is live."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.app import build
from glmdeploy.operate.asking import attended, within
from glmdeploy.operate.control_plane import rpc
from glmdeploy.operate.history import deployment_tag, find_app, history
from glmdeploy.operate.transcript import overheard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan


def publish(
    plan: Plan, target: Target, *, strategy: str, note: str = "", runtime: Mapping[str, bytes] | None = None
) -> None:
    """Make the plan the production version of its app: live with the last of its requests, or not at all.

    ``note`` is the user's part of the tag. ``runtime`` is the container side of a plan that another release made.

    :raises DeployError:
    """
    with tempfile.TemporaryDirectory() as folder, overheard():
        app = build.build(plan, Path(folder), runtime)

        async def deploy() -> None:
            await app.deploy.aio(environment_name=target.environment, strategy=strategy, tag=deployment_tag(plan, note))

        attended(target, f"deploy {plan.app}", deploy)


def roll_back(app_id: str, number: int, target: Target) -> None:
    """Make an earlier version the production version, where the workspace's plan allows it (``rollback_allowed``).

    :raises DeployError:
    """

    async def call() -> None:
        await rpc("AppRollback", api_pb2.AppRollbackRequest(app_id=app_id, version=number))

    within(target, f"bring version {number} back", call)


def roll_over(app_id: str, target: Target) -> None:
    """Replace the containers of the production version by fresh ones.

    :raises DeployError:
    """

    async def call() -> None:
        await rpc("AppRollover", api_pb2.AppRolloverRequest(app_id=app_id))

    within(target, "start fresh containers", call)


def production(app: str, target: Target) -> int | None:
    """The number of the version that takes requests; None where no app of this name is deployed.

    :raises DeployError:
    """
    app_id = find_app(app, target)
    return (history(app_id, target).production or None) if app_id else None
