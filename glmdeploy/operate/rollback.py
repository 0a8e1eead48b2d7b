"""``rollback`` and ``rollover``: an earlier version again, or fresh containers of the same one; guarded like a new one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.errors import DeployError
from glmdeploy.operate.archive import archived_runtime
from glmdeploy.operate.asking import within
from glmdeploy.operate.control_plane import rpc
from glmdeploy.operate.deployed import deployed
from glmdeploy.operate.events import Deploying
from glmdeploy.operate.history import BACK, earlier
from glmdeploy.operate.publish import publish
from glmdeploy.operate.rollout import roll_out, standing
from glmdeploy.plan.diff import Change, diff

if TYPE_CHECKING:
    from glmdeploy.operate.deployed import Deployed
    from glmdeploy.operate.events import Tell
    from glmdeploy.operate.rollout import How
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """What a rollback would do. ``to`` is the version that is brought back, ``now`` the one that runs."""

    now: Deployed
    to: Deployed
    plan: Plan
    """Of the version that is brought back."""
    target: Target
    changes: tuple[Change, ...]
    running: int
    """Containers of the app now."""

    @property
    def acts(self) -> bool:
        """Whether anything changes: the version may run the very plan that runs already."""
        return bool(self.changes) or self.now.digest != self.to.digest


def rollback(app: str, target: Target, number: int | None = None) -> Rollback:
    """What it takes to bring a version back; without a number, the last one that ran another plan. Changes nothing.

    :raises DeployError: where there is none, or its plan is not known.
    """
    now = deployed(app, target)
    if now is None:
        raise DeployError(f"{app} is not deployed", advice="an app that was stopped has no way back: apply its profile")
    if number is None:
        previous = earlier(now.history, now.version.number)
        if previous is None:
            raise DeployError(
                f"there is nothing to go back to: no earlier version of {app} that was not taken back ran another plan",
                advice=f"{target.glmdeploy(f'history {app}')} shows them all: name one",
            )
        number = previous.number
    to = deployed(app, target, number)
    assert to is not None
    if to.plan is None:
        by_hand = target.command(f"app rollback {app} v{number}")
        raise DeployError(
            f"the plan of version {to.version.number} of {app} is not kept: what it would run is not known",
            advice=f"Modal brings it back without a look at it: {by_hand}"
            if to.version.rollback_allowed
            else "apply its profile instead",
        )
    before = standing(now, target)
    return Rollback(
        now=now,
        to=to,
        plan=to.plan,
        target=target,
        changes=diff(now.data or {}, to.plan.data()),
        running=before.tasks if before else 0,
    )


def roll_back(what: Rollback, how: How, tell: Tell) -> None:
    """Bring the version back, guarded; living containers are left to finish.

    :raises DeployError: where it does not become healthy; the advice says what runs then.
    """
    number, target = what.to.version.number, what.target
    tell(Deploying(version=number))

    def bring() -> None:
        if what.to.version.rollback_allowed:
            request = api_pb2.AppRollbackRequest(app_id=what.now.app_id, version=number)
            within(target, f"roll back to version {number}", lambda: rpc("AppRollback", request))
        else:
            note = how.note or f"{BACK}{number}"
            publish(what.plan, target, strategy=how.strategy, note=note, runtime=archived_runtime(what.plan, target))

    roll_out(bring, what.plan, target, standing(what.now, target), how, tell)


def roll_over(app: str, target: Target, how: How, tell: Tell) -> Deployed:
    """Have fresh containers take over from those that run, of the same version: rotated secrets are read by them.

    Returns what runs. Nothing is taken back: it is the same version, and its containers serve until fresh ones do.

    :raises DeployError: where no fresh container becomes healthy.
    """
    now = deployed(app, target)
    if now is None:
        raise DeployError(f"{app} is not deployed")
    if now.plan is None:
        raise DeployError(
            f"the plan of {app} is not kept: what its containers should say is not known",
            advice=f"Modal does it without a look at them: {target.command(f'app rollover {app}')}",
        )
    tell(Deploying(afresh=True))
    request = api_pb2.AppRolloverRequest(app_id=now.app_id)
    roll_out(
        lambda: within(target, f"roll {app} over", lambda: rpc("AppRollover", request)),
        now.plan,
        target,
        standing(now, target),
        how,
        tell,
    )
    return now
