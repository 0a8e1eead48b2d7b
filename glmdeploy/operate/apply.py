"""``apply``: what would change, and the steps that make it so.

:func:`preview` reads, :func:`carry_out` acts and yields an event at each step; neither prints, and nobody is asked.
The stages run in an app of their own before anything is deployed, so that a failed or interrupted ``apply`` leaves
the running deployment as it was; the new one becomes live with one request to Modal.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import modal
from filelock import FileLock, Timeout

from glmdeploy import __version__
from glmdeploy.app import build
from glmdeploy.errors import DeployError
from glmdeploy.operate.asking import attended, plainly, within
from glmdeploy.operate.endpoint import check_key, check_proxy
from glmdeploy.operate.live import Needed, current, endpoint, needed
from glmdeploy.operate.proof import follow
from glmdeploy.operate.proxy import way_in
from glmdeploy.operate.secrets import creatable, create_secret, missing_secrets
from glmdeploy.operate.stages import output, running
from glmdeploy.plan.diff import Change, diff
from glmdeploy.plan.impact import Impact, impact
from glmdeploy.plan.plan import short_digest
from glmdeploy.runtime.failures import forget

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypeAlias

    from glmdeploy.local.engine import Engine
    from glmdeploy.operate.endpoint import Ask
    from glmdeploy.operate.live import Deployed
    from glmdeploy.operate.preflight import Preflight
    from glmdeploy.operate.proof import Healthy, Starting
    from glmdeploy.operate.secrets import MissingSecret
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

T = TypeVar("T")

WAIT_MARGIN = 120
"""Seconds beyond the start-up limit until a missing answer counts as a failure: scheduling, image, network."""
KEY_SECONDS = 120
"""What a healthy endpoint gets to refuse a request without a key: its container may just be replaced."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What ``apply`` would do. ``now`` is what runs under the app's name, None where nothing does."""

    plan: Plan
    target: Target
    now: Deployed | None
    changes: tuple[Change, ...]
    changed: bool
    """Whether something is to be deployed: another plan runs, or one of another glmdeploy, or it is forced."""
    need: Needed
    """Stages to run first; where nothing is to deploy, those that mend what the volumes have lost."""
    because: Impact
    """The values whose change has stages run again; empty where nothing runs, or what does run is not known."""
    missing: tuple[MissingSecret, ...]
    judged: bool = True
    """Whether SGLang judges the arguments: something of what it is started with is not what runs already."""
    engine: Engine | None
    """Which engine answers in the embedded cloud, and why; None on Modal."""
    make_secrets: bool = False
    """Whether secrets that the embedded cloud lacks get random values."""
    verify_weights: bool = False
    """Whether the weights in the volume are read and compared, also where they are marked as complete."""

    @property
    def acts(self) -> bool:
        """Whether there is anything to do."""
        return self.changed or self.verify_weights or self.need.download or bool(self.need.compile)

    def check_secrets(self) -> None:
        """:raises DeployError: with the commands that create them, for secrets that :func:`carry_out` cannot create."""
        creatable(self.missing, self.target, make=self.make_secrets)


@dataclass(frozen=True, kw_only=True)
class SecretCreated:
    """The embedded cloud has a secret with a random value now, or with the proxy token of its workspace."""

    name: str
    proxy_token: bool = False


@dataclass(frozen=True, kw_only=True)
class StageStarted:
    """``preflight``, ``download``, ``compile`` or ``rehearse``."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What ``preflight`` or ``rehearse`` looked at is in order."""

    found: Preflight


@dataclass(frozen=True, kw_only=True)
class WeightsVerified:
    """``files`` were read and compared with their hashes; the log of the stage says which were fetched anew."""

    files: int


@dataclass(frozen=True, kw_only=True)
class Deploying:
    """The new version is sent."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """The new version is live."""


@dataclass(frozen=True, kw_only=True)
class Located:
    """It answers at ``url``, or will."""

    url: str


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The new version is followed until one of its containers has proved itself."""


@dataclass(frozen=True, kw_only=True)
class KeyRequired:
    """Who has no key got 401; False where the plan has none and everyone may use the endpoint.

    ``proxy`` says whether Modal's proxy refused who has no proxy token, before SGLang could.
    """

    required: bool
    proxy: bool = False


@dataclass(frozen=True, kw_only=True)
class NotAsked:
    """Whether the endpoint answers is not known: Modal's proxy wants a token, and the plan names none."""


Event: TypeAlias = (
    "SecretCreated | StageStarted | Judged | WeightsVerified"
    " | Deploying | Published | Located | Waiting | Starting | Healthy | KeyRequired | NotAsked"
)


@contextlib.contextmanager
def exclusive(folder: Path, name: str) -> Iterator[None]:
    """One ``apply`` at a time: hold the lock ``name`` in ``folder``, which ends with the process, however that ends.

    :raises DeployError: when another process holds it, or ``folder`` cannot be written.
    """
    # Beside the lock and not in it: whoever asks for a lock empties its file (filelock 3).
    owner = folder / f"{name}.pid"
    lock = FileLock(folder / f"{name}.lock", mode=0o600)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire(timeout=0)
        owner.touch(mode=0o600)
        owner.write_text(str(os.getpid()), encoding="ascii")
    except Timeout:
        who = f" (process {owner.read_text(encoding='ascii')})" if owner.exists() else ""
        raise DeployError(
            f"another apply of {name} is running on this machine{who}",
            advice="wait until it has ended, then run apply again",
        ) from None
    except OSError as error:
        lock.release()
        raise DeployError(
            f"the lock in {folder} cannot be written: {error.strerror}",
            advice="make room or give access there, or set GLMDEPLOY_HOME to another folder",
        ) from None
    try:
        yield
    finally:
        lock.release()


def preview(
    plan: Plan,
    target: Target,
    *,
    force: bool = False,
    make_secrets: bool = False,
    verify_weights: bool = False,
    judge: bool = True,
) -> Preview:
    """What is to be done so that the plan runs; with ``force``, even where it runs already. Changes nothing.

    Without ``judge`` SGLang is not asked about its arguments before it is deployed.

    :raises DeployError: if the target cannot be asked.
    :raises LocalCloudError: where the plan asks for an engine that the embedded cloud cannot run.
    """
    engine = target.engine(plan)
    now = current(plan, target)
    before = now.data if now and now.data else {}
    changes = diff(before, plan.data())
    if now is not None and now.version != __version__:
        changes = (Change(section="glmdeploy", name="version", old=now.version, new=__version__), *changes)
    changed = force or now is None or now.digest != short_digest(plan) or now.version != __version__
    need = needed(plan, target)
    return Preview(
        plan=plan,
        target=target,
        now=now,
        changes=changes,
        changed=changed,
        need=need,
        engine=engine,
        because=impact(before, plan.data()) if before else Impact(),
        missing=missing_secrets(plan, target) if changed or verify_weights or need.download or need.compile else (),
        judged=judge and changed and (force or _started_with(before) != _started_with(plan.data())),
        make_secrets=make_secrets,
        verify_weights=verify_weights,
    )


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
    _deploy(plan, target, strategy=strategy, tag=tag)
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


def _started_with(data: Mapping[str, Any]) -> list[Any]:
    """What of a plan's data decides whether SGLang takes its arguments."""
    server, stage = data.get("server", {}), data.get("compile", {})
    return [
        *(data.get(name) for name in ("sglang", "model", "gpu", "weights", "kernels")),
        *(server.get(name) for name in ("image", "command", "env", "defaults")),
        stage.get("command"),
    ]


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


def _deploy(plan: Plan, target: Target, *, strategy: str, tag: str) -> None:
    """Deploy the app.

    :raises DeployError:
    """
    with tempfile.TemporaryDirectory() as folder, output():
        app = build.build(plan, Path(folder))

        async def deploy() -> None:
            await app.deploy.aio(environment_name=target.environment, strategy=strategy, tag=tag)

        attended(target, f"deploy {plan.app}", deploy)


def forget_failures(plan: Plan, target: Target) -> None:
    """Let the plan start again, however often it has failed: somebody has looked at it. Nothing else changes.

    :raises DeployError:
    """

    def forget_them() -> None:
        forget(modal.Volume.from_name(plan.weights.name, environment_name=target.environment), plan.digest)

    within(target, f"forget the failed starts of {plan.app}", lambda: plainly(forget_them))
