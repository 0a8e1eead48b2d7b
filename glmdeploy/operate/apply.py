"""The steps of ``apply``: what runs now, the stages that are needed, the deployment, and the wait for its answer.

The stages run in an app of their own before anything is deployed, so that a failed or interrupted ``apply`` leaves
the running deployment as it was; the new one becomes live with one request to Modal.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modal

from glmdeploy.app import build as apps
from glmdeploy.errors import DeployError
from glmdeploy.operate.target import check_alive, modal_errors
from glmdeploy.plan.plan import DIGEST_TAG, VERSION_TAG, short_digest
from glmdeploy.runtime import markers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan, Volume

POLL_SECONDS = 0.5
WAIT_MARGIN = 120
"""Seconds beyond the start-up limit until a missing answer counts as a failure: scheduling, image, network."""


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What runs under the app's name: the tags that ``apply`` left, and the plan's data where it could be read."""

    digest: str | None
    version: str | None
    data: dict[str, Any] | None


def current(plan: Plan, target: Target) -> Deployed | None:
    """What is deployed under the plan's app name; None when nothing is. Raises DeployError.

    The app's tags are asked first; only when they differ from the plan is ``describe`` called, which starts a
    small CPU container. ``data`` is None for an app that glmdeploy did not deploy.
    """
    with modal_errors(target):
        try:
            app = modal.App.lookup(plan.app, environment_name=target.environment)
        except modal.exception.NotFoundError:
            return None
        tags = app.get_tags()
        digest = tags.get(DIGEST_TAG)
        if digest == short_digest(plan):
            data: dict[str, Any] | None = plan.data()
        else:
            data = _describe(plan, target) if digest else None
    return Deployed(digest=digest, version=tags.get(VERSION_TAG), data=data)


def _describe(plan: Plan, target: Target) -> dict[str, Any] | None:
    function = modal.Function.from_name(plan.app, "describe", environment_name=target.environment)
    try:
        data = function.remote()
    except modal.exception.NotFoundError:
        return None
    return data if isinstance(data, dict) else None


@dataclass(frozen=True, kw_only=True)
class Needed:
    """Which preparing stages have to run."""

    download: bool
    compile: bool


def needed(plan: Plan, target: Target) -> Needed:
    """Read the volumes' completion marks, without starting a container. Raises DeployError.

    A branch or tag can move, so that only a commit hash makes a complete download final; the stage itself compares
    with the hub and ends at once when nothing is new.
    """
    with modal_errors(target):
        weights = _marker(plan.weights, f"weights-{Path(plan.model.path).name}.json", target)
        done = weights.get("repo") == plan.model.repo and weights.get("commit") == plan.model.revision
        compiled = bool(
            plan.compile and plan.kernels and _marker(plan.kernels, f"kernels-{plan.compile.key}.json", target)
        )
    return Needed(download=not done, compile=plan.compile is not None and not compiled)


def _marker(volume: Volume, name: str, target: Target) -> dict[str, Any]:
    handle = modal.Volume.from_name(volume.name, environment_name=target.environment)
    try:
        content = b"".join(handle.read_file(f"{markers.FOLDER}/{name}"))
        marker = json.loads(content)
    except (modal.exception.NotFoundError, FileNotFoundError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def run_stages(plan: Plan, target: Target, need: Needed, say: Callable[[str], None]) -> None:
    """Run the needed stages, their logs on standard error. Raises DeployError and KeyboardInterrupt."""
    finished = False
    with tempfile.TemporaryDirectory() as folder, modal_errors(target):
        stages = apps.stages(plan, Path(folder))
        with _output(), stages.app.run(environment_name=target.environment):
            if need.download:
                say("download")
                _run("download", stages.download)
            if need.compile and stages.compile:
                say("compile")
                _run("compile", stages.compile)
            finished = True
    if not finished:
        # App.run ends its app on Ctrl-C and then goes on as if nothing had happened (modal 1.6.4, runner.py).
        raise KeyboardInterrupt


def _run(name: str, stage: apps.Stage) -> None:
    try:
        stage.remote()
    except modal.exception.Error:
        raise
    except Exception as error:  # whatever the stage raised in its container comes back as it was
        reason = str(error).strip() or type(error).__name__
        raise DeployError(f"the stage {name} failed: {reason}", advice="its log is above") from None


def deploy(plan: Plan, target: Target, *, strategy: str, tag: str) -> None:
    """Deploy the app. Raises DeployError."""
    with tempfile.TemporaryDirectory() as folder, modal_errors(target), _output():
        app = apps.build(plan, Path(folder))
        app.deploy(environment_name=target.environment, strategy=strategy, tag=tag)


def endpoint(plan: Plan, target: Target) -> str:
    """URL of the deployed server, without a slash at its end. Raises DeployError."""
    with modal_errors(target):
        server = modal.Cls.from_name(plan.app, "Server", environment_name=target.environment)
        url: str = server().serve.get_web_url()
    return url.rstrip("/")


def wait_until_healthy(url: str, target: Target, seconds: float) -> float:
    """Ask ``/health`` until it answers 200; returns the seconds that took. Raises DeployError when it does not.

    The path is open even with an API key (facts of SGLang 0.5.10 to 0.5.23), so that no key is needed here.
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
