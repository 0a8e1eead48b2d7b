"""The Python interface: what the commands do, without a command line. ``import glmdeploy`` offers all of it.

A process talks to one target: Modal's SDK keeps its connection. Nothing prints; what happens on the way is told to
``tell``. What fails raises :class:`glmdeploy.errors.GlmdeployError`, with advice.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from glmdeploy.errors import GlmdeployError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from glmdeploy.findings import Finding
    from glmdeploy.operate.events import Event
    from glmdeploy.operate.preview import Preview
    from glmdeploy.operate.rollout import Guard
    from glmdeploy.operate.status import Status
    from glmdeploy.operate.target import Target
    from glmdeploy.operate.verification import Verification
    from glmdeploy.plan.plan import Plan
    from glmdeploy.profile.text.document import Document

Tell: TypeAlias = "Callable[[Event], None]"
"""Hears each event of a change as it happens (:mod:`glmdeploy.operate.events`)."""

_connected: list[str] = []
"""The target that this process talks to, once it does."""


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What came of a change. ``version`` is the production version, ``url`` where it answers.

    ``proven`` says whether a container of it has said that it serves: False where nothing was followed.
    """

    app: str
    version: int | None
    url: str | None
    changed: bool
    proven: bool


def load(profile: str | os.PathLike[str], *, overlays: Sequence[str] = (), sets: Sequence[str] = ()) -> Document:
    """A profile, by its path or bare name, read with what it extends; contacts nobody.

    ``overlays`` are files whose values are laid over it, ``sets`` single values (``server.max_containers=3``).

    :raises ProfileError: for what cannot be read, with the place of each fault.
    """
    import glmdeploy.profile.text.load

    _is(profile, (str, os.PathLike), "profile", "a path or a bare name")
    return glmdeploy.profile.text.load.load(str(profile), overlays=tuple(overlays), sets=tuple(sets))


def check(document: Document) -> tuple[Finding, ...]:
    """Everything that the schema, the options of the release and the guard rules find. Raises for no finding."""
    import glmdeploy.rules.check

    _is_document(document)
    return glmdeploy.rules.check.check(document).findings


def make_plan(document: Document) -> Plan:
    """What will be deployed, as frozen data; contacts nobody.

    :raises ProfileError: with all findings, where one of them is an error that no waiver holds for.
    """
    from glmdeploy.plan.make import plan_of

    _is_document(document)
    return plan_of(document)[0]


def preview(plan: Plan, *, target: str = "modal", environment: str | None = None, **options: bool) -> Preview:
    """What :func:`apply` would do, against what really runs. Changes nothing, and starts nothing.

    ``options`` are those of :func:`glmdeploy.operate.preview.preview`: ``force``, ``adopt``, ``make_secrets``,
    ``verify_weights``, ``judge``.

    :raises DeployError: if the target cannot be asked.
    """
    _is_plan(plan)
    return _preview(plan, _connect(target, plan, environment, reading=True), ask=False, **options)


def apply(
    plan: Plan,
    *,
    target: str = "modal",
    environment: str | None = None,
    tag: str = "",
    strategy: str = "rolling",
    canary: bool = False,
    wait: bool = True,
    take_back: bool = True,
    timeout: float | None = None,
    tell: Tell | None = None,
    **options: bool,
) -> Applied:
    """Deploy the plan, and see that it serves; what ran before serves until then, and is brought back if it does not.

    ``timeout`` in seconds; None for the plan's start-up limit and two minutes. ``options`` as for :func:`preview`.

    :raises DeployError: where it does not become healthy; its advice says what runs then.
    """
    from glmdeploy.operate.apply import carry_out, finish, forget_failures
    from glmdeploy.operate.live import endpoint

    _is_plan(plan)
    destination = _connect(target, plan, environment)
    guard = _guard(wait=wait, take_back=take_back, timeout=timeout, strategy=strategy)
    with _exclusive(plan.app, target):
        found = _preview(plan, destination, ask=True, **options)
        told = _Told(tell)
        if found.acts:
            found.check_secrets()
            told.all(carry_out(found, guard=guard, tag=tag, canary=canary))
        if not found.changed:
            forget_failures(found.plan, destination)
            if wait and found.now:
                told.all(finish(found.plan, destination, guard))
        version = told.version or (found.now.version.number if found.now else None)
        url = told.url or endpoint(found.plan, destination)
    return Applied(app=plan.app, version=version, url=url, changed=found.acts, proven=told.proven)


def verify(
    plan: Plan,
    *,
    target: str = "modal",
    environment: str | None = None,
    key_env: str | None = None,
    quick: bool = False,
) -> Verification:
    """Whether what is deployed does what its profile promises. Changes nothing.

    ``key_env`` names the variable that holds the API key; without it a container with the plan's secrets asks.

    :raises DeployError: where nothing is deployed.
    """
    _is_plan(plan)
    destination = _connect(target, plan, environment)
    import glmdeploy.operate.verify

    return glmdeploy.operate.verify.verify(plan, destination, key_env=key_env, quick=quick)


def status(app: str, *, target: str = "modal", environment: str | None = None, key_env: str | None = None) -> Status:
    """What is known of a deployed app. Starts nothing, and keeps no container from going to sleep.

    :raises DeployError: if the target cannot be asked.
    """
    _is(app, str, "app", "its name: `plan.app`")
    destination = _connect(target, None, environment, reading=True)
    from glmdeploy.operate.status import status_of

    return status_of(app, destination, api_key_env=key_env)


def rollback(
    app: str,
    version: int | None = None,
    *,
    target: str = "modal",
    environment: str | None = None,
    timeout: float | None = None,
    tell: Tell | None = None,
) -> Applied:
    """Bring an earlier version back, guarded as a new one is; without a number, the last that ran another plan.

    :raises DeployError: where there is none, or it does not become healthy.
    """
    _is(app, str, "app", "its name: `plan.app`")
    destination = _connect(target, None, environment)
    from glmdeploy.operate.rollback import go_back, way_back

    with _exclusive(app, target):
        way = way_back(app, destination, version)
        told = _Told(tell)
        told.all(go_back(way, _guard(timeout=timeout)))
    number = told.version or way.now.version.number
    return Applied(app=app, version=number, url=told.url, changed=way.acts, proven=told.proven)


def destroy(
    app: str, *, target: str = "modal", environment: str | None = None, volumes: bool = False
) -> tuple[str, ...]:
    """Stop an app for good; returns the volumes that were removed, which are none without ``volumes``.

    :raises DeployError: where something is left.
    """
    _is(app, str, "app", "its name: `plan.app`")
    destination = _connect(target, None, environment)
    from glmdeploy.operate.destroy import VolumeRemoved, destruction, tear_down

    with _exclusive(app, target):
        steps = [*tear_down(destruction(app, destination, remove=volumes))]
    return tuple(step.volume.name for step in steps if isinstance(step, VolumeRemoved))


class _Told:
    """What the events of a change came to."""

    def __init__(self, tell: Tell | None) -> None:
        self._tell = tell
        self.version: int | None = None
        self.url: str | None = None
        self.proven = False

    def all(self, events: Generator[Event]) -> None:
        from glmdeploy.operate.steps import tell_all

        tell_all(events, self._hear)

    def _hear(self, event: Event) -> None:
        from glmdeploy.operate.events import Located, Published
        from glmdeploy.operate.proof import Healthy

        match event:
            case Published(version=version):
                self.version = version
            case Located(url=url):
                self.url = url
            case Healthy(task=task):
                self.proven = task is not None
        if self._tell:
            self._tell(event)


def _is(value: object, kind: type | tuple[type, ...], name: str, meant: str) -> None:
    """:raises TypeError: for a value of another kind."""
    if not isinstance(value, kind):
        raise TypeError(f"`{name}` must be {meant}, and is of the type {type(value).__name__}")


def _is_document(value: object) -> None:
    from glmdeploy.profile.text.document import Document

    _is(value, Document, "document", "a profile that was read, which `load` gives")


def _is_plan(value: object) -> None:
    from glmdeploy.plan.plan import Plan

    _is(value, Plan, "plan", "a plan, which `make_plan` gives")


def _connect(name: str, plan: Plan | None, environment: str | None, *, reading: bool = False) -> Target:
    """:raises GlmdeployError: where this process talks to another target already."""
    from glmdeploy.operate.target import LOCAL, MODAL, connect

    if name not in (MODAL, LOCAL):
        raise GlmdeployError(f"there is no target `{name}`", advice=f"it is `{MODAL}` or `{LOCAL}`")
    if _connected and _connected != [name]:
        raise GlmdeployError(
            f"this process talks to the target {_connected[0]} already",
            advice="use another process for another target",
        )
    _connected[:] = [name]
    return connect(name, plan, environment, reading=reading)


def _preview(plan: Plan, target: Target, *, ask: bool, **options: Any) -> Preview:
    import glmdeploy.operate.preview
    from glmdeploy.operate.revision import resolved

    return glmdeploy.operate.preview.preview(resolved(plan, target, tell=lambda _: None, ask=ask), target, **options)


def _guard(
    *, wait: bool = True, take_back: bool = True, timeout: float | None = None, strategy: str = "rolling"
) -> Guard:
    from glmdeploy.operate.rollout import Guard

    return Guard(wait=wait, take_back=take_back, seconds=timeout, strategy=strategy)


def _exclusive(app: str, target: str) -> Any:
    from glmdeploy.local.cloud import home
    from glmdeploy.operate.lock import exclusive

    return exclusive(home() / "locks", f"{app} on {target}")
