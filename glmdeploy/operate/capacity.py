"""Whether there is room for a new version beside the one that serves: as far as Modal tells what may run at once."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty

from glmdeploy import gpus
from glmdeploy.errors import DeployError
from glmdeploy.operate.asking import within
from glmdeploy.operate.control_plane import rpc

if TYPE_CHECKING:
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """GPUs of an Environment. ``most`` is None where it has no limit of its own: the workspace's is not told."""

    most: int | None
    used: int
    spent: bool
    """Whether its limit of spending is reached: nothing starts any more."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What a rollout needs at once: ``gpus`` of ``kind``, of which ``fresh`` are not in use yet."""

    kind: str
    gpus: int
    fresh: int


def capacity(target: Target) -> Capacity | None:
    """Of the target's Environment; None where it is not known.

    :raises DeployError:
    """

    async def look() -> Capacity | None:
        answer = await rpc("EnvironmentList", Empty())
        found = next((each for each in answer.items if _is_meant(each.name, each.default, target)), None)
        if found is None:
            return None
        most = found.max_concurrent_gpus if found.HasField("max_concurrent_gpus") else None
        return Capacity(most=most, used=found.current_concurrent_gpus, spent=found.spend_limit_reached)

    return within(target, "read the limits of the Environment", look)


def _is_meant(name: str, default: bool, target: Target) -> bool:
    return name == target.environment if target.environment else default


@dataclass(frozen=True, kw_only=True)
class Shortage:
    """Why a rollout may not fit, a sentence without its end; ``certain`` where no waiting helps."""

    text: str
    certain: bool


def demand(plan: Plan, running: int) -> Demand:
    """Of one replica beside ``running`` containers; of several kinds of GPU the first that Modal tries."""
    gpu = gpus.parse(plan.gpus[0])
    return Demand(kind=gpu.type, gpus=(running + plan.nodes) * gpu.count, fresh=plan.nodes * gpu.count)


def shortage(wanted: Demand, found: Capacity | None, most: int | None = None) -> Shortage | None:
    """Why it may not fit; None where nothing speaks against it. ``most`` is what the profile says of the workspace."""
    if most is not None and wanted.gpus > most:
        return Shortage(
            text=f"it needs {wanted.gpus} {wanted.kind} at once, and the workspace may have {most} "
            "(workspace.max_gpus)",
            certain=True,
        )
    if found is None:
        return None
    if found.spent:
        return Shortage(text="the Environment's limit of spending is reached: nothing new starts", certain=True)
    if found.most is None:
        return None
    if wanted.gpus > found.most:
        return Shortage(
            text=f"it needs {wanted.gpus} {wanted.kind} at once, and the Environment may have {found.most}",
            certain=True,
        )
    if found.used + wanted.fresh > found.most:
        return Shortage(
            text=f"the Environment may have {found.most} GPUs at once and uses {found.used}: {wanted.fresh} more do "
            "not fit now",
            certain=False,
        )
    return None


def room(plan: Plan, target: Target, running: int) -> Shortage | None:
    """Why one more replica may not fit beside those that run; None also where Modal does not tell.

    A token may not have the right to ask: the deployment does not depend on it.
    """
    found = None
    with contextlib.suppress(DeployError):
        found = capacity(target)
    return shortage(demand(plan, running), found, plan.max_gpus)
