"""A new version in the place of one that serves: guarded, so that one that does not serve hurts nobody.

The version is published with the scaling of its plan. A live override then has one of its containers start while those
from before serve on, and gives it room; it is set back when they have left, or when this ends. The new version is known
by its own line in the log and by nothing else. Where it refuses, ends or is late, what ran before is brought back.

A process that is killed in between leaves the override: the next ``plan`` sees it as drift, and ``apply`` repairs it.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glmdeploy.errors import DeployError, GlmdeployError
from glmdeploy.operate import autoscaler, publish
from glmdeploy.operate.archive import archived_runtime
from glmdeploy.operate.asking import together
from glmdeploy.operate.events import (
    Deploying,
    Guarded,
    Leaving,
    Left,
    Located,
    NotAsked,
    OldGone,
    Published,
    Rescaled,
    Resumed,
    Skipped,
    TakenBack,
    TakingBack,
    Unguarded,
    Waiting,
)
from glmdeploy.operate.history import BACK
from glmdeploy.operate.live import endpoint
from glmdeploy.operate.proof import follow, published_at
from glmdeploy.operate.proxy import way_in
from glmdeploy.operate.steps import begin
from glmdeploy.operate.tasks import tasks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from glmdeploy.operate.autoscaler import Settings
    from glmdeploy.operate.deployed import Deployed
    from glmdeploy.operate.events import Event
    from glmdeploy.operate.target import Target
    from glmdeploy.operate.tasks import Task
    from glmdeploy.operate.watch import Watch
    from glmdeploy.plan.plan import Plan

ROLLING, RECREATE = "rolling", "recreate"
WAIT_MARGIN = 120
"""Seconds beyond the start-up limit until a missing answer counts as a failure: scheduling, image, network."""
LEAVE_SECONDS = 60.0
"""For so long the containers from before are waited for once the new version is ready: streams may take an hour."""
LEAVE_PAUSE = 0.5


@dataclass(frozen=True, kw_only=True)
class Guard:
    """How a new version is watched. ``seconds`` is what it gets to be ready; None: its start-up limit and a margin."""

    wait: bool = True
    take_back: bool = True
    seconds: float | None = None
    strategy: str = ROLLING


@dataclass(frozen=True, kw_only=True)
class Before:
    """What ran before: noted right before the new version is sent."""

    now: Deployed | None
    tasks: tuple[Task, ...] = ()
    settings: Settings | None = None

    @property
    def number(self) -> int | None:
        return self.now.version.number if self.now else None


@dataclass
class _Rollout:
    """One that goes on: what is known of it so far."""

    plan: Plan
    target: Target
    before: Before
    guard: Guard
    number: int | None = None
    ready: bool = False
    watch: Watch | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)


def note(now: Deployed | None, app: str, target: Target, *, watched: bool = True) -> Before:
    """What runs, where it is still what was looked at. Its containers and scaling are of use to who watches alone.

    :raises DeployError: where somebody deployed meanwhile.
    """
    live = publish.production(app, target)
    seen = now.version.number if now else None
    if live != seen:
        what = f"somebody deployed version {live} of {app} meanwhile" if live else f"somebody stopped {app} meanwhile"
        raise DeployError(what, advice="look at it, and run the command again")
    if now is None or not watched:
        return Before(now=now)
    data, app_id = now.data, now.app_id
    tasks, settings = together(
        lambda: tasks_of(app_id, target), lambda: None if data is None else _settings(data, target)
    )
    return Before(now=now, tasks=tasks, settings=settings)


def _settings(data: Mapping[str, Any], target: Target) -> Settings | None:
    """None of an app that was changed behind glmdeploy's back, and has no such function any more."""
    with contextlib.suppress(DeployError):
        return autoscaler.settings(data, target)
    return None


def roll(plan: Plan, target: Target, before: Before, send: Callable[[], None], guard: Guard) -> Generator[Event]:
    """``send`` the version that runs ``plan``, and see it serve.

    :raises DeployError: where it does not; what runs then is told by the last event.
    :raises KeyboardInterrupt: after Ctrl-C; the better of the two versions runs.
    """
    it = _Rollout(plan=plan, target=target, before=before, guard=guard)
    begin("publish")
    yield Deploying()
    fault: BaseException | None = None
    try:
        send()
    except (GlmdeployError, KeyboardInterrupt) as error:
        fault = error
    # An answer that was lost on the way may have left the version live.
    it.number = _sent(it, fault)
    if it.number == before.number:
        if fault:
            raise fault
        yield Skipped(version=it.number)
        yield from settled(plan.data(), target)
        return
    begin("published")
    yield from _seen_through(it, Published(version=it.number, before=before.number), fault)


def resumed(now: Deployed, plan: Plan, target: Target, before: Deployed | None, guard: Guard) -> Generator[Event]:
    """See a version serve that is live already, and has not said so yet; ``before`` comes back where it does not.

    :raises DeployError: as :func:`roll`.
    """
    known = Before(now=None)
    if before is not None:
        # Those from before that still run serve on; what its autoscaler had is not known any more.
        old = [task for task in tasks_of(now.app_id, target) if task.enqueued < now.version.at.timestamp()]
        known = Before(now=before, tasks=tuple(old))
    it = _Rollout(plan=plan, target=target, before=known, guard=guard, number=now.version.number)
    yield from _seen_through(it, Resumed(version=now.version.number))


def _seen_through(it: _Rollout, live: Event, fault: BaseException | None = None) -> Generator[Event]:
    """A version that is live, as the first event tells, serves in the end; or what was before does.

    :raises DeployError: where it does not serve, or ``fault`` has come with it.
    """
    try:
        if fault:
            raise fault
        yield live
        yield from _proven(it)
    except (GlmdeployError, KeyboardInterrupt) as error:
        yield from _ended(it, error)
        raise
    except BaseException:
        _quietly_set_back(it)
        raise


def _sent(it: _Rollout, fault: BaseException | None) -> int | None:
    """The number of the version that is live now."""
    try:
        return publish.production(it.plan.app, it.target)
    except GlmdeployError:
        if fault:
            raise fault from None
        raise


def _proven(it: _Rollout) -> Generator[Event]:
    """Follow the version until it serves, and make the scaling that of its plan again."""
    plan, target, before = it.plan, it.target, it.before
    url = endpoint(plan, target)
    yield Located(url=url)
    if not it.guard.wait:
        yield Unguarded(why="nobody looks whether it starts (--no-wait)")
        yield from settled(plan.data(), target)
        return
    from glmdeploy.operate.watch import Watch, see_answers, see_refusals

    ask = way_in(plan, target, url)
    published_on = published_at(plan, target)
    published = published_on.timestamp()
    warm = bool(before.tasks) and it.guard.strategy == ROLLING
    if warm or ask is None:  # nobody's question has a container start
        begin("room")
        it.watch = Watch(url, ask) if ask else None
        it.limits = _make_room(it)
    if warm and before.number is not None:
        yield Guarded(version=it.number, before=before.number, room=it.limits)
    elif before.now is not None:
        yield Unguarded(why="there is nothing to protect: no container of the version before runs")
    begin("follow")
    yield Waiting()
    seconds = it.guard.seconds or plan.server.seconds("startup_timeout") + WAIT_MARGIN
    try:
        yield from follow(plan, target, url, seconds, ask, guarded=warm)
    except DeployError as fault:
        from glmdeploy.operate.last_words import with_last_words

        with_last_words(fault, plan.app, it.number, published_on, target)
        raise
    begin("ready")
    if ask is None:
        it.ready = True
        yield NotAsked()
    else:
        begin("refusals")
        yield see_refusals(plan, target, url, ask)
        answered = see_answers(plan, target, url)
        it.ready = True
        yield answered
    if warm:
        begin("leave")
        yield Leaving(before=before.number)
        yield OldGone(left=_wait_for_old(it, published))
    begin("settle")
    yield from settled(plan.data(), target)
    begin("settled")
    if it.watch:
        it.watch.end()


def _make_room(it: _Rollout) -> Mapping[str, Any]:
    """Have a replica start, and let there be one more than there are containers for."""
    data = it.plan.data()
    now = autoscaler.settings(data, it.target).effective
    changes: dict[str, Any] = {}
    if not now.get("min_containers"):
        changes["min_containers"] = 1
    most = now.get("max_containers")
    beside = -(-len(it.before.tasks) // it.plan.nodes)
    if most is not None and most < beside + 1:
        changes["max_containers"] = beside + 1
    if changes:
        autoscaler.update(data, it.target, changes)
    return changes


def _wait_for_old(it: _Rollout, published: float) -> int:
    """How many containers from before are left after a while."""
    assert it.before.now is not None
    old = {task.id for task in it.before.tasks}
    deadline = time.monotonic() + LEAVE_SECONDS
    while True:
        left = [
            task
            for task in tasks_of(it.before.now.app_id, it.target)
            if task.id in old or (task.enqueued < published and task.started)
        ]
        if not left or time.monotonic() > deadline:
            return len(left)
        time.sleep(LEAVE_PAUSE)


def settled(data: Mapping[str, Any], target: Target, values: Mapping[str, Any] | None = None) -> Generator[Rescaled]:
    """Have the autoscaler do what the plan says, or these ``values``: a deployment wipes what was set beside it.

    :raises DeployError:
    """
    now = autoscaler.settings(data, target)
    wanted = autoscaler.wanted(data, now) if values is None else values
    changes = {name: value for name, value in wanted.items() if now.effective.get(name) != value}
    if changes:
        autoscaler.update(data, target, changes)
        if values is not None:
            planned = autoscaler.wanted(data, now)
            yield Rescaled(changes=changes, restored=any(planned.get(name) != changes[name] for name in changes))


def _quietly_set_back(it: _Rollout) -> None:
    with contextlib.suppress(Exception):
        if it.watch:
            it.watch.end()
        for _ in settled(it.plan.data(), it.target):
            pass


def _ended(it: _Rollout, fault: BaseException) -> Generator[Event]:
    """The new version has failed, or was interrupted: leave the better one running, and say which that is."""
    number, app = it.number, it.plan.app
    try:
        if it.ready:
            _quietly_set_back(it)
            yield Left(version=number, why="it has proved itself", mend="", fault=fault)
        elif not it.guard.wait:
            yield Left(version=number, why="nobody has looked whether it starts", mend=_mend(it), fault=fault)
        elif not it.guard.take_back:
            _quietly_set_back(it)
            yield Left(version=number, why="--no-rollback", mend=_mend(it), fault=fault)
        else:
            yield from _taken_back(it, fault)
    except KeyboardInterrupt:
        _quietly_set_back(it)
        yield Left(version=number, why="interrupted twice", mend=_mend(it), fault=fault)
    except GlmdeployError as error:
        if isinstance(fault, GlmdeployError):
            fault.advice = "\n".join(filter(None, [fault.advice, f"{app} could not be taken back: {error.message}"]))
        why = f"it could not be taken back: {error.message}"
        yield Left(version=number, why=why, mend=_mend(it), fault=fault)
    finally:
        if it.watch:
            it.watch.end()


def _mend(it: _Rollout) -> str:
    app, number = it.plan.app, it.before.number
    return f"glmdeploy rollback {app} {number}" if number else f"glmdeploy destroy {app}"


def _taken_back(it: _Rollout, fault: BaseException) -> Generator[Event]:
    """What ran before runs again, because of ``fault``.

    :raises DeployError: where that fails.
    """
    before, target = it.before, it.target
    begin("take back")
    yield TakingBack(version=it.number, to=before.number, fault=fault)
    if before.now is None:
        for _ in settled(it.plan.data(), target, {"min_containers": 0}):
            pass  # else a version that cannot start is started, and billed, again and again
        yield TakenBack(version=it.number, runs=None, of=None, silent=None)
        return
    send_back(before.now, target)
    begin("taken back")
    runs = publish.production(it.plan.app, target)
    if before.now.data is not None and before.settings is None:
        yield from settled(before.now.data, target)
    elif before.now.data is not None and before.settings is not None:
        known = autoscaler.settings(before.now.data, target)
        wanted = {name: value for name, value in before.settings.effective.items() if name in known.effective}
        yield from settled(before.now.data, target, wanted)
    yield TakenBack(version=it.number, runs=runs, of=before.number, silent=it.watch.end() if it.watch else None)


def send_back(to: Deployed, target: Target, *, afresh: bool = False) -> None:
    """Publish an earlier version of an app again, as the workspace's plan allows it; never by stopping containers.

    With ``afresh`` its plan is deployed again in any case, which binds its volumes and secrets anew.

    :raises DeployError: where it cannot be brought back.
    """
    fault: DeployError | None = None
    if to.version.rollback_allowed and not afresh:
        try:
            publish.roll_back(to.app_id, to.version.number, target)
        except DeployError as error:
            fault = error
        else:
            return
    if to.plan is None:
        raise fault or DeployError(
            f"version {to.version.number} of {to.app} cannot be brought back: this workspace has no rollbacks, and "
            f"{'another tool has deployed it' if to.foreign else 'its plan is not kept'}",
            advice="deploy it again with what deployed it",
        )
    runtime = archived_runtime(to.plan, target)
    publish.publish(to.plan, target, strategy=ROLLING, note=f"{BACK}{to.version.number}", runtime=runtime)
