"""Guarded rolling: a new version proves itself while the old one serves, or what was before is brought back.

Nothing here ends a healthy container: Modal's `rolling` lets the old ones serve until a new one is ready, and finish
what they have (docs/embedded-cloud.md). The new version is known by the line of a container that is younger than the
deployment (:mod:`glmdeploy.operate.proof`), never by the public ``/health``, which an old container answers.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from modal_proto import api_pb2

from glmdeploy.errors import DeployError
from glmdeploy.operate import autoscaler
from glmdeploy.operate.archive import archived_runtime
from glmdeploy.operate.asking import attended, plainly, within
from glmdeploy.operate.control_plane import rpc
from glmdeploy.operate.endpoint import check_key, check_proxy
from glmdeploy.operate.events import (
    AutoscalerChanged,
    Kept,
    KeyRequired,
    Located,
    NotAsked,
    Published,
    TakenBack,
    TakingBack,
    Unchanged,
    Verified,
    Waiting,
)
from glmdeploy.operate.history import BACK, find_app, history
from glmdeploy.operate.live import endpoint
from glmdeploy.operate.proof import Asker, Healthy, follow
from glmdeploy.operate.proxy import way_in
from glmdeploy.operate.publish import publish
from glmdeploy.operate.tasks import tasks_of
from glmdeploy.operate.verify import verify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.operate.autoscaler import Settings
    from glmdeploy.operate.deployed import Deployed
    from glmdeploy.operate.endpoint import Ask
    from glmdeploy.operate.events import Tell
    from glmdeploy.operate.history import Version
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

ROLLING, RECREATE = "rolling", "recreate"
WAIT_MARGIN = 120
"""Seconds beyond the start-up limit until a missing verdict counts as a failure: scheduling, image, network."""
KEY_SECONDS = 120
"""What a healthy endpoint gets to refuse a request without a key: its container may just be replaced."""
SETTLE_SECONDS = 60
"""For so long the end of old containers is waited for, before the autoscaler is set as the plan says."""
LOOK_SECONDS = 1.0

Change: TypeAlias = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class How:
    """How a new version is brought out. ``timeout`` in seconds; None for the start-up limit and two minutes."""

    strategy: str = ROLLING
    note: str = ""
    """The user's part of the deployment's tag."""
    wait: bool = True
    """Whether it is followed at all; without, nothing is guarded."""
    take_back: bool = True
    """Whether what was before is brought back where it fails."""
    timeout: float | None = None
    canary: bool = False
    """Whether a second app of the same plan has to pass first."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What ran before, and what it takes to bring it back.

    ``plan`` is None where it is not kept; ``in_force`` is its autoscaler, None where its plan is not known; ``tasks``
    is the number of containers that were there.
    """

    number: int
    app_id: str
    rollback_allowed: bool
    plan: Plan | None
    data: Mapping[str, Any] | None
    in_force: Settings | None
    tasks: int


def standing(now: Deployed | None, target: Target) -> Standing | None:
    """What is to be protected, and could be brought back; None where nothing is deployed.

    :raises DeployError:
    """
    if now is None:
        return None
    in_force = None
    if now.data:
        with contextlib.suppress(DeployError):  # other code that kept `describe` alone has no server
            in_force = autoscaler.settings(now.data, target)
    return Standing(
        number=now.version.number,
        app_id=now.app_id,
        rollback_allowed=now.version.rollback_allowed,
        plan=now.plan,
        data=now.data,
        in_force=in_force,
        tasks=len(tasks_of(now.app_id, target)),
    )


def roll_out(change: Change, plan: Plan, target: Target, before: Standing | None, how: How, tell: Tell) -> None:
    """Make a change that makes the plan the production version, and see that it serves; else bring back what was.

    :raises DeployError: where it does not become healthy; the advice says what runs then.
    """
    change()
    app_id, version = _production(plan.app, target)
    if before and version.number == before.number:
        tell(Unchanged(number=version.number))
        return
    tell(Published(number=version.number))
    guard = _Guard(plan=plan, target=target, before=before, how=how, tell=tell, app_id=app_id, version=version)
    guard.run()


def prove(plan: Plan, target: Target, now: Deployed, before: Standing | None, how: How, tell: Tell) -> None:
    """See that a version serves that is published already and has not said so, as :func:`roll_out`.

    :raises DeployError:
    """
    _Guard(plan=plan, target=target, before=before, how=how, tell=tell, app_id=now.app_id, version=now.version).run()


def changed_live(plan: Plan, target: Target, values: Mapping[str, Any], tell: Tell) -> None:
    """Change the autoscaler while containers run.

    :raises DeployError: also where the values are not in force afterwards.
    """
    data = plan.data()
    autoscaler.update(data, target, values)
    effective = autoscaler.settings(data, target).effective
    wrong = {name: effective.get(name) for name, value in values.items() if effective.get(name) != value}
    if wrong:
        raise DeployError(f"the autoscaler of {plan.app} was changed, and still has {_listed(wrong)}")
    tell(AutoscalerChanged(values=dict(values)))


def bring_back(before: Standing, target: Target) -> None:
    """Make a version the production one again, without ending a container; then its autoscaler as it was in force.

    :raises DeployError:
    """
    if before.rollback_allowed:
        request = api_pb2.AppRollbackRequest(app_id=before.app_id, version=before.number)
        within(target, f"roll back to version {before.number}", lambda: rpc("AppRollback", request))
    elif before.plan is not None:
        runtime = archived_runtime(before.plan, target)
        publish(before.plan, target, strategy=ROLLING, note=f"{BACK}{before.number}", runtime=runtime)
    else:
        raise DeployError(
            f"version {before.number} cannot be brought back: this workspace's plan allows no rollback, and the plan "
            "of that version is not kept"
        )
    if before.data is None or before.in_force is None:
        return
    effective = autoscaler.settings(before.data, target).effective
    restored = {name: value for name, value in before.in_force.effective.items() if effective.get(name) != value}
    if restored:
        autoscaler.update(before.data, target, restored)


@dataclass
class _Guard:
    """One version, from its publication until it serves, or is taken back."""

    plan: Plan
    target: Target
    before: Standing | None
    how: How
    tell: Tell
    app_id: str
    version: Version
    asker: Asker | None = None
    ready: bool = False
    roomy: bool = False
    """Whether the autoscaler was changed to let the new version start."""

    def run(self) -> None:
        """:raises DeployError:"""
        try:
            url = endpoint(self.plan, self.target)
            self.tell(Located(url=url))
            if not self.how.wait:
                return
            self._prove(url)
        except (DeployError, KeyboardInterrupt) as fault:
            self._failed(fault)
            raise
        finally:
            if self.asker:
                self.asker.leave()
        self._settle()

    def _prove(self, url: str) -> None:
        """:raises DeployError:"""
        plan, target = self.plan, self.target
        ask = way_in(plan, target, url)
        self._give_room()
        self.tell(Waiting(protected=self.before.number if self.before and self.before.tasks else None))
        limit = self.how.timeout or plan.server.seconds("startup_timeout") + WAIT_MARGIN
        self.asker = Asker(url, target, limit, ask) if ask else None
        for event in follow(plan, target, self.version.at, limit, self.asker):
            self.ready = isinstance(event, Healthy)
            self.tell(event)
        if ask is None:
            self.tell(NotAsked())
            return
        self.tell(_refusals(plan, target, url, ask))
        self._verify(url)

    def _verify(self, url: str) -> None:
        """:raises DeployError:"""
        found = verify(self.plan, self.target, url=url, quick=True)
        if found.failed:
            first, *more = (f"{check.name}: {check.words}" for check in found.failed)
            raise DeployError(
                f"version {self.version.number} of {self.plan.app} does not pass what it is asked: {first}",
                advice="\n".join(f"  and {text}" for text in more) or None,
            )
        self.tell(Verified(checks=tuple(check.name for check in found.checks if check.state == "ok")))

    def _give_room(self) -> None:
        """Have a container of the new version start, beside those that run. :raises DeployError:"""
        data = self.plan.data()
        settings = autoscaler.settings(data, self.target)
        wanted = autoscaler.wanted(data, settings)
        running = len(tasks_of(self.app_id, self.target))
        room: dict[str, Any] = {"min_containers": max(wanted.get("min_containers") or 0, 1)}
        if most := wanted.get("max_containers"):
            room["max_containers"] = max(most, running + 1)
        room = {name: value for name, value in room.items() if settings.effective.get(name) != value}
        if room:
            self.roomy = True
            autoscaler.update(data, self.target, room)

    def _settle(self) -> None:
        """The autoscaler as the plan says, once the old containers have finished, or after a while.

        :raises DeployError:
        """
        if not self.roomy:
            return
        deadline = time.monotonic() + SETTLE_SECONDS
        published = self.version.at.timestamp()
        while any(task.enqueued < published for task in tasks_of(self.app_id, self.target)):
            if time.monotonic() > deadline:
                break
            time.sleep(LOOK_SECONDS)
        self._set_back()

    def _set_back(self) -> None:
        data = self.plan.data()
        settings = autoscaler.settings(data, self.target)
        wanted = autoscaler.wanted(data, settings)
        values = {name: value for name, value in wanted.items() if settings.effective.get(name) != value}
        if values:
            autoscaler.update(data, self.target, values)

    def _failed(self, fault: DeployError | KeyboardInterrupt) -> None:
        """Leave the better of the two versions, and say which.

        :raises DeployError: in place of ``fault``, where that is one: with what runs now in its advice.
        """
        interrupted = isinstance(fault, KeyboardInterrupt)
        if interrupted and self.ready:
            self._keep("it has proved itself")
            return
        if not self.how.take_back:
            self._keep("nothing is taken back with --no-rollback")
            return
        try:
            text = self._take_back()
        except DeployError as second:
            back = f"; {self.target.glmdeploy(f'rollback {self.plan.app} {self.before.number}')}" if self.before else ""
            text = f"taking it back failed: {second.message}; version {self.version.number} is still published{back}"
        except KeyboardInterrupt:
            self._keep("taking it back was interrupted")
            raise
        if isinstance(fault, DeployError):
            fault.advice = "\n".join(filter(None, [fault.advice, text]))

    def _keep(self, why: str) -> None:
        with contextlib.suppress(DeployError):  # the next apply finds it as drift
            if self.roomy:
                self._set_back()
        self.tell(Kept(number=self.version.number, why=why))

    def _take_back(self) -> str:
        """What was before is back; returns what runs now, in words. :raises DeployError:"""
        before, version = self.before, self.version.number
        self.tell(TakingBack(version=before.number if before else None))
        if before is None:
            # Else a version that never starts is started, and billed, again and again.
            autoscaler.update(self.plan.data(), self.target, {"min_containers": 0})
            self.tell(TakenBack(version=None, number=version))
            return (
                f"nothing ran before; version {version} stays deployed, and starts nothing by itself: "
                f"{self.target.glmdeploy(f'destroy {self.plan.app}')} removes it"
            )
        bring_back(before, self.target)
        _, now = _production(self.plan.app, self.target)
        lapse = self.asker.lapse if self.asker and self.asker.answered_at and before.tasks else None
        self.tell(TakenBack(version=before.number, number=now.number, lapse=lapse))
        told = f"version {before.number} {answered(lapse)}; " if lapse is not None else ""
        return f"{told}version {version} was taken back: version {before.number} runs, as version {now.number}"


def answered(lapse: float) -> str:
    """Whether a version went on answering, in words."""
    return "never stopped answering" if not lapse else f"did not answer for {lapse:.0f} s"


def _production(app: str, target: Target) -> tuple[str, Version]:
    """The id of the app, and its production version. :raises DeployError:"""
    app_id = find_app(app, target)
    past = history(app_id, target) if app_id else None
    version = past.version(past.production) if past else None
    if app_id is None or version is None:
        raise DeployError(f"{app} is not deployed any more: somebody has stopped it")
    return app_id, version


def _refusals(plan: Plan, target: Target, url: str, ask: Ask) -> KeyRequired:
    """See that who lacks the proxy token is refused, and who lacks the key, as far as the plan wants them.

    :raises DeployError: when somebody is not.
    """
    stop = target.command(f"app stop {plan.app}")
    of_proxy: bytes | None = None
    if plan.proxy_auth:
        what = f"ask {plan.app} without a proxy token"
        of_proxy = attended(target, what, lambda: plainly(lambda: check_proxy(url, stop, KEY_SECONDS)))
    if plan.api_key:
        what = f"ask {plan.app} without a key"
        attended(target, what, lambda: plainly(lambda: check_key(url, stop, KEY_SECONDS, ask=ask, of_proxy=of_proxy)))
    return KeyRequired(required=plan.api_key is not None, proxy=plan.proxy_auth)


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
