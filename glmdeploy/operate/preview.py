"""What ``apply`` would do: the plan against what really runs. Reads, and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.errors import DeployError
from glmdeploy.operate import autoscaler, drift
from glmdeploy.operate.archive import VOLUME
from glmdeploy.operate.asking import together
from glmdeploy.operate.capacity import room
from glmdeploy.operate.deployed import deployed
from glmdeploy.operate.history import stopped_app
from glmdeploy.operate.live import Needed, needed
from glmdeploy.operate.secrets import creatable, makes, missing_secrets
from glmdeploy.operate.serving import image_of, serving
from glmdeploy.operate.tasks import tasks_of
from glmdeploy.plan.autoscaler import deployment_digest
from glmdeploy.plan.diff import Change, diff
from glmdeploy.plan.impact import Impact, impact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from glmdeploy.local.engine import Engine
    from glmdeploy.operate.autoscaler import Settings
    from glmdeploy.operate.capacity import Shortage
    from glmdeploy.operate.deployed import Deployed
    from glmdeploy.operate.drift import Drift
    from glmdeploy.operate.secrets import MissingSecret
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan


@dataclass(frozen=True, kw_only=True)
class LiveChange:
    """A field of the autoscaler whose value in force is not the plan's; containers and seconds, None for no bound.

    ``by`` and ``at`` are those of the override that is in force, None where there is none or Modal does not tell.
    """

    field: str
    now: Any
    wanted: Any
    by: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What ``apply`` would do. ``now`` is what runs under the app's name, None where nothing does."""

    plan: Plan
    target: Target
    now: Deployed | None
    before: Mapping[str, Any] | None
    """The plan's data that runs, with the autoscaler's values that are in force; None where none is known."""
    changes: tuple[Change, ...]
    """From ``before`` to the plan, value by value."""
    changed: bool
    """Whether something is to be deployed: another plan runs, nothing does, drift needs it, or it is forced."""
    live: tuple[LiveChange, ...] = ()
    """What is to be changed while containers run. A deployment sets it too: see :attr:`updates`."""
    drift: tuple[Drift, ...] = ()
    shortage: Shortage | None = None
    """Why a container of a new version may not fit beside those that run."""
    running: int = 0
    """Containers of the app that run, or wait for a machine; of all of its functions."""
    need: Needed
    """Stages to run first; where nothing is to deploy, those that mend what the volumes have lost."""
    because: Impact
    """The values whose change has stages run again; empty where nothing runs, or what does run is not known."""
    missing: tuple[MissingSecret, ...]
    judged: bool = True
    """Whether SGLang judges the arguments: something of what it is started with is not what runs already."""
    engine: Engine | None
    """Which engine answers in the embedded cloud, and why; None on Modal."""
    forced: bool = False
    adopt: bool = False
    make_secrets: bool = False
    """Whether secrets that the embedded cloud lacks get random values."""
    verify_weights: bool = False
    """Whether the weights in the volume are read and compared, also where they are marked as complete."""

    @property
    def acts(self) -> bool:
        """Whether there is anything to do."""
        stages = self.verify_weights or self.need.download or bool(self.need.compile)
        return self.changed or bool(self.live) or stages

    @property
    def updates(self) -> dict[str, Any]:
        """What :func:`glmdeploy.operate.autoscaler.update` is to be told; a deployment needs no telling."""
        return {} if self.changed else {each.field: each.wanted for each in self.live}

    def makes(self, missing: MissingSecret) -> bool:
        """Whether :func:`carry_out` creates it, with random values: asked for, and in the embedded cloud alone."""
        return makes(missing, self.target, make=self.make_secrets)

    def check_secrets(self) -> None:
        """:raises DeployError: with the commands that create them, for secrets that :func:`carry_out` cannot create."""
        creatable(self.missing, self.target, make=self.make_secrets)


def preview(
    plan: Plan,
    target: Target,
    *,
    force: bool = False,
    adopt: bool = False,
    make_secrets: bool = False,
    verify_weights: bool = False,
    judge: bool = True,
) -> Preview:
    """What is to be done so that the plan runs; with ``force``, even where it runs already. Changes nothing.

    With ``adopt`` an app that glmdeploy did not deploy is replaced. Without ``judge`` SGLang is not asked about its
    arguments before it is deployed.

    :raises DeployError: if the target cannot be asked, or the app is not glmdeploy's and not to be adopted.
    :raises LocalCloudError: where the plan asks for an engine that the embedded cloud cannot run.
    """
    engine = target.engine(plan)
    now = deployed(plan.app, target, ask=not target.asleep)
    plan = _with_known_commit(plan, now)
    if now and now.foreign and not adopt and (now.origin or not drift.last_deployed(now)):
        raise _foreign(now)
    (found, before, live), need = together(
        lambda: _against(now, plan, target) if now else ((), None, ()), lambda: needed(plan, target)
    )
    if now is None and (end := _stopped(plan.app, target)):
        found = (end,)
    repaired = any(each.repair == drift.DEPLOY and each.kind != drift.ROLLBACK for each in found)
    changed = force or not before or repaired or deployment_digest(before) != deployment_digest(plan.data())
    if not changed:
        found = tuple(each for each in found if each.kind != drift.ROLLBACK)
    acts = changed or verify_weights or need.download or bool(need.compile)
    tasks, missing = together(
        lambda: tasks_of(now.app_id, target) if now and (changed or live) else (),
        lambda: missing_secrets(plan, target) if acts else (),
    )
    running = len(tasks)
    return Preview(
        plan=plan,
        target=target,
        now=now,
        before=before,
        changes=diff(before or {}, plan.data()),
        changed=changed,
        live=live,
        drift=found,
        shortage=room(plan, target, running) if changed else None,
        running=running,
        need=need,
        engine=engine,
        because=impact(before, plan.data()) if before else Impact(),
        missing=missing,
        judged=judge and changed and (force or _started_with(before or {}) != _started_with(plan.data())),
        forced=force,
        adopt=adopt,
        make_secrets=make_secrets,
        verify_weights=verify_weights,
    )


def _with_known_commit(plan: Plan, now: Deployed | None) -> Plan:
    """The plan; where nobody told what its revision means today, with the commit that it meant for what runs."""
    model = now.data["model"] if now and now.data else {}
    commit = model.get("commit")
    same = (model.get("repo"), model.get("revision")) == (plan.model.repo, plan.model.revision)
    return plan.at(commit) if plan.model.commit is None and same and isinstance(commit, str) else plan


def drift_of(now: Deployed, target: Target) -> tuple[Drift, ...]:
    """Drift of what runs against the plan that it was deployed from; of a foreign app there is none to tell.

    :raises DeployError:
    """
    if now.data is None and not drift.last_deployed(now):
        return ()
    return _against(now, None, target)[0]


def _against(
    now: Deployed, plan: Plan | None, target: Target
) -> tuple[tuple[Drift, ...], dict[str, Any] | None, tuple[LiveChange, ...]]:
    """What of an app is not as it was deployed; the data that is in force; and what of the plan to change live."""
    code = drift.of_code(now)
    if now.data is None:
        return (code,) if code else (), None, ()
    serves, objects = serving(now.data, target)
    found = [code] if code else []
    if serves is None:  # other code that kept `describe` alone
        return tuple(found), now.data, ()
    wanted = plan.data() if plan else now.data
    if wanted["server"].get("kind") != now.data["server"].get("kind"):
        wanted = now.data
    found += drift.of_objects(now.data, serves, objects)
    if code and code.kind == drift.CODE:
        found += _image(now, serves.image, target)
    found += drift.of_autoscaler(wanted, now.data, serves.settings)
    live = tuple(_live(wanted, serves.settings))
    return tuple(found), _in_force(now.data, wanted, serves.settings), live if wanted is not now.data else ()


def _live(data: Mapping[str, Any], settings: Settings) -> Iterator[LiveChange]:
    overrides = {each.field: each for each in settings.overrides}
    for field, wanted in autoscaler.wanted(data, settings).items():
        if (now := settings.effective.get(field)) != wanted:
            override = overrides.get(field)
            yield LiveChange(
                field=field,
                now=now,
                wanted=wanted,
                by=override.by if override else None,
                at=override.at if override else None,
            )


def _in_force(data: Mapping[str, Any], wanted: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """A plan's data with the autoscaler's values that are in force; equal ones as ``wanted`` writes them."""
    server = dict(data["server"])
    planned = autoscaler.wanted(wanted, settings)
    for field, now in settings.effective.items():
        known = field in planned
        if known and planned[field] == now:
            server[field] = wanted["server"].get(field)
        elif known or any(each.field == field for each in settings.overrides):
            server[field] = now
    return {**data, "server": {name: value for name, value in server.items() if value is not None}}


def _image(now: Deployed, image: str, target: Target) -> Iterator[Drift]:
    """Whether other code came with another image than what glmdeploy deployed last."""
    last = drift.last_deployed(now)
    expected = image_of(now.data or {}, last.number, target) if last and image else None
    if expected and expected != image:
        yield drift.Drift(kind=drift.IMAGE, name=now.app, found=image, expected=expected)


def _stopped(app: str, target: Target) -> Drift | None:
    """That an app of this name was deployed, and was stopped."""
    end = stopped_app(app, target)
    if end is None or end.at is None:
        return None
    by, version = end.by or None, end.version or None
    return drift.Drift(kind=drift.STOPPED, name=app, found=None, expected=version, by=by, at=end.at)


def _foreign(now: Deployed) -> DeployError:
    version = now.version
    if now.origin:
        return DeployError(
            f"what runs as {now.app} is not known: the plan of version {version.number} is not in the volume {VOLUME}",
            advice="the app itself could not be asked; replace it, whatever it is: `--adopt`",
        )
    by = f", deployed by {version.by}" if version.by else ""
    return DeployError(
        f"an app {now.app} that glmdeploy did not deploy runs already: version {version.number} of "
        f"{version.at.astimezone():%d %b %Y %H:%M}{by}",
        advice="give the profile another name (`app:`, or `--set app=NAME`) to run beside it; "
        "or replace it, with all that it serves: `--adopt`",
    )


def _started_with(data: Mapping[str, Any]) -> list[Any]:
    """What of a plan's data decides whether SGLang takes its arguments."""
    server, stage = data.get("server", {}), data.get("compile", {})
    return [
        *(data.get(name) for name in ("sglang", "model", "gpu", "weights", "kernels")),
        *(server.get(name) for name in ("image", "command", "env", "defaults")),
        stage.get("command"),
    ]
