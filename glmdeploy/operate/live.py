"""What runs now: the deployed version of an app, the marks of its finished stages, and where it answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import modal

from glmdeploy.operate.target import modal_errors
from glmdeploy.plan.plan import short_digest
from glmdeploy.resources import DIGEST_TAG, VERSION_TAG
from glmdeploy.runtime import markers
from glmdeploy.runtime.weights import WEIGHTS_MARK

if TYPE_CHECKING:
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan, Volume


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What runs under the app's name: the tags that ``apply`` left, and the plan's data where it could be read."""

    digest: str | None
    version: str | None
    data: dict[str, Any] | None


def current(plan: Plan, target: Target) -> Deployed | None:
    """What is deployed under the plan's app name; None when nothing is.

    The app's tags are asked first; only when they differ from the plan is ``describe`` called, which starts a small CPU
    container. ``data`` is None for an app that glmdeploy did not deploy.

    :raises DeployError:
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
    """Read the volumes' completion marks, without starting a container.

    The mark lies in the folder of the plan's commit, and is written last.

    :raises DeployError:
    """
    with modal_errors(target):
        weights = _marker(plan.weights, f"{plan.weights.sub_path}/{markers.FOLDER}/{WEIGHTS_MARK}", target)
        done = plan.model.commit is not None and weights.get("commit") == plan.model.commit
        key = plan.compile.key if plan.compile else ""
        compiled = bool(plan.kernels and _marker(plan.kernels, f"{markers.FOLDER}/kernels-{key}.json", target))
    return Needed(download=not done, compile=plan.compile is not None and not compiled)


def _marker(volume: Volume, path: str, target: Target) -> dict[str, Any]:
    handle = modal.Volume.from_name(volume.name, environment_name=target.environment)
    try:
        content = b"".join(handle.read_file(path))
        marker = json.loads(content)
    except (modal.exception.NotFoundError, FileNotFoundError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def endpoint(plan: Plan, target: Target) -> str:
    """URL of the deployed server, without a slash at its end.

    :raises DeployError:
    """
    with modal_errors(target):
        server = modal.Cls.from_name(plan.app, "Server", environment_name=target.environment)
        url: str = server().serve.get_web_url()
    return url.rstrip("/")
