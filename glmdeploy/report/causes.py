"""Why a version does not start, where a guard rule has said so before: what the engine said, and what the rules found.

A rule is only named where it has a finding on the very profile: a guess without one is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.report.view import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from glmdeploy.findings import Finding

MOST = 2


@dataclass(frozen=True, kw_only=True)
class Cause:
    """What an engine says, the rules that know of it, and the command that shows more of it."""

    says: re.Pattern[str]
    rules: tuple[str, ...]
    command: str = ""


CAUSES = (
    Cause(
        says=re.compile(r"CUDA out of memory|OutOfMemoryError|Not enough memory|the GPU's memory did not suffice"),
        rules=("GLM080", "GLM083", "GLM212", "GLM082", "GLM085", "GLM084"),
        command="size",
    ),
    Cause(
        says=re.compile(r"the container's memory did not suffice|Cannot allocate memory"),
        rules=("GLM146", "GLM211"),
        command="size",
    ),
    Cause(
        says=re.compile(r"was not ready within|was not healthy after|startup|[Ww]atchdog|did not answer"),
        rules=("GLM040", "GLM041", "GLM009", "GLM017", "GLM145", "GLM202"),
    ),
    Cause(says=re.compile(r"NCCL|ncclSystem|ncclUnhandled"), rules=("GLM202", "GLM186", "GLM241", "GLM238")),
    Cause(says=re.compile(r"caught collective operation timeout|Timed out waiting \d+ms"), rules=("GLM240", "GLM241")),
    Cause(says=re.compile(r"other ranks that didn't finish loading"), rules=("GLM080", "GLM083")),
    Cause(
        says=re.compile(r"\bwas planned|, planned "), rules=("GLM031", "GLM002", "GLM007", "GLM008"), command="explain"
    ),
    Cause(says=re.compile(r"warm-up"), rules=("GLM153", "GLM154", "GLM081", "GLM030")),
    Cause(says=re.compile(r"is not a multiple|divisible"), rules=("GLM020", "GLM025", "GLM026", "GLM210")),
)
"""The texts are SGLang's, PyTorch's and our own (``runtime/exits.py``, ``runtime/comparison.py``)."""


def likely(said: str, findings: Iterable[Finding], profile: str | None) -> Iterator[str]:
    """``likely: ... (GLM083)`` for what the rules have found of it, waived or not; and the command to ``try``."""
    known = [*findings]
    matching = [cause for cause in CAUSES if cause.says.search(said)]
    ids = list(dict.fromkeys(rule for cause in matching for rule in cause.rules))
    yield from (f"likely: {clean(found.message)} ({found.id})" for found in _first(known, ids))
    commands = list(dict.fromkeys(cause.command for cause in matching if cause.command))
    if profile and commands:
        yield f"try: `glmdeploy {commands[0]} {profile}`"


def _first(findings: Sequence[Finding], ids: Sequence[str]) -> list[Finding]:
    return sorted((found for found in findings if found.id in ids), key=lambda found: ids.index(found.id))[:MOST]
