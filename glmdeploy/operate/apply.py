"""``apply``: the steps that make a preview so.

:func:`carry_out` acts and yields an event at each step; it does not print, and nobody is asked.
The stages run in an app of their own before anything is deployed, so that a failed or interrupted ``apply`` leaves
the running deployment as it was; the new one becomes live with one request to Modal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import modal

from glmdeploy.operate.archive import archive
from glmdeploy.operate.asking import attended, plainly, within
from glmdeploy.operate.endpoint import check_key, check_proxy
from glmdeploy.operate.events import (
    Deploying,
    Judged,
    KeyRequired,
    Located,
    NotAsked,
    Published,
    SecretCreated,
    StageStarted,
    Waiting,
    WeightsVerified,
)
from glmdeploy.operate.live import endpoint
from glmdeploy.operate.proof import follow
from glmdeploy.operate.proxy import way_in
from glmdeploy.operate.publish import publish
from glmdeploy.operate.secrets import creatable, create_secret
from glmdeploy.operate.stages import running
from glmdeploy.runtime.failures import forget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.operate.endpoint import Ask
    from glmdeploy.operate.events import Event
    from glmdeploy.operate.preview import Preview
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

T = TypeVar("T")

WAIT_MARGIN = 120
"""Seconds beyond the start-up limit until a missing answer counts as a failure: scheduling, image, network."""
KEY_SECONDS = 120
"""What a healthy endpoint gets to refuse a request without a key: its container may just be replaced."""


def carry_out(what: Preview, *, strategy: str, tag: str, wait: bool) -> Iterator[Event]:
    """Do it, step by step. What ran before still runs until :class:`Published` is yielded, whatever happens.

    The logs of stages and Modal's progress go to standard error. ``wait`` asks the endpoint until it answers.

    :raises DeployError: when a step fails; finished stages are kept.
    """
    plan, target = what.plan, what.target
    for secret in creatable(what.missing, target, make=what.make_secrets):
        proxy_token = secret == plan.proxy_token
        create_secret(secret, target, proxy_token=proxy_token)
        yield SecretCreated(name=secret.name, proxy_token=proxy_token)
    yield from _run_stages(what)
    forget_failures(plan, target)
    if not what.changed:
        return
    yield Deploying()
    archive(plan, target)
    publish(plan, target, strategy=strategy, note=tag)
    yield Published()
    url = endpoint(plan, target)
    yield Located(url=url)
    if not wait:
        return
    ask = way_in(plan, target, url)
    if ask is None:
        yield NotAsked()
        return
    yield Waiting()
    yield from follow(plan, target, url, plan.server.seconds("startup_timeout") + WAIT_MARGIN, ask)
    yield _refusals(plan, target, url, ask)


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


def _run_stages(what: Preview) -> Iterator[Event]:
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
            yield StageStarted(name="preflight")
            yield Judged(found=app.preflight(judge=what.judged, room=download))
        if download:
            yield StageStarted(name="download")
            mark = app.download(verify=what.verify_weights)
            if what.verify_weights:
                yield WeightsVerified(files=mark["files"])
        if compiler:
            yield StageStarted(name="compile")
            app.compile(need.compile)
        if what.judged:
            yield StageStarted(name="rehearse")
            yield Judged(found=app.rehearse())


def forget_failures(plan: Plan, target: Target) -> None:
    """Let the plan start again, however often it has failed: somebody has looked at it. Nothing else changes.

    :raises DeployError:
    """

    def forget_them() -> None:
        forget(modal.Volume.from_name(plan.weights.name, environment_name=target.environment), plan.digest)

    within(target, f"forget the failed starts of {plan.app}", lambda: plainly(forget_them))
