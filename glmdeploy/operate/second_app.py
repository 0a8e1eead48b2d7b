"""A canary: the same plan under another name, deployed and verified before production is touched, and stopped again.

It takes the GPUs twice and a cold start more. It has no address of its own choice and no keep-alive: those are
production's. Whatever happens it is stopped; one that a killed process has left, the next ``apply`` stops.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

import modal

from glmdeploy.errors import DeployError, GlmdeployError
from glmdeploy.operate.asking import within
from glmdeploy.operate.events import CanaryPassed, CanaryStarted, Left, Located, Published
from glmdeploy.operate.history import find_app, history
from glmdeploy.operate.publish import publish
from glmdeploy.operate.rollout import Before, Guard, roll
from glmdeploy.operate.steps import begin

if TYPE_CHECKING:
    from collections.abc import Generator

    from glmdeploy.operate.events import Event
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

NOTE = "glmdeploy-canary"
"""What its deployment's tag begins with: by this one of ours is known."""
_OWN = ("label", "custom_domains")
"""Options of production alone."""


def canary_of(plan: Plan) -> Plan:
    """The plan of the second app."""
    options = {name: option for name, option in plan.server.options.items() if name not in _OWN}
    server = dataclasses.replace(plan.server, options=options)
    return dataclasses.replace(plan, app=_name(plan), server=server, keepalive=None)


def tried(plan: Plan, target: Target, guard: Guard) -> Generator[Event]:
    """Deploy the second app, see it serve, and stop it.

    :raises DeployError: where it does not serve: production is untouched.
    """
    second = canary_of(plan)
    if find_app(second.app, target) is not None:
        raise DeployError(f"an app {second.app} runs already, and is no canary of glmdeploy's", advice="rename it")
    begin("canary")
    yield CanaryStarted(app=second.app)
    try:
        once = Guard(seconds=guard.seconds, take_back=False)
        for event in roll(
            second, target, Before(now=None), lambda: publish(second, target, strategy="rolling", note=NOTE), once
        ):
            if not isinstance(event, Left | Located | Published):
                yield event
        begin("canary passed")
    except GlmdeployError as error:
        error.advice = "\n".join(filter(None, [error.advice, "it was the canary: production is untouched"]))
        raise
    finally:
        try:
            _stop(second.app, target)
        except KeyboardInterrupt:
            _stop(second.app, target)
            raise
    yield CanaryPassed(app=second.app)


def remove_leftover(plan: Plan, target: Target) -> None:
    """Stop a canary of the app that was left by a process that was killed.

    :raises DeployError:
    """
    app_id = find_app(_name(plan), target)
    if app_id is None:
        return
    past = history(app_id, target)
    if not past.versions or past.versions[0].note == NOTE:
        _stop(_name(plan), target)


def _name(plan: Plan) -> str:
    return f"{plan.app[:57]}-canary"


def _stop(app: str, target: Target) -> None:
    async def stop() -> None:
        with contextlib.suppress(modal.exception.NotFoundError):
            handle = await modal.App.lookup.aio(app, environment_name=target.environment)
            await handle.stop.aio()

    within(target, f"stop the canary {app}", stop)
