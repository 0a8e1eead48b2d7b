"""The marks that finished stages left in the volumes, and where a deployed app answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import modal

from glmdeploy.errors import DeployError
from glmdeploy.operate.asking import together, within
from glmdeploy.operate.volumes import content
from glmdeploy.runtime import markers
from glmdeploy.runtime.kernels import gone_kernels, kernels_mark
from glmdeploy.runtime.weights import WEIGHTS_MARK, is_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan, Volume


@dataclass(frozen=True, kw_only=True)
class Needed:
    """Which preparing stages have to run."""

    download: bool
    compile: tuple[str, ...]
    """The GPUs whose kernels are not there."""


def needed(plan: Plan, target: Target) -> Needed:
    """Read the volumes' completion marks, without starting a container.

    The mark lies in the folder of the plan's commit, and is written last.

    :raises DeployError:
    """
    for volume in plan.serving_volumes:
        if volume.version:
            _check_version(volume, volume.version, target)
    done, not_compiled = together(lambda: _is_downloaded(plan, target), lambda: tuple(_not_compiled(plan, target)))
    return Needed(download=not done, compile=not_compiled)


def _is_downloaded(plan: Plan, target: Target) -> bool:
    """Whether the mark of the weights is there, and all that it names, with its size; no content is read."""
    folder = f"{plan.weights.sub_path}/{PurePosixPath(plan.model.path).name}"
    volume = _handle(plan.weights, target)
    mark = _marker(volume, plan.weights.name, f"{plan.weights.sub_path}/{markers.FOLDER}/{WEIGHTS_MARK}", target)
    if plan.model.commit is None or mark.get("commit") != plan.model.commit or not is_manifest(mark):
        return False
    there = _sizes(volume, plan.weights.name, folder, target)
    return all(there.get(f"{folder}/{path}") == entry["size"] for path, entry in mark["files"].items())


def _check_version(volume: Volume, version: int, target: Target) -> None:
    """See that the volume has the version that the plan wants, or is not there yet. :raises DeployError:"""

    async def look() -> bool:
        handle = modal.Volume.from_name(volume.name, environment_name=target.environment, version=version)
        try:
            await handle.hydrate.aio()
        except modal.exception.NotFoundError:
            return True
        except modal.exception.ConflictError:
            raise  # a kind of InvalidError
        except modal.exception.InvalidError:
            return False
        return True

    if not within(target, f"look for the volume {volume.name}", look):
        raise DeployError(
            f"the volume {volume.name} is there, and not of version {version}",
            advice="a volume keeps its version, and nothing moves its files to the other: leave `version` out to use "
            "it as it is, or give the volume a new name, and delete the old one when nothing runs on it any more",
        )


def _not_compiled(plan: Plan, target: Target) -> Iterator[str]:
    if plan.compile is None or plan.kernels is None:
        return
    volume, name = _handle(plan.kernels, target), plan.kernels.name
    there: dict[str, int] | None = None
    for gpu in plan.gpus:
        mark = _marker(volume, name, f"{markers.FOLDER}/{kernels_mark(plan.compile.keys[gpu])}", target)
        if mark.get("files") and there is None:
            there = _sizes(volume, name, "/", target)
        if not mark or (mark.get("files") and gone_kernels(mark, there or {})):
            yield gpu


def _handle(volume: Volume, target: Target) -> modal.Volume:
    """One for all that is asked of the volume: Modal looks its name up once."""
    return modal.Volume.from_name(volume.name, environment_name=target.environment)


def _sizes(volume: modal.Volume, name: str, folder: str, target: Target) -> dict[str, int]:
    """The files below a folder of a volume, by their paths in it, with their sizes in bytes."""

    async def look() -> dict[str, int]:
        try:
            entries = await volume.listdir.aio(folder, recursive=True)
        except (modal.exception.NotFoundError, FileNotFoundError):
            return {}
        return {entry.path.lstrip("/"): entry.size for entry in entries}

    return within(target, f"list {folder} in the volume {name}", look)


def _marker(volume: modal.Volume, name: str, path: str, target: Target) -> dict[str, Any]:
    try:
        marker = json.loads(content(name, path, target, volume) or b"")
    except ValueError:
        return {}
    return marker if isinstance(marker, dict) else {}


def endpoint(plan: Plan, target: Target) -> str:
    """URL of the deployed server, without a slash at its end.

    :raises DeployError:
    """

    async def look() -> str:
        if plan.server.kind == "server":
            one = modal.Server.from_name(plan.app, "Server", environment_name=target.environment)
            url = await one.get_url.aio()
        else:
            server = modal.Cls.from_name(plan.app, "Server", environment_name=target.environment)
            url = await server().serve.get_web_url.aio()
        if not url:
            raise DeployError(f"{target} tells no address of {plan.app}")
        return str(url)

    return within(target, f"look up the address of {plan.app}", look).rstrip("/")


def dashboard(app_id: str, target: Target) -> str:
    """URL of an app's page: on Modal's dashboard, or of the embedded cloud."""
    return f"{target.cloud.gateway_url}/_apps/{app_id}" if target.cloud else f"https://modal.com/id/{app_id}"
