"""Stops an app for good, and removes what was made for it alone, where that is asked for. Can be run again at any time.

The app goes first, then its volumes: what is left when this process is killed between two steps, the next call finds
by the app that was stopped.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import modal

from glmdeploy.errors import DeployError
from glmdeploy.operate import volumes
from glmdeploy.operate.archive import VOLUME, archived
from glmdeploy.operate.asking import within
from glmdeploy.operate.history import find_app, history, stopped_app
from glmdeploy.operate.status import status_of
from glmdeploy.operate.tasks import tasks_of
from glmdeploy.runtime.public import ask_public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from glmdeploy.operate.history import Gone
    from glmdeploy.operate.status import Status
    from glmdeploy.operate.target import Target
    from glmdeploy.operate.volumes import Held
    from glmdeploy.plan.plan import Plan

END_SECONDS = 120.0
"""What the containers and the endpoint get to be gone."""
LOOK_SECONDS = 0.5
ASK_SECONDS = 10.0
_ABSENT = (None, 404, 410)
"""What an address says that leads nowhere any more: no answer, or Modal's "no such function"."""


@dataclass(frozen=True, kw_only=True)
class Destruction:
    """What would be done. ``status`` is that of the app; ``gone`` the one that was stopped, where none is deployed.

    ``volumes`` are those of its plan that are there, ``secrets`` the names of its secrets; both empty where its plan is
    not known. ``remove`` says whether volumes are removed that nobody else uses.
    """

    app: str
    target: Target
    status: Status
    gone: Gone | None
    known: bool
    volumes: tuple[Held, ...]
    secrets: tuple[str, ...]
    remove: bool

    @property
    def removed(self) -> tuple[Held, ...]:
        """The volumes that go."""
        return tuple(each for each in self.volumes if each.removable) if self.remove else ()

    @property
    def kept(self) -> tuple[Held, ...]:
        """The volumes that stay."""
        return tuple(each for each in self.volumes if each not in self.removed)

    @property
    def acts(self) -> bool:
        """Whether there is anything to do."""
        return self.status.deployed is not None or bool(self.removed)


@dataclass(frozen=True, kw_only=True)
class AppStopped:
    """Modal has taken it: nothing new starts."""


@dataclass(frozen=True, kw_only=True)
class AppGone:
    """No container runs and nobody answers, ``seconds`` after it was stopped."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class VolumeRemoved:
    volume: Held


Step: TypeAlias = AppStopped | AppGone | VolumeRemoved


def destruction(app: str, target: Target, *, remove: bool, api_key_env: str | None = None) -> Destruction:
    """What would be done. Changes nothing.

    :raises DeployError:
    """
    found = status_of(app, target, api_key_env=api_key_env)
    gone = None
    plan = found.deployed.plan if found.deployed else None
    if found.deployed is None:
        gone = stopped_app(app, target)
        plan = _plan_of(gone, target) if gone and remove else None
    return Destruction(
        app=app,
        target=target,
        status=found,
        gone=gone,
        known=plan is not None,
        volumes=volumes.held(_volumes(plan), target, beside=app) if plan else (),
        secrets=_secrets(plan) if plan else (),
        remove=remove,
    )


def tear_down(what: Destruction) -> Iterator[Step]:
    """Do it, step by step.

    :raises DeployError: also where something still runs or answers after :data:`END_SECONDS`.
    """
    target, deployed = what.target, what.status.deployed
    if deployed is not None:
        app_id = deployed.app_id
        began = time.monotonic()
        _stop(what.app, app_id, target)
        yield AppStopped()
        _see_it_gone(what, app_id)
        yield AppGone(seconds=time.monotonic() - began)
    elif what.gone and what.removed:
        _wait(what.app, "its containers", lambda: not tasks_of(what.gone.app_id, target) if what.gone else True)
    for each in what.removed:
        volumes.remove(each.name, target)
        yield VolumeRemoved(volume=each)


def _stop(app: str, app_id: str, target: Target) -> None:
    async def stop() -> None:
        handle = await modal.App.lookup.aio(app_id, environment_name=target.environment)
        await handle.stop.aio()

    within(target, f"stop {app}", stop)


def _see_it_gone(what: Destruction, app_id: str) -> None:
    """:raises DeployError: where something is left."""
    target, url = what.target, what.status.url
    _wait(what.app, "the app itself", lambda: find_app(what.app, target) != app_id)
    _wait(what.app, "its containers", lambda: not tasks_of(app_id, target))
    if url is not None and find_app(what.app, target) is None:
        _wait(what.app, f"its endpoint {url}", lambda: ask_public(f"{url}/health", ASK_SECONDS).status in _ABSENT)


def _wait(app: str, left: str, gone: Callable[[], bool]) -> None:
    deadline = time.monotonic() + END_SECONDS
    while not gone():
        if time.monotonic() > deadline:
            raise DeployError(
                f"{app} was stopped, and {left} is still there after {END_SECONDS:.0f} s", advice="run destroy again"
            )
        time.sleep(LOOK_SECONDS)


def _plan_of(gone: Gone, target: Target) -> Plan | None:
    """The plan of an app that was stopped; None where it cannot be known any more."""
    try:
        past = history(gone.app_id, target)
        origin = past.origin(past.production)
        return archived(origin.digits, target) if origin and origin.digits else None
    except DeployError:
        return None


def _volumes(plan: Plan) -> list[str]:
    """Of the app alone: what glmdeploy keeps of all apps of the Environment is not among them."""
    return [volume.name for volume in plan.serving_volumes if volume.name != VOLUME]


def _secrets(plan: Plan) -> tuple[str, ...]:
    return tuple(dict.fromkeys(secret.name for secret in plan.every_secret))
