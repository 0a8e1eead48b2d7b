"""Volumes by name: which are there, how much is in them, and which other deployed apps mount them."""

from __future__ import annotations

import asyncio
import http.client
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import modal
from modal_proto import api_pb2

from glmdeploy.errors import DeployError
from glmdeploy.operate.asking import plainly, within
from glmdeploy.operate.control_plane import rpc
from glmdeploy.operate.listing import names
from glmdeploy.runtime.loopback import LOOPBACK
from glmdeploy.runtime.public import HERE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from glmdeploy.operate.target import Target

SMALL_BYTES = 1024 * 1024
SMALL_SECONDS = 10.0
"""The longest wait for a byte of a small file; after it the SDK asks anew."""
AT_ONCE = 8
"""Apps that are looked at, at the same time."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """A volume that is there. ``bytes`` is None where its files could not be listed. ``used_by`` are other apps.

    ``unknown`` are other apps of which Modal did not tell what they mount.
    """

    name: str
    id: str
    bytes: int | None
    used_by: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def removable(self) -> bool:
        """Whether no other deployed app can miss it."""
        return not self.used_by and not self.unknown


def held(wanted: Iterable[str], target: Target, *, beside: str) -> tuple[Held, ...]:
    """Those of the volumes that are there, with who else mounts them; ``beside`` is the app that is not counted.

    :raises DeployError:
    """
    ids = {name: found for name in dict.fromkeys(wanted) if (found := _id(name, target)) is not None}
    if not ids:
        return ()
    others = {app: app_id for app, (app_id, _) in names(target).items() if app != beside}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        mounted = dict(zip(others, pool.map(lambda app: _mounted(app, others[app], target), others), strict=True))
    unknown = tuple(app for app, volumes in mounted.items() if volumes is None)
    return tuple(
        Held(
            name=name,
            id=volume_id,
            bytes=_bytes(name, target),
            used_by=tuple(app for app, volumes in mounted.items() if volumes and volume_id in volumes),
            unknown=unknown,
        )
        for name, volume_id in ids.items()
    )


def content(name: str, path: str, target: Target, handle: modal.Volume | None = None) -> bytes | None:
    """A file of a volume, read without a container; None where there is no such file, or no such volume.

    ``handle`` is the volume's, where more is asked of it: Modal looks its name up once.

    :raises DeployError:
    """
    volume = handle or modal.Volume.from_name(name, environment_name=target.environment)

    async def read() -> bytes | None:
        try:
            small = await _small(volume, path)
            if small is not None:
                return small
            return b"".join([part async for part in volume.read_file.aio(path)])
        except (modal.exception.NotFoundError, FileNotFoundError):
            return None

    return within(target, f"read {path} in the volume {name}", read)


async def _small(volume: modal.Volume, path: str) -> bytes | None:
    """A file of one block, without the SDK's own HTTP client, whose import takes longer than the whole file.

    None for what is larger, or does not come whole: the SDK is to read that, with its own patience.

    :raises modal.exception.NotFoundError:
    """
    await volume.hydrate.aio()
    found = await rpc("VolumeGetFile2", api_pb2.VolumeGetFile2Request(volume_id=volume.object_id, path=path))
    if not found.get_urls:
        return b"" if found.len == 0 else None
    if len(found.get_urls) > 1 or found.len > SMALL_BYTES:
        return None
    [url] = found.get_urls

    def fetch() -> bytes:
        opener = LOOPBACK if urlsplit(url).hostname in HERE else urllib.request.build_opener()
        with opener.open(url, timeout=SMALL_SECONDS) as answer:
            return bytes(answer.read(found.len + 1))

    try:
        content = await plainly(fetch)
    except (OSError, http.client.HTTPException, ValueError):
        return None
    return content if len(content) == found.len else None


def remove(name: str, target: Target) -> None:
    """Delete a volume with all its files; nothing where it is gone already.

    :raises DeployError:
    """

    async def delete() -> None:
        await modal.Volume.objects.delete.aio(name, allow_missing=True, environment_name=target.environment)

    within(target, f"remove the volume {name}", delete)


def _id(name: str, target: Target) -> str | None:
    async def look() -> str | None:
        handle = modal.Volume.from_name(name, environment_name=target.environment)
        try:
            await handle.hydrate.aio()
        except modal.exception.NotFoundError:
            return None
        return str(handle.object_id)

    return within(target, f"look for the volume {name}", look)


def _bytes(name: str, target: Target) -> int | None:
    async def look() -> int:
        handle = modal.Volume.from_name(name, environment_name=target.environment)
        return sum(entry.size for entry in await handle.listdir.aio("/", recursive=True))

    try:
        return within(target, f"list the volume {name}", look)
    except DeployError:
        return None


def _mounted(app: str, app_id: str, target: Target) -> frozenset[str] | None:
    """The ids of the volumes that an app's functions mount; None where Modal does not tell."""

    async def look() -> frozenset[str]:
        info = (await rpc("AppGetInfo", api_pb2.AppGetInfoRequest(app_id=app_id))).info
        ids = {*info.functions.values(), *info.servers.values()}
        answers = await asyncio.gather(
            *(rpc("FunctionGetById", api_pb2.FunctionGetByIdRequest(function_id=each)) for each in ids)
        )
        return frozenset(volume for answer in answers for volume in _volumes(answer.function))

    try:
        return within(target, f"look what {app} mounts", look)
    except DeployError:
        return None


def _volumes(function: api_pb2.FunctionData | api_pb2.Function) -> list[str]:
    """Of a function, and of its alternatives for several GPUs."""
    definitions = [function, *(each.function for each in getattr(function, "ranked_functions", ()))]
    return [mount.volume_id for each in definitions for mount in getattr(each, "volume_mounts", ())]
