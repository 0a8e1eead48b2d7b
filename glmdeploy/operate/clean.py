"""Finds, and removes, what no deployed or kept version of any app in the Environment needs of glmdeploy's volumes.

It fails closed. An app of glmdeploy whose plan cannot be read stops it; a volume that another app mounts, be it one
that runs a stage just now, is left alone; and what is found is looked for again, under the locks of ``apply``, before
it goes.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import modal
from modal.types import FileEntryType
from modal_proto import api_pb2

from glmdeploy.errors import DeployError
from glmdeploy.operate.archive import VOLUME, archived
from glmdeploy.operate.asking import within
from glmdeploy.operate.control_plane import rpc
from glmdeploy.operate.deployed import deployed
from glmdeploy.operate.history import DIGITS, history
from glmdeploy.operate.leftovers import Contents, File, Leftover, archive_contents, contents
from glmdeploy.operate.lock import exclusive
from glmdeploy.operate.volumes import content
from glmdeploy.plan.needs import needs
from glmdeploy.resources import DIGEST_TAG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from glmdeploy.operate.history import History
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

GRACE_SECONDS = 3600
"""What was written later is kept: an apply of another machine may be about to deploy what needs it."""
LIST_SECONDS = 180.0
"""The longest wait for the list of a volume's files."""
REMOVAL_SECONDS = 600.0
"""The longest wait for one removal: a version of a model has hundreds of files."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What lies in the volumes.

    ``apps`` are glmdeploy's, deployed, with how many of their versions are kept. ``busy`` are volumes that were not
    looked into, and why. ``names`` are all apps whose locks are wanted.
    """

    contents: tuple[Contents, ...]
    apps: Mapping[str, int]
    busy: Mapping[str, str]
    names: tuple[str, ...]

    @property
    def leftovers(self) -> tuple[Leftover, ...]:
        return tuple(leftover for each in self.contents for leftover in each.leftovers)


def survey(target: Target, *, keep: int, grace: float = GRACE_SECONDS) -> Survey:
    """Look through all volumes of all plans that are deployed or archived.

    ``keep`` is how many earlier plans of each app stay, beside the one that runs.

    :raises DeployError: also for an app of glmdeploy whose plan cannot be read.
    """
    before = time.time() - grace
    archive = _files(VOLUME, target)
    apps = _apps(target)
    kept: dict[str, list[dict[str, Any]]] = {}
    others: dict[str, str] = {}
    for app in apps:
        found = _kept(app, target, keep) if app.deployed else _Kept(plans=[], foreign=True)
        if found.plans:
            kept[app.name] = found.plans
        if found.foreign:
            others[app.app_id] = app.name
    plans = _archived(archive, target)
    young = [plan.data() for path, plan in plans.items() if archive[path].at > before]
    needed = needs([data for some in kept.values() for data in some] + young)
    volumes = sorted((needed.volumes | needs(plan.data() for plan in plans.values()).volumes) - {VOLUME})
    busy = {name: "a plan needs all of it" for name in volumes if name in needed.whole}
    busy |= _mounted(others, [*volumes, VOLUME], target)
    found_contents = [
        contents(name, _files(name, target), needed, partial(_read, name, target), before=before)
        for name in volumes
        if name not in busy
    ]
    if VOLUME not in busy:
        understood = {path: file for path, file in archive.items() if path in plans or not path.startswith("plans/")}
        damaged = len(archive) - len(understood)
        found_contents.append(archive_contents(VOLUME, understood, needed, before=before, other=damaged))
    return Survey(
        contents=tuple(found_contents),
        apps={name: len(some) for name, some in sorted(kept.items())},
        busy=busy,
        names=tuple(sorted({*kept, *(plan.app for plan in plans.values())})),
    )


def remove(
    shown: Survey, target: Target, locks: Path, *, keep: int, grace: float = GRACE_SECONDS
) -> Iterator[Leftover]:
    """Remove what was shown and still is a leftover; each is given when it is gone.

    :raises DeployError: also when an apply is under way on this machine.
    """
    with contextlib.ExitStack() as held:
        for name in shown.names:
            held.enter_context(exclusive(locks, f"{name} on {target.name}"))
        now = survey(target, keep=keep, grace=grace)
        for leftover in now.leftovers:
            if leftover in shown.leftovers:
                _remove(leftover, target)
                yield leftover


@dataclass(frozen=True, kw_only=True)
class _App:
    app_id: str
    name: str
    deployed: bool


@dataclass(frozen=True, kw_only=True)
class _Kept:
    plans: list[dict[str, Any]]
    foreign: bool
    """Whether it is, or runs, what glmdeploy did not deploy: then what it mounts is left alone."""


def _apps(target: Target) -> list[_App]:
    """The apps of the Environment that are not stopped."""

    async def look() -> list[_App]:
        answer = await rpc("AppList", api_pb2.AppListRequest(environment_name=target.environment or ""))
        return [
            _App(
                app_id=app.app_id,
                name=app.name or app.description,
                deployed=app.state == api_pb2.APP_STATE_DEPLOYED,
            )
            for app in answer.apps
            if app.state not in _ENDED
        ]

    return within(target, "list the apps", look)


_ENDED = (api_pb2.APP_STATE_STOPPED, api_pb2.APP_STATE_STOPPING)


def _kept(app: _App, target: Target, keep: int) -> _Kept:
    """The data of the plans that an app runs and may go back to.

    :raises DeployError: where one of them cannot be read.
    """
    past = history(app.app_id, target)
    numbers: list[int | None] = [*_numbers(past, keep)]
    if not numbers and _is_tagged(app, target):
        numbers = [None]
    return _Kept(
        plans=[_data(app.name, number, target) for number in numbers],
        foreign=not numbers or (numbers != [None] and past.origin(past.production) is None),
    )


def _data(app: str, number: int | None, target: Target) -> dict[str, Any]:
    """The data of the plan of a version, the one that runs where there is no number. :raises DeployError:"""
    found = deployed(app, target, number)
    try:
        if found is not None and found.data is not None:
            needs([found.data])
            return found.data
    except (KeyError, TypeError, AttributeError):
        pass  # of a release whose plans had another shape
    which = app if number is None else f"version {number} of {app}"
    raise DeployError(
        f"the plan of {which} cannot be read, so what it needs is not known: nothing was removed",
        advice="deploy it again with `glmdeploy apply`, stop it, or keep fewer versions with `--keep`",
    )


def _numbers(past: History, keep: int) -> list[int]:
    """The versions of the plan that runs, and of the ``keep`` other plans before it; one each."""
    numbers: dict[str, int] = {}
    for version in past.versions:
        if version.number > past.production:
            continue
        origin = past.origin(version.number)
        if origin is not None and origin.digits is not None:
            numbers.setdefault(origin.digits, version.number)
        if len(numbers) == keep + 1:
            break
    newer = (past.origin(each.number) for each in past.versions if each.number > past.production)
    for origin in newer:  # published and not in production: about to be, or taken back
        if origin is not None and origin.digits is not None:
            numbers.setdefault(origin.digits, origin.number)
    return list(numbers.values())


def _is_tagged(app: _App, target: Target) -> bool:
    """Whether an app's tags say that glmdeploy deployed it, where its history does not."""

    async def look() -> bool:
        answer = await rpc("AppGetTags", api_pb2.AppGetTagsRequest(app_id=app.app_id))
        return DIGEST_TAG in answer.tags

    return within(target, f"read the tags of {app.name}", look)


def _archived(files: Mapping[str, File], target: Target) -> dict[str, Plan]:
    """The plans that are archived, by path; without those of another release, or damaged, which are not understood."""
    found = {}
    for path in files:
        digits = path.removeprefix("plans/").removesuffix(".json")
        if path != f"plans/{digits}.json" or len(digits) != DIGITS:
            continue
        with contextlib.suppress(DeployError):
            if plan := archived(digits, target):
                found[path] = plan
    return found


def _mounted(apps: Mapping[str, str], volumes: list[str], target: Target) -> dict[str, str]:
    """The volumes that apps mount which are not glmdeploy's, or only run a stage; and whose they are."""

    async def look() -> dict[str, str]:
        ids = {}
        for name in volumes:
            handle = modal.Volume.from_name(name, environment_name=target.environment)
            with contextlib.suppress(modal.exception.NotFoundError):
                await handle.hydrate.aio()
                ids[handle.object_id] = name
        found: dict[str, str] = {}
        for app_id, app in apps.items():
            layout = (await rpc("AppGetLayout", api_pb2.AppGetLayoutRequest(app_id=app_id))).app_layout
            for function_id in layout.function_ids.values():
                answer = await rpc("FunctionGetById", api_pb2.FunctionGetByIdRequest(function_id=function_id))
                mounts = [mount for each in answer.function.ranked_functions for mount in each.function.volume_mounts]
                found |= {ids[mount.volume_id]: f"{app} uses it" for mount in mounts if mount.volume_id in ids}
        return found

    return within(target, "see which apps use the volumes", look)


def _files(volume: str, target: Target) -> dict[str, File]:
    """The files of a volume by path; empty where there is no such volume."""

    async def look() -> dict[str, File]:
        handle = modal.Volume.from_name(volume, environment_name=target.environment)
        try:
            entries = await handle.listdir.aio("/", recursive=True)
        except (modal.exception.NotFoundError, FileNotFoundError):
            return {}
        return {
            entry.path.lstrip("/"): File(size=entry.size, at=entry.mtime)
            for entry in entries
            if entry.type != FileEntryType.DIRECTORY
        }

    return within(target, f"list the volume {volume}", look, seconds=LIST_SECONDS)


def _read(volume: str, target: Target, path: str) -> bytes:
    return content(volume, path, target) or b""


def _remove(leftover: Leftover, target: Target) -> None:
    async def go() -> None:
        handle = modal.Volume.from_name(leftover.volume, environment_name=target.environment)
        for path in leftover.paths:
            with contextlib.suppress(FileNotFoundError, modal.exception.NotFoundError):  # gone already
                await handle.remove_file.aio(path, recursive=True)

    within(target, f"remove {leftover.name} from the volume {leftover.volume}", go, seconds=REMOVAL_SECONDS)
