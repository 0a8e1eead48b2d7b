"""What really runs under an app's name: Modal's production version, and the plan that it was deployed from.

The tags of an app are a hint that anybody can set and that no rollback need bring back: they decide nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import modal

from glmdeploy.errors import DeployError
from glmdeploy.operate.archive import archived
from glmdeploy.operate.asking import within
from glmdeploy.operate.history import History, Version, find_app, history
from glmdeploy.plan.plan import digest

if TYPE_CHECKING:
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

DESCRIBE_SECONDS = 180.0
"""What ``describe`` gets for its answer, with the start of a small container."""


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A version of an app, and what it runs.

    ``origin`` is the version whose plan it runs, None where the history tells none. ``data`` is that plan's data, None
    for an app that glmdeploy did not deploy. ``plan`` can be deployed again; None where the data alone is known.
    """

    app: str
    history: History
    version: Version
    origin: Version | None
    data: dict[str, Any] | None
    plan: Plan | None

    @property
    def app_id(self) -> str:
        return self.history.app_id

    @property
    def digest(self) -> str | None:
        """Of its plan, whole."""
        return None if self.data is None else digest(self.data)

    @property
    def foreign(self) -> bool:
        """Whether glmdeploy did not deploy it."""
        return self.data is None


def deployed(app: str, target: Target, number: int | None = None, *, ask: bool = True) -> Deployed | None:
    """The production version of an app, or another one by its number; None where no app of this name is deployed.

    With ``ask``, where the archive does not have the plan, a small CPU container of the app is asked (``describe``).

    :raises DeployError: also for a version that the app does not have.
    """
    app_id = find_app(app, target)
    if app_id is None:
        return None
    past = history(app_id, target)
    version = past.version(past.production if number is None else number)
    if version is None and number is None:
        return None  # created, and never deployed
    if version is None:
        raise DeployError(
            f"{app} has no version {number}", advice=f"it has {', '.join(str(each.number) for each in past.versions)}"
        )
    origin = past.origin(version.number)
    plan = archived(origin.digits, target) if origin and origin.digits else None
    data = plan.data() if plan else _describe(app, version.number, target) if ask else None
    return Deployed(app=app, history=past, version=version, origin=origin, data=data, plan=plan)


def _describe(app: str, number: int, target: Target) -> dict[str, Any] | None:
    async def call() -> Any:
        function = modal.Function.from_name(app, "describe", environment_name=target.environment, version=number)
        try:
            return await function.remote.aio()
        except modal.exception.NotFoundError:
            return None

    what = f"read what runs as {app} (its function `describe`)"
    data = within(target, what, call, seconds=DESCRIBE_SECONDS)
    return data if is_plan(data, app) else None


def is_plan(data: Any, app: str) -> bool:
    """Whether a function of this name answered as glmdeploy's does: anybody may call one ``describe``."""
    if not isinstance(data, dict) or data.get("app") != app:
        return False
    return all(isinstance(data.get(name), dict) for name in ("model", "weights", "server"))
