"""What serves under an app's name, as Modal has it: the function's own volumes, secrets and image, and its autoscaler.

Volumes and secrets are told by their ids: one that was deleted, or made again under the same name, is another.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import modal
from modal_proto import api_pb2

from glmdeploy.operate.asking import within
from glmdeploy.operate.autoscaler import Settings, settings_of, tag_of
from glmdeploy.operate.control_plane import rpc

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from glmdeploy.operate.target import Target

MOUNTED = ("weights", "kernels", "volumes")
"""What of a plan's data names the volumes of the function that serves; one each, or several."""
ATTACHED = ("api_key", "secrets")
"""The same of its secrets."""


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The function that serves. ``volumes`` are ids by the folder that they are mounted at."""

    function_id: str
    image: str
    """Its id, empty where Modal tells none."""
    volumes: Mapping[str, str]
    secrets: frozenset[str]
    settings: Settings


@dataclass(frozen=True, kw_only=True)
class Objects:
    """The ids that names mean today; None for what is not there."""

    volumes: Mapping[str, str | None]
    secrets: Mapping[str, str | None]


def named(data: Mapping[str, Any], keys: tuple[str, ...]) -> list[Mapping[str, Any]]:
    """The volumes or the secrets that stand in a plan's data under these keys."""
    found: list[Mapping[str, Any]] = []
    for key in keys:
        value = data.get(key)
        found += value if isinstance(value, list) else [value] if value else []
    return found


def serving(data: Mapping[str, Any], target: Target, version: int = 0) -> tuple[Serving | None, Objects]:
    """The function that serves of a plan's data, None where the app has none; and what its names mean now.

    It is the production version's, unless another ``version`` is asked for.

    :raises DeployError:
    """

    async def look() -> tuple[Serving | None, Objects]:
        volumes = sorted({each["name"] for each in named(data, MOUNTED)})
        secrets = sorted({each["name"] for each in named(data, ATTACHED)})
        found, *ids = await asyncio.gather(
            _serving(data, target, version),
            *(_id(modal.Volume.from_name(name, environment_name=target.environment)) for name in volumes),
            *(_id(modal.Secret.from_name(name, environment_name=target.environment)) for name in secrets),
        )
        known: list[str | None] = [each for each in ids if each is None or isinstance(each, str)]
        return found if isinstance(found, Serving) else None, Objects(
            volumes=dict(zip(volumes, known, strict=False)),
            secrets=dict(zip(secrets, known[len(volumes) :], strict=True)),
        )

    return within(target, f"look at what serves as {data['app']}", look)


def image_of(data: Mapping[str, Any], version: int, target: Target) -> str | None:
    """The id of the image that a version serves with; None where nobody tells.

    :raises DeployError:
    """

    async def look() -> str | None:
        try:
            found = await _function(data, target, version)
        except modal.exception.Error:  # of an old version, Modal may tell nothing
            return None
        ranked = found.function.ranked_functions
        return ranked[0].function.image_id or None if ranked else None

    return within(target, f"look up the image of version {version} of {data['app']}", look)


async def _serving(data: Mapping[str, Any], target: Target, version: int) -> Serving | None:
    try:
        found = await _function(data, target, version)
        settings = await settings_of(data, found.function_id)
    except modal.exception.NotFoundError:
        return None
    ranked = found.function.ranked_functions
    definition = ranked[0].function if ranked else api_pb2.Function()
    return Serving(
        function_id=found.function_id,
        image=definition.image_id,
        volumes={mount.mount_path: mount.volume_id for mount in definition.volume_mounts},
        secrets=frozenset(definition.secret_ids),
        settings=settings,
    )


async def _function(data: Mapping[str, Any], target: Target, version: int = 0) -> api_pb2.FunctionGetResponse:
    request = api_pb2.FunctionGetRequest(
        app_name=data["app"],
        object_tag=tag_of(data),
        environment_name=target.environment or "",
        app_version=version,
    )
    answer: api_pb2.FunctionGetResponse = await rpc("FunctionGet", request)
    if version or answer.function.ranked_functions:
        return answer
    by_id = api_pb2.FunctionGetByIdRequest(function_id=answer.function_id)
    answer.function.CopyFrom((await rpc("FunctionGetById", by_id)).function)
    return answer


def _id(handle: modal.Volume | modal.Secret) -> Coroutine[Any, Any, str | None]:
    async def look() -> str | None:
        try:
            await handle.hydrate.aio()
        except modal.exception.NotFoundError:
            return None
        return str(handle.object_id)

    return look()
