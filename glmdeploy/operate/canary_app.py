"""``--canary``: a second app of the same plan, which has to serve before the first is touched, and is stopped again.

It has the same volumes and secrets, so that no stage runs again; labels and domains belong to the first app, and its
keep-alive is the first one's.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import modal

from glmdeploy.errors import DeployError
from glmdeploy.operate.archive import archive
from glmdeploy.operate.asking import within
from glmdeploy.operate.deployed import deployed
from glmdeploy.operate.events import CanaryStarted, CanaryStopped
from glmdeploy.operate.publish import publish
from glmdeploy.operate.rollout import ROLLING, roll_out

if TYPE_CHECKING:
    from glmdeploy.operate.events import Tell
    from glmdeploy.operate.rollout import How
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

SUFFIX = "-canary"
DROPPED = ("label", "custom_domains")
"""Options of a server that only one app can have."""
STOP_SECONDS = 60.0


def canary_of(plan: Plan) -> Plan:
    """The plan of the second app."""
    options = {name: option for name, option in plan.server.options.items() if name not in DROPPED}
    return replace(plan, app=plan.app + SUFFIX, keepalive=None, server=replace(plan.server, options=options))


def try_out(plan: Plan, target: Target, how: How, tell: Tell) -> None:
    """Have a second app serve, and stop it again, however that ends.

    :raises DeployError: where it does not become healthy: nothing else was touched.
    """
    second = canary_of(plan)
    tell(CanaryStarted(app=second.app))
    try:
        archive(second, target)
        roll_out(
            lambda: publish(second, target, strategy=ROLLING, note="canary"),
            second,
            target,
            None,
            replace(how, wait=True, take_back=True),
            tell,
        )
    except DeployError as fault:
        raise DeployError(f"the canary failed, {plan.app} was not touched: {fault.message}") from None
    finally:
        _stop(second.app, target)
        tell(CanaryStopped(app=second.app))


def remove_leftover(plan: Plan, target: Target, tell: Tell) -> None:
    """Stop a canary of the plan's app that a command which was killed has left behind.

    :raises DeployError:
    """
    name = plan.app + SUFFIX
    found = deployed(name, target, ask=False)
    if found is not None and found.data is not None and found.version.note == "canary":
        _stop(name, target)
        tell(CanaryStopped(app=name))


def _stop(app: str, target: Target) -> None:
    async def stop() -> None:
        with contextlib.suppress(modal.exception.NotFoundError):
            found = await modal.App.lookup.aio(app, environment_name=target.environment)
            await found.stop.aio()

    within(target, f"stop {app}", stop, seconds=STOP_SECONDS)
