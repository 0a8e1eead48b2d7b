"""A launch of another engine, refused as what it is, with what each of its options is called in SGLang."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.launch import Note
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.launch import Launch
    from glmdeploy.sglang.engines import Engine


def refusal(launch: Launch, engine: Engine) -> list[Note]:
    """Why a launch of ``engine`` is no launch of SGLang's."""
    message = f"this launches {engine.name}, not SGLang"
    return [Note(severity=Severity.ERROR, message=message, span=launch.place)]
