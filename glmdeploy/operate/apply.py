"""``apply``: the steps that make a preview so.

:func:`carry_out` acts and tells each step; it does not print, and nobody is asked. The stages run in an app of their
own before anything is deployed, so that a failed or interrupted ``apply`` leaves the running deployment as it was; then
a new version becomes live with one request to Modal, and is guarded until it has proved itself.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import modal

from glmdeploy.errors import DeployError
from glmdeploy.operate.archive import archive
from glmdeploy.operate.asking import plainly, within
from glmdeploy.operate.canary_app import remove_leftover, try_out
from glmdeploy.operate.deployed import deployed
from glmdeploy.operate.events import Deploying, Judged, SecretCreated, StageStarted, WeightsVerified
from glmdeploy.operate.history import earlier, find_app, history
from glmdeploy.operate.logs import Log, Wanted
from glmdeploy.operate.publish import publish
from glmdeploy.operate.rollout import changed_live, prove, roll_out, standing
from glmdeploy.operate.secrets import creatable, create_secret
from glmdeploy.operate.stages import running
from glmdeploy.runtime.failures import forget
from glmdeploy.runtime.verdict import read_verdict

if TYPE_CHECKING:
    from glmdeploy.operate.deployed import Deployed
    from glmdeploy.operate.events import Tell
    from glmdeploy.operate.preview import Preview
    from glmdeploy.operate.rollout import How
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

YOUNG = timedelta(days=1)
"""For so long after its deployment a version that has never said that it serves is looked at again: Modal keeps logs
for longer, and nobody leaves a rollout half done for a day."""


def carry_out(what: Preview, how: How, tell: Tell) -> None:
    """Do it, step by step. What ran before still serves until its successor has proved itself, whatever happens.

    The logs of stages and Modal's progress go to standard error.

    :raises DeployError: when a step fails; finished stages are kept.
    """
    plan, target = what.plan, what.target
    remove_leftover(plan, target, tell)
    for secret in creatable(what.missing, target, make=what.make_secrets):
        proxy_token = secret == plan.proxy_token
        create_secret(secret, target, proxy_token=proxy_token)
        tell(SecretCreated(name=secret.name, proxy_token=proxy_token))
    _run_stages(what, tell)
    forget_failures(plan, target)
    if not what.changed:
        if what.updates:
            changed_live(plan, target, what.updates, tell)
        return
    if how.canary:
        try_out(plan, target, how, tell)
    before = standing(what.now, target)
    _check_nobody_else(what)
    tell(Deploying())
    archive(plan, target)
    roll_out(lambda: publish(plan, target, strategy=how.strategy, note=how.note), plan, target, before, how, tell)


def finish(plan: Plan, target: Target, how: How, tell: Tell) -> bool:
    """See to a rollout of this plan that an earlier command has left half done; returns whether there was one.

    :raises DeployError:
    """
    now = deployed(plan.app, target)
    if now is None or now.data is None or now.digest is None or _has_proved_itself(now, target):
        return False
    served = now.plan or plan
    if served.digest != now.digest:
        return False
    previous = earlier(now.history, now.version.number)
    before = deployed(plan.app, target, previous.number) if previous else None
    prove(served, target, now, standing(before, target), how, tell)
    return True


def _has_proved_itself(now: Deployed, target: Target) -> bool:
    """Whether a container of the production version has said that it serves, or it is too old to ask."""
    version = now.version
    if datetime.now(UTC) - version.at > YOUNG:
        return True
    lines = Log(app=now.app, app_id=now.app_id, target=target, wanted=Wanted(ours=True)).between(version.at)
    said = [verdict for line in lines if (verdict := read_verdict(line.text))]
    return any(not each.reasons and (now.digest or "").startswith(each.digest) for each in said)


def _check_nobody_else(what: Preview) -> None:
    """:raises DeployError: where another version was published since the preview."""
    plan, target = what.plan, what.target
    app_id = find_app(plan.app, target)
    past = history(app_id, target) if app_id else None
    seen, found = what.now.version.number if what.now else 0, past.production if past else 0
    same_app = not what.now or what.now.app_id == app_id
    if seen != found or not same_app:
        version = past.version(found) if past else None
        by = f" by {version.by}" if version and version.by else ""
        was = f"version {found} was deployed{by}" if found else "the app was stopped"
        raise DeployError(
            f"somebody else is at {plan.app}: {was} meanwhile", advice="nothing was deployed: look, and apply again"
        )


def _run_stages(what: Preview, tell: Tell) -> None:
    """Look at what can be looked at without a GPU, and run the needed stages between; their logs on standard error.

    :raises DeployError:
    """
    plan, need = what.plan, what.need
    download, compiler = need.download or what.verify_weights, bool(need.compile)
    checks = what.judged or download or bool(plan.looked_at)
    wanted = {"checks": checks, "download": download, "compiler": compiler, "rehearsal": what.judged}
    if not any(wanted.values()):
        return
    with running(plan, what.target, **wanted) as app:
        if checks:
            tell(StageStarted(name="preflight"))
            tell(Judged(found=app.preflight(judge=what.judged, room=download)))
        if download:
            tell(StageStarted(name="download"))
            mark = app.download(verify=what.verify_weights)
            if what.verify_weights:
                tell(WeightsVerified(files=mark["files"]))
        if compiler:
            tell(StageStarted(name="compile"))
            app.compile(need.compile)
        if what.judged:
            tell(StageStarted(name="rehearse"))
            tell(Judged(found=app.rehearse()))


def forget_failures(plan: Plan, target: Target) -> None:
    """Let the plan start again, however often it has failed: somebody has looked at it. Nothing else changes.

    :raises DeployError:
    """

    def forget_them() -> None:
        forget(modal.Volume.from_name(plan.weights.name, environment_name=target.environment), plan.digest)

    within(target, f"forget the failed starts of {plan.app}", lambda: plainly(forget_them))
