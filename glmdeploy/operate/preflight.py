"""What a container's answers before a deployment come to: a word of what was judged, or why nothing is deployed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.errors import DeployError
from glmdeploy.operate.secrets import create_command
from glmdeploy.sglang.real import oracle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

NAME = re.compile(r"--[a-z0-9][a-z0-9-]*|\b[a-z]+(?:_[a-z0-9]+)+\b")
"""An option, or the field that holds it, by which SGLang's own checks call it."""
WHOSE = {"server": "of the server", "compile": "of the kernel compilation"}


class ArgumentsRefused(DeployError):
    """SGLang does not take the arguments; ``options`` are those that it names, without the dashes."""

    def __init__(self, message: str, *, options: Sequence[str], advice: str) -> None:
        super().__init__(message, advice=advice)
        self.options = tuple(options)


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """What was looked at before anything is rented, and is in order.

    ``arguments`` says who takes them, empty where nobody was asked; ``doubts`` say what was not judged, and why;
    ``placeholders`` are packages of the image that could not be imported there. ``coming`` bytes have room.
    ``expected`` says that the doubts are those of every rehearsal with a stand-in, of which nobody needs a warning.
    """

    arguments: str = ""
    secrets: int = 0
    coming: int | None = None
    doubts: tuple[str, ...] = ()
    placeholders: tuple[str, ...] = ()
    expected: bool = False


def machines(plan: Plan) -> list[dict[str, Any] | None]:
    """The GPUs that a container gets, as the rehearsal is told of them; None for what cannot be simulated."""
    return [_machine(*gpu.partition(":")[::2]) for gpu in plan.gpus]


def _machine(name: str, count: str) -> dict[str, Any] | None:
    known = gpus.TYPES.get(name)
    return oracle.simulated(name, int(count or 1)) if known and known.simulation else None


def judged_preflight(found: Mapping[str, Any], plan: Plan, target: Target) -> Preflight:
    """What the container said before the download.

    :raises DeployError: for a secret that cannot be used, an image of another release, arguments that are refused, and
        weights that there is no room for.
    """
    check_secrets(found["unusable"], plan, target)
    doubts: list[str] = []
    arguments, placeholders = "", ()
    if judgement := found.get("arguments"):
        arguments = _taken(judgement, plan, "takes the arguments", doubts)
        placeholders = tuple(judgement["placeholders"])
    return Preflight(
        arguments=arguments,
        secrets=len(plan.looked_at),
        coming=_room(found["room"], plan, doubts) if "room" in found else None,
        doubts=tuple(doubts),
        placeholders=placeholders,
    )


def judged_rehearsal(found: Mapping[str, Any], plan: Plan, *, stand_in: bool = False) -> Preflight:
    """What the container said after the stages; with ``stand_in`` no SGLang will load what they made.

    :raises DeployError: for weights or kernels that are not there, and arguments that are refused.
    """
    if lacking := found["lacking"]:
        first, *more = lacking
        raise DeployError(
            f"the server would not find what the stages made: {first}",
            advice="\n".join([*more, "run apply again: it brings what is missing"]),
        )
    doubts: list[str] = []
    placeholders: dict[str, None] = {}
    arguments, where = "", "a CPU" if found["on_cpu"] else f"a simulated {' or '.join(plan.gpus)}"
    for judgement in found["arguments"]:
        arguments = _taken(judgement, plan, f"takes them with these weights on {where}", doubts) or arguments
        placeholders |= dict.fromkeys(judgement["placeholders"])
    return Preflight(
        arguments=arguments,
        doubts=tuple(doubts),
        placeholders=tuple(placeholders),
        expected=stand_in and bool(doubts),
    )


def _taken(judgement: Mapping[str, Any], plan: Plan, does: str, doubts: list[str]) -> str:
    """Who takes the arguments; empty where that is in doubt.

    :raises DeployError:
    """
    release, stand_in = judgement["release"], judgement["stand_in"]
    image = plan.server.image.registry
    if release is None:
        if not judgement["unjudged"]:
            doubts.append(f"the SGLang of {image} does not know its version: the profile says {plan.sglang}")
    elif release.partition("+")[0] != plan.sglang:
        raise DeployError(
            f"the image {image} has SGLang {release}, and `sglang.version` is {plan.sglang}",
            advice=f"name an image of {plan.sglang}, or write the version that the image has",
        )
    engine = f"the stand-in for SGLang {plan.sglang}" if stand_in else f"SGLang {plan.sglang}"
    for command, said in judgement["refused"].items():
        raise ArgumentsRefused(
            f"{engine} refuses the arguments {WHOSE[command]}: {said}",
            options=named(said),
            advice="its own words; `glmdeploy command PROFILE` shows the arguments, `glmdeploy explain` the options",
        )
    if why := judgement["unjudged"]:
        doubts.append(f"whether {engine} {does} was not judged: {why}")
        return ""
    return f"{engine} {does}"


def named(said: str) -> list[str]:
    """The options that a refusal names, without the dashes: not what an abbreviation could be, or a value."""
    names = NAME.findall(re.split(r" could match | \(choose from ", said)[0])
    return list(dict.fromkeys(name.removeprefix("--").replace("_", "-") for name in names))


def _room(room: Mapping[str, Any], plan: Plan, doubts: list[str]) -> int | None:
    """The bytes that are to come, which have room.

    :raises DeployError:
    """
    if why := room.get("unknown"):
        doubts.append(f"whether there is room for the weights is not known: {why}")
        return None
    coming, free = int(room["coming"]), int(room["free"])
    if coming > free:
        raise DeployError(
            f"there is no room: {coming / 1e9:.1f} GB of {plan.model.repo} are to come, and the volume "
            f"{plan.weights.name} has {free / 1e9:.1f} GB",
            advice="remove what no deployment needs (`modal volume rm`), or name another volume; where the volume's "
            "figure is wrong, set `download.env.GLMDEPLOY_FREE_SPACE: unchecked`",
        )
    return coming


def check_secrets(faults: Sequence[Mapping[str, str]], plan: Plan, target: Target) -> None:
    """:raises DeployError: for secrets whose values cannot be used, with the commands that replace them."""
    if not faults:
        return
    first, *more = (f"{fault['key']} of the secret {fault['secret']} {fault['why']}" for fault in faults)
    secrets = {secret.name: secret for secret in plan.looked_at}
    names = dict.fromkeys(fault["secret"] for fault in faults)
    commands = [f"  {create_command(secrets[name], target, new=False)}" for name in names]
    raise DeployError(
        f"{first}: it can be no key or token",
        advice="\n".join([*(f"and {line}" for line in more), "replace the secret, with all of its keys:", *commands]),
    )
