"""Sends a plan as the new version of its app."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from glmdeploy.app import build
from glmdeploy.operate.asking import attended
from glmdeploy.operate.history import deployment_tag
from glmdeploy.operate.stages import output

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
    with tempfile.TemporaryDirectory() as folder, output():
        app = build.build(plan, Path(folder), runtime)

        async def deploy() -> None:
            await app.deploy.aio(environment_name=target.environment, strategy=strategy, tag=deployment_tag(plan, note))

        attended(target, f"deploy {plan.app}", deploy)
