"""The way back to an earlier version, and fresh containers of the same: seen to serve as a new version is.

Where the workspace has no rollbacks, the earlier plan is deployed again, with the container side that it had.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.errors import DeployError
from glmdeploy.operate.apply import forget_failures
from glmdeploy.operate.deployed import Deployed, deployed
from glmdeploy.operate.drift import of_objects
from glmdeploy.operate.listing import not_deployed
from glmdeploy.operate.live import needed
from glmdeploy.operate.publish import roll_over
from glmdeploy.operate.rollout import note, roll, send_back, settled
from glmdeploy.operate.serving import serving
from glmdeploy.operate.steps import begin
from glmdeploy.operate.versions import outcomes, previous
from glmdeploy.plan.diff import Change, diff
from glmdeploy.plan.outage import Outage, outages
from glmdeploy.plan.price import Estimate, estimate

if TYPE_CHECKING:
    from collections.abc import Generator

    from glmdeploy.operate.events import Event
    from glmdeploy.operate.rollout import Guard
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan


@dataclass(frozen=True, kw_only=True)
class WayBack:
    """What ``rollback`` would do. ``to`` is the version to go back to; its plan is known."""

    app: str
    target: Target
    now: Deployed
    to: Deployed
    plan: Plan
    changes: tuple[Change, ...]
    outages: tuple[Outage, ...]
    estimate: Estimate
    proof: str | None = None
    """How its start ended when it was live, as far as the log tells."""
    stale: tuple[str, ...] = ()
    """Volumes and secrets that it was bound to, and that were deleted or made again since."""

    @property
    def afresh(self) -> bool:
        """Whether its plan is deployed again: Modal's own rollback is not allowed, or binds what is not there."""
        return not self.to.version.rollback_allowed or bool(self.stale)

    @property
    def acts(self) -> bool:
        """Whether another plan runs."""
        return self.now.digest != self.to.digest


def way_back(app: str, target: Target, number: int | None = None) -> WayBack:
    """The way back to a version: the newest before the one that runs which runs another plan, unless a number is given.

    :raises DeployError: where there is none, or it cannot be brought back.
    """
    now = deployed(app, target)
    if now is None:
        raise not_deployed(app, target)
    wanted = number if number is not None else previous(now, target)
    if wanted is None:
        raise DeployError(
            f"{app} has no earlier version to go back to: version {now.version.number} runs",
            advice=f"`glmdeploy history {app}` shows them all",
        )
    to = deployed(app, target, wanted)
    assert to is not None
    if to.plan is None:
        why = "glmdeploy did not deploy it" if to.foreign else f"its plan is not kept in {target}"
        raise DeployError(
            f"version {wanted} of {app} cannot be seen through: {why}",
            advice=f"bring it back unseen with `{target.command(f'app rollback {app} v{wanted}')}`, where the "
            "workspace has rollbacks",
        )
    need = needed(to.plan, target)
    if need.download or need.compile:
        lost = " and ".join(["weights"] * need.download + ["kernels"] * bool(need.compile))
        raise DeployError(
            f"version {wanted} of {app} wants {lost} that are not in their volume any more",
            advice="apply its profile: that brings them back first",
        )
    before = now.data or {}
    return WayBack(
        app=app,
        target=target,
        now=now,
        to=to,
        plan=to.plan,
        changes=diff(before, to.plan.data()) if before else (),
        outages=tuple(outages(before, to.plan.data())) if before else (),
        estimate=estimate(to.plan),
        proof=outcomes(app, now.history, (to.version,), target).get(wanted),
        stale=_stale(to.plan, target, wanted),
    )


def go_back(way: WayBack, guard: Guard) -> Generator[Event]:
    """Do it, step by step, guarded as a new version is; where it fails, what ran before comes back.

    :raises DeployError:
    """
    begin("look")
    begin("forget")
    forget_failures(way.plan, way.target)
    if not way.acts:
        yield from settled(way.plan.data(), way.target)
        return
    before = note(way.now, way.app, way.target)
    yield from roll(way.plan, way.target, before, lambda: send_back(way.to, way.target, afresh=way.afresh), guard)


def check_afresh(now: Deployed, target: Target) -> None:
    """See that fresh containers of the version that runs can come up, and be followed.

    :raises DeployError: for an app whose plan is not known, and for volumes or secrets that are not there any more.
    """
    if now.plan is None:
        raise DeployError(
            f"what runs as {now.app} cannot be followed: its plan is not known",
            advice=f"`{target.command(f'app rollover {now.app}')}` does it unseen",
        )
    if stale := _stale(now.plan, target):
        raise DeployError(
            f"{', '.join(stale)} was deleted, or made again: containers of version {now.version.number} would not "
            "find what they are bound to",
            advice="apply the profile: a deployment binds them anew",
        )


def _stale(plan: Plan, target: Target, version: int = 0) -> tuple[str, ...]:
    """The volumes and secrets that a version is bound to, and that were deleted or made again since."""
    bound, objects = serving(plan.data(), target, version)
    return tuple(each.name for each in of_objects(plan.data(), bound, objects)) if bound else ()


def start_afresh(now: Deployed, target: Target, guard: Guard) -> Generator[Event]:
    """Fresh containers of the version that runs; the old ones serve until one of them is ready.

    :raises DeployError: also for an app that glmdeploy did not deploy.
    """
    check_afresh(now, target)
    assert now.plan is not None
    begin("forget")
    forget_failures(now.plan, target)
    before = note(now, now.app, target)
    yield from roll(now.plan, target, before, lambda: roll_over(now.app_id, target), guard)
