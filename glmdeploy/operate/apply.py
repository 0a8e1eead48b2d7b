"""``apply``: the steps that make a preview so.

:func:`carry_out` acts and yields an event at each step; it does not print, and nobody is asked.
The stages run in an app of their own before anything is deployed, so that a failed or interrupted ``apply`` leaves
the running deployment as it was; the new one becomes live with one request to Modal.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import modal

from glmdeploy.errors import DeployError
from glmdeploy.operate import autoscaler
from glmdeploy.operate.archive import archive
from glmdeploy.operate.asking import plainly, within
from glmdeploy.operate.deployed import deployed
from glmdeploy.operate.events import Judged, Rescaled, SecretCreated, StageEnded, StageStarted, WeightsVerified
from glmdeploy.operate.publish import publish
from glmdeploy.operate.rollout import note, resumed, roll
from glmdeploy.operate.second_app import remove_leftover, tried
from glmdeploy.operate.secrets import creatable, create_secret
from glmdeploy.operate.stages import running
from glmdeploy.operate.steps import begin
from glmdeploy.runtime.failures import forget
from glmdeploy.runtime.kernels import KERNEL_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Generator

    from glmdeploy.operate.deployed import Deployed
    from glmdeploy.operate.events import Event
    from glmdeploy.operate.preview import Preview
    from glmdeploy.operate.rollout import Guard
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan


YOUNG = timedelta(days=1)
"""For so long after its deployment a version that was never heard to serve is followed again by the next ``apply``."""


def carry_out(what: Preview, *, guard: Guard, tag: str, canary: bool = False) -> Generator[Event]:
    """Do it, step by step. What ran before still runs until :class:`Published` is yielded, whatever happens.

    What the SDK and the containers of the stages print goes into the transcript.

    :raises DeployError: when a step fails; finished stages are kept.
    """
    plan, target = what.plan, what.target
    begin("look")
    remove_leftover(plan, target)
    begin("secrets")
    for secret in creatable(what.missing, target, make=what.make_secrets):
        proxy_token = secret == plan.proxy_token
        create_secret(secret, target, proxy_token=proxy_token)
        yield SecretCreated(name=secret.name, proxy_token=proxy_token)
    yield from _run_stages(what)
    begin("forget")
    forget_failures(plan, target)
    if not what.changed:
        if what.updates:
            yield from _rescaled(what)
        return
    begin("archive")
    archive(plan, target)
    if canary:
        yield from tried(plan, target, guard)
    before = note(what.now, plan.app, target, watched=guard.wait)

    def send() -> None:
        publish(plan, target, strategy=guard.strategy, note=tag)

    yield from roll(plan, target, before, send, guard)


def finish(plan: Plan, target: Target, guard: Guard) -> Generator[Event]:
    """See to a version of this plan that an earlier command left half done: published, and never heard to serve.

    :raises DeployError: where it does not serve; what ran before it is brought back.
    """
    now = deployed(plan.app, target)
    if now is None or now.plan is None or _has_spoken(now, target):
        return
    from glmdeploy.operate.versions import previous

    number = previous(now, target)
    before = deployed(plan.app, target, number) if number else None
    yield from resumed(now, now.plan, target, before, guard)


def _has_spoken(now: Deployed, target: Target) -> bool:
    """Whether a container of the production version has said that it serves, or nobody can be at it any more."""
    from glmdeploy.operate.versions import VERIFIED, outcomes

    version = now.version
    if datetime.now(UTC) - version.at > YOUNG:
        return True
    return outcomes(now.app, now.history, (version,), target).get(version.number) == VERIFIED


def _rescaled(what: Preview) -> Generator[Event]:
    """Change the autoscaler while containers run: nothing is deployed."""
    data, target = what.plan.data(), what.target
    begin("live")
    autoscaler.update(data, target, what.updates)
    begin("settled")
    now = autoscaler.settings(data, target)
    wanted = autoscaler.wanted(data, now)
    if other := [name for name, value in wanted.items() if now.effective.get(name) != value]:
        raise DeployError(
            f"{', '.join(other)} of {what.plan.app} is not as it was set: somebody else changes it, or {target} does",
            advice="run apply again",
        )
    yield Rescaled(changes=what.updates)


def _run_stages(what: Preview) -> Generator[Event]:
    """Look at what can be looked at without a GPU, and run the needed stages between.

    Their app is a part of the first of them: its images may have to be built.

    :raises DeployError:
    """
    plan, need = what.plan, what.need
    download, compiler = need.download or what.verify_weights, bool(need.compile)
    checks = what.judged or download or (what.changed and bool(plan.looked_at))
    wanted = {"checks": checks, "download": download, "compiler": compiler, "rehearsal": what.judged}
    if not any(wanted.values()):
        return
    yield StageStarted(name="preflight" if checks else "compile")
    with running(plan, what.target, **wanted) as app:
        if checks:
            begin("preflight")
            yield Judged(found=app.preflight(judge=what.judged, room=download))
        if download:
            begin("download")
            yield StageStarted(name="download")
            mark = app.download(verify=what.verify_weights)
            yield StageEnded(name="download", files=mark["files"], size=mark["bytes"])
            if what.verify_weights:
                yield WeightsVerified(files=mark["files"])
        if compiler:
            begin("compile")
            if checks:
                yield StageStarted(name="compile")
            sizes = app.compile(need.compile)
            kernels = sum(path.endswith(KERNEL_SUFFIX) for path in sizes)
            yield StageEnded(name="compile", files=kernels, size=sum(sizes.values()), gpus=tuple(need.compile))
        if what.judged:
            begin("rehearse")
            yield StageStarted(name="rehearse")
            yield Judged(found=app.rehearse())


def forget_failures(plan: Plan, target: Target) -> None:
    """Let the plan start again, however often it has failed: somebody has looked at it. Nothing else changes.

    :raises DeployError:
    """

    def forget_them() -> None:
        forget(modal.Volume.from_name(plan.weights.name, environment_name=target.environment), plan.digest)

    within(target, f"forget the failed starts of {plan.app}", lambda: plainly(forget_them))
