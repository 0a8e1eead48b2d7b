"""``apply``: what would change, and the steps that make it so.

:func:`preview` reads, :func:`carry_out` acts and yields an event at each step; neither prints, and nobody is asked.
The stages run in an app of their own before anything is deployed, so that a failed or interrupted ``apply`` leaves
the running deployment as it was; the new one becomes live with one request to Modal.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import modal
from filelock import FileLock, Timeout

from glmdeploy import __version__
from glmdeploy.app import build
from glmdeploy.errors import DeployError
from glmdeploy.operate.live import Needed, current, endpoint, needed
from glmdeploy.operate.target import check_alive, creatable, create_secret, missing_secrets, modal_errors
from glmdeploy.plan.diff import Change, diff
from glmdeploy.plan.plan import short_digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from glmdeploy.operate.live import Deployed
    from glmdeploy.operate.target import MissingSecret, Target
    from glmdeploy.plan.plan import Plan

POLL_SECONDS = 0.5
WAIT_MARGIN = 120
"""Seconds beyond the start-up limit until a missing answer counts as a failure: scheduling, image, network."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What ``apply`` would do. ``now`` is what runs under the app's name, None where nothing does."""

    plan: Plan
    target: Target
    now: Deployed | None
    changes: tuple[Change, ...]
    changed: bool
    """Whether there is something to do: another plan runs, or one that another glmdeploy deployed, or it is forced."""
    need: Needed
    missing: tuple[MissingSecret, ...]

    def check_secrets(self) -> None:
        """:raises DeployError: with the commands that create them, for secrets that :func:`carry_out` cannot create."""
        creatable(self.missing, self.target)


@dataclass(frozen=True, kw_only=True)
class SecretCreated:
    """The embedded cloud has a secret with a random value now."""

    name: str


@dataclass(frozen=True, kw_only=True)
class StageStarted:
    """``download`` or ``compile``."""

    name: str


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
    """The endpoint is asked until it answers."""


@dataclass(frozen=True, kw_only=True)
class Healthy:
    """``/health`` answered 200, ``seconds`` after the first question."""

    seconds: float


Event: TypeAlias = "SecretCreated | StageStarted | Deploying | Published | Located | Waiting | Healthy"


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


def preview(plan: Plan, target: Target, *, force: bool = False) -> Preview:
    """What is to be done so that the plan runs; with ``force``, even where it runs already. Changes nothing.

    :raises DeployError: if the target cannot be asked.
    """
    now = current(plan, target)
    changes = diff(now.data if now and now.data else {}, plan.data())
    if now is not None and now.version != __version__:
        changes = (Change(section="glmdeploy", name="version", old=now.version, new=__version__), *changes)
    changed = force or now is None or now.digest != short_digest(plan) or now.version != __version__
    return Preview(
        plan=plan,
        target=target,
        now=now,
        changes=changes,
        changed=changed,
        need=needed(plan, target) if changed else Needed(download=False, compile=False),
        missing=missing_secrets(plan, target) if changed else (),
    )


def carry_out(what: Preview, *, strategy: str, tag: str, wait: bool) -> Iterator[Event]:
    """Do it, step by step. What ran before still runs until :class:`Published` is yielded, whatever happens.

    The logs of stages and Modal's progress go to standard error. ``wait`` asks the endpoint until it answers.

    :raises DeployError: when a step fails; finished stages are kept.
    """
    plan, target = what.plan, what.target
    for secret in creatable(what.missing, target):
        create_secret(secret)
        yield SecretCreated(name=secret.name)
    yield from _run_stages(plan, target, what.need)
    yield Deploying()
    _deploy(plan, target, strategy=strategy, tag=tag)
    yield Published()
    url = endpoint(plan, target)
    yield Located(url=url)
    if wait:
        yield Waiting()
        seconds = _wait_until_healthy(url, target, plan.server.seconds("startup_timeout") + WAIT_MARGIN)
        yield Healthy(seconds=seconds)


def _run_stages(plan: Plan, target: Target, need: Needed) -> Iterator[Event]:
    """Run the needed stages, their logs on standard error.

    :raises DeployError:
    :raises KeyboardInterrupt:
    """
    if not (need.download or need.compile):
        return
    finished = False
    with tempfile.TemporaryDirectory() as folder, modal_errors(target):
        stages = build.stages(plan, Path(folder))
        with _output(), stages.app.run(environment_name=target.environment):
            if need.download:
                yield StageStarted(name="download")
                _run("download", stages.download)
            if need.compile and stages.compile:
                yield StageStarted(name="compile")
                _run("compile", stages.compile)
            finished = True
    if not finished:
        # App.run ends its app on Ctrl-C and then goes on as if nothing had happened (modal 1.6.4, runner.py).
        raise KeyboardInterrupt


def _run(name: str, stage: build.Stage) -> None:
    try:
        stage.remote()
    except modal.exception.Error:
        raise
    except Exception as error:  # whatever the stage raised in its container comes back as it was
        reason = str(error).strip() or type(error).__name__
        raise DeployError(f"the stage {name} failed: {reason}", advice="its log is above") from None


def _deploy(plan: Plan, target: Target, *, strategy: str, tag: str) -> None:
    """Deploy the app.

    :raises DeployError:
    """
    with tempfile.TemporaryDirectory() as folder, modal_errors(target), _output():
        app = build.build(plan, Path(folder))
        app.deploy(environment_name=target.environment, strategy=strategy, tag=tag)


def _wait_until_healthy(url: str, target: Target, seconds: float) -> float:
    """Ask ``/health`` until it answers 200; returns the seconds that took.

    The path is open even with an API key (facts of SGLang 0.5.10 to 0.5.23), so that no key is needed here.

    :raises DeployError: when it does not.
    """
    started = time.monotonic()
    reason = "no answer"
    while (waited := time.monotonic() - started) < seconds:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=seconds - waited + 1):
                return time.monotonic() - started
        except urllib.error.HTTPError as error:
            reason = f"HTTP status {error.code}"
            if message := _error_message(error.read(100_000)):
                raise DeployError(f"the endpoint did not start: {message}") from None
        except OSError as error:
            reason = str(error)
            check_alive(target)
        time.sleep(POLL_SECONDS)
    raise DeployError(f"the endpoint {url} was not healthy after {seconds:.0f} s ({reason})")


def _error_message(body: bytes) -> str | None:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)["error"]["message"])
    return None


@contextlib.contextmanager
def _output() -> Iterator[None]:
    """Modal's progress and the containers' logs on standard error: standard output is for results."""
    import sys

    with contextlib.redirect_stdout(sys.stderr), modal.enable_output():
        yield
