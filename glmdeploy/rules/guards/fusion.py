"""A rule about allreduce fusion, whose set-up was seen to wait for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.gpus import BLACKWELL, HOPPER
from glmdeploy.rules.rule import AT_0_5_23, ISSUES, PULLS, Look, Rule, Scope, Topic, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

_FUSION = "allreduce_fusion"
_REPORTED = "0.5.14"
"""The release of the time when all models hung on eight B200: the first with the files of that report's stack."""


def _waits(facts: Facts) -> Iterator[Violation]:
    fusion, tp = facts.value(_FUSION), facts.number("tp_size")
    if fusion in (None, "off") or tp is None or tp < 2:
        return
    reported = facts.between(_REPORTED, _REPORTED) and facts.gpu.major == BLACKWELL and tp == 8
    seen = "where NVLink multicast is off a start was seen to wait for ever without a word"
    if reported:
        seen = "every model was reported to hang at start on eight B200 with the SGLang of this time"
    yield Violation(
        path=facts.path(_FUSION),
        key=facts.setting(_FUSION) is None,
        message=f"allreduce fusion is {'on' if fusion == 'on' else f'on ({fusion})'}, and {seen}",
        severity=None if reported else Severity.INFO,
        edits=facts.put("enforce_disable_flashinfer_allreduce_fusion", True) if reported else (),
    )


WAITS = Rule(
    id="GLM202",
    title="allreduce fusion whose set-up can wait for ever",
    severity=Severity.WARNING,
    topic=Topic.KNOWN_ISSUE,
    why="FlashInfer's fusion sets up memory that the GPUs share, and each rank waits there for the others. On eight "
    "B200 every model hung so with tensor parallelism 8 (#29073 of June 2026, closed; a missing process group in "
    "FlashInfer was mended in May, FlashInfer 3247), and GLM-5.1's attention with tensor parallelism 2 on two H200 "
    "whose NVLink multicast is off (measured with 0.5.11: nothing in the log after `SymmDeviceMemory`, no time-out in "
    "240 s; ready in 60 s without fusion). SGLang switches it on by itself for GLM-5 from 0.5.11 on. The container "
    "ends at `startup_timeout`, and the next one does the same. Beside that report it is an info, for fusion is worth "
    "its speed, and no report of releases after 0.5.14 is known.",
    fix="if a start hangs, write `enforce-disable-flashinfer-allreduce-fusion: true`",
    sources=(
        f"{ISSUES}29073",
        "https://github.com/flashinfer-ai/flashinfer/pull/3247",
        f"{PULLS}23402",
        "sglang/srt/layers/flashinfer_comm_fusion.py (0.5.11, 0.5.14, 0.5.23)",
    ),
    check=_waits,
    fails=(
        example(),
        example(profile="h200-eagle-bf16kv"),
        example(
            *("sglang.version=0.5.14", "sglang.image=lmsysorg/sglang:v0.5.14-cu130"),
            "sglang.env.SGLANG_ENABLE_SPEC_V2=null",
        ),
    ),
    passes=(
        example("sglang.args.enforce-disable-flashinfer-allreduce-fusion=true"),
        example(profile=AT_0_5_23),
        example("gpu=B200", "sglang.args.tp=1", "model.repo=acme/other"),
    ),
    scope=Scope(gpu_majors=(HOPPER, BLACKWELL), since="0.5.11", until="0.5.14"),
    looked=Look(date="2026-11-29", release="0.5.23"),
)

RULES = (WAITS,)
