"""Which engine answers in a container of the embedded cloud, and why: the real SGLang on this CPU, or its stand-in.

``apply`` asks it of a plan, before anything is deployed; the program that stands in a container's path as ``sglang``
asks it of its own arguments, and becomes the real one or does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.errors import LocalCloudError
from glmdeploy.sglang.real.environment import ENGINE_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ENGINE_VARIABLE = "GLMDEPLOY_LOCAL_ENGINE"
"""In a profile's ``sglang.env`` it asks for one of the two: ``sglang`` or ``standin``."""
REAL, STANDIN = "sglang", "standin"

_REHEARSAL = "GLMDEPLOY_STANDIN_"
"""What the names of the variables begin with by which the stand-in rehearses a fault (``standin/settings.py``)."""
_RELEASE = "GLMDEPLOY_STANDIN_SGLANG_VERSION"
"""None of them: the container side sets it for every engine (``runtime/hosting.py``)."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """``python`` is the interpreter of the real engine, None for the stand-in; ``why`` is a clause."""

    python: Path | None
    why: str

    @property
    def name(self) -> str:
        return REAL if self.python else STANDIN

    def __str__(self) -> str:
        name = f"the real SGLang {ENGINE_VERSION} on this machine's CPU" if self.python else "a stand-in for SGLang"
        return f"{name}: {self.why}"


def engine(arguments: Sequence[str], release: str, variables: Mapping[str, str], python: Path | None) -> Engine:
    """Which engine answers to SGLang's ``arguments``, as a plan of ``release`` has them, with its ``variables``.

    ``python`` is the interpreter of the real one, None where that is not installed. The first reason counts: what the
    plan asks for; a fault that it rehearses; its device; its release; what is installed.

    :raises LocalCloudError: where the plan asks for one that cannot be.
    """
    asked = variables.get(ENGINE_VARIABLE)
    against = _against(arguments, release, variables, python)
    if asked == STANDIN:
        return Engine(python=None, why=f"{ENGINE_VARIABLE} asks for it")
    if asked == REAL and against:
        reason, advice = against
        raise LocalCloudError(f"{ENGINE_VARIABLE} asks for the real SGLang, which cannot be: {reason}", advice=advice)
    if asked not in {None, REAL}:
        raise LocalCloudError(
            f"{ENGINE_VARIABLE} is {asked!r}, which is no engine",
            advice=f"set it to {REAL} or {STANDIN}, or leave it out",
        )
    if against:
        return Engine(python=None, why=against[0])
    return Engine(python=python, why="`device: cpu`, and this release is installed")


def _against(
    arguments: Sequence[str], release: str, variables: Mapping[str, str], python: Path | None
) -> tuple[str, str | None] | None:
    """What speaks against the real engine, and what can be done about it."""
    rehearsed = sorted(name for name in variables if name.startswith(_REHEARSAL) and name != _RELEASE)
    if rehearsed:
        return f"only the stand-in knows {', '.join(rehearsed)}", "leave that out"
    if (device := _value(arguments, "--device")) != "cpu":
        shown = f"`device: {device}`" if device else "the profile is for a GPU"
        return f"{shown}, and there is none here", "set `sglang.args.device: cpu`, as the profile local-cpu does"
    if release != ENGINE_VERSION:
        return f"the profile pins SGLang {release}, and the real engine is {ENGINE_VERSION}", None
    if python is None:
        return "the real engine is not installed", "install it with `glmdeploy local engine install`"
    return None


def _value(arguments: Sequence[str], option: str) -> str | None:
    """The last value of an option, which may stand behind ``=`` too; None where it is not among the arguments."""
    found = None
    for word, following in zip(arguments, [*arguments[1:], None], strict=True):
        if word == option:
            found = following
        elif word.startswith(f"{option}="):
            found = word.partition("=")[2]
    return found
