"""What ``destroy`` would do and does, as text and as data."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from glmdeploy.findings import listed
from glmdeploy.operate.destroy import AppGone, AppStopped, VolumeRemoved
from glmdeploy.report.view import clean
from glmdeploy.report.words import count_bytes, counted, duration, iso

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.operate.destroy import Destruction, Step
    from glmdeploy.operate.volumes import Held


def destruction_text(what: Destruction, width: int) -> Iterator[str]:
    """What would be done: first what stops, then what goes, then what stays."""
    for line in _lines(what):
        yield from textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)


def _lines(what: Destruction) -> Iterator[str]:
    found = what.status
    if found.deployed is not None:
        endpoint = " and its endpoint" if found.deployed.plan else ""
        yield f"Stops {what.app}{endpoint}: {_running(what)}."
        if found.deployed.foreign:
            yield "glmdeploy did not deploy it, or its plan is not kept: what it uses is not known, and stays."
    elif what.removed:
        yield f"{what.app} is not deployed; this is what it left."
    else:
        yield f"{what.app} is not deployed."
    if what.removed:
        yield f"Removes for good: {_volumes(what.removed)}."
    kept = []
    if what.kept:
        kept.append(_volumes(what.kept))
    if what.secrets and (what.acts or what.kept):
        kept.append(f"secret{'s' * (len(what.secrets) != 1)} {', '.join(map(clean, what.secrets))}")
    if kept:
        offer = "" if what.remove or not what.kept else " `--volumes` removes the volumes."
        yield f"Kept: {'; '.join(kept)}.{offer}"
    yield from _used(what)


def _running(what: Destruction) -> str:
    found = what.status
    containers = counted(len(found.containers), "container")
    if not found.containers:
        return "nothing runs"
    if found.requests is None:
        return f"{containers} {'run' if len(found.containers) != 1 else 'runs'}, how many requests is not known"
    count = found.requests.running + (found.requests.waiting or 0)
    if not count:
        return f"no request is running, in {containers}"
    return f"{counted(count, 'request')} {'is' if count == 1 else 'are'} running, in {containers}"


def _volumes(some: Sequence[Held]) -> str:
    each = [clean(held.name) + (f" ({count_bytes(held.bytes)})" if held.bytes is not None else "") for held in some]
    return f"volume{'s' * (len(some) != 1)} {', '.join(each)}"


def _used(what: Destruction) -> Iterator[str]:
    """Why a volume stays that was to be removed."""
    if not what.remove:
        return
    for each in what.kept:
        if each.used_by:
            verb = "uses" if len(each.used_by) == 1 else "use"
            yield f"{clean(each.name)} stays: {listed([*map(clean, each.used_by)])} {verb} it."
        elif each.unknown:
            verb = "mounts" if len(each.unknown) == 1 else "mount"
            yield f"{clean(each.name)} stays: what {listed([*map(clean, each.unknown)])} {verb} is not known."


def step_text(step: Step) -> str | None:
    """A line on a step; None for one that the next line tells."""
    match step:
        case AppGone(seconds=seconds):
            return f"Stopped after {duration(seconds)}: nothing runs, and its endpoint answers nobody."
        case VolumeRemoved(volume=volume):
            return f"Removed the volume {clean(volume.name)}."
        case AppStopped():
            return None


def destruction_data(what: Destruction) -> dict[str, Any]:
    """What would be done, as JSON data."""
    found = what.status
    return {
        "app": what.app,
        "target": what.target.name,
        "environment": what.target.environment,
        "state": "deployed" if found.deployed else "not deployed",
        "stopped_at": iso(what.gone.at) if what.gone else None,
        "containers": len(found.containers),
        "requests": None
        if found.requests is None
        else {"running": found.requests.running, "waiting": found.requests.waiting},
        "remove_volumes": [_held(each) for each in what.removed],
        "keep_volumes": [_held(each) for each in what.kept],
        "keep_secrets": list(what.secrets),
    }


def _held(each: Held) -> dict[str, Any]:
    return {
        "name": each.name,
        "bytes": each.bytes,
        "used_by": list(each.used_by),
        "not_known": list(each.unknown),
    }
