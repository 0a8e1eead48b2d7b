"""Rules about what tensor parallelism makes of the weights: parts that blocks of the checkpoint do not come out in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.rules.rule import ISSUES, Look, Rule, Topic, Violation, example
from glmdeploy.sizing.blocks import uneven

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

_LOOK = Look(date="2026-11-29", release="0.5.23")

_QWEN = "model.repo=Qwen/Qwen3-235B-A22B-FP8"
_MINIMAX = "model.repo=MiniMaxAI/MiniMax-M2"


def _uneven_blocks(facts: Facts) -> Iterator[Violation]:
    model = facts.model
    found = uneven(model, facts.value) if model else None
    if found is None:
        return
    way = f"; with `ep` {found.parts} the experts stay whole" if found.expert else ""
    yield Violation(
        path=facts.path("tp_size"),
        key="tp_size" not in facts.settings,
        message=f"{found}: SGLang ends with a ValueError when it makes the weights{way}",
    )


UNEVEN_BLOCKS = Rule(
    id="GLM210",
    title="FP8 blocks that tensor parallelism cuts through",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="A checkpoint in FP8 by blocks has one scale for 128 × 128 numbers, and SGLang wants each GPU to hold whole "
    "blocks of the experts' and the dense layers' matrices. Qwen3-235B-A22B-FP8 with `tp` 8 gives each GPU 192 of the "
    "1,536 numbers of an expert: the start ends with \"The output_size of gate's and up's weight = 192 is not "
    'divisible by weight quantization block_n = 128" (reported in #5858; the check stands in all releases from 0.5.10 '
    "to 0.5.23). The parts are counted from the dimensions that are known of the model.",
    fix="use a smaller `tp`, or expert parallelism (`ep`) that leaves the experts whole, or other weights",
    sources=(f"{ISSUES}5858", "sglang/srt/layers/quantization/fp8.py (0.5.10, 0.5.23)"),
    check=_uneven_blocks,
    fails=(
        example(_QWEN, "gpu=H200:8", "sglang.args.tp=8", profile="h100-glm45-air-fp8"),
        example(_MINIMAX, "gpu=H200:8", "sglang.args.tp=8", profile="h100-glm45-air-fp8"),
    ),
    passes=(
        example(),
        example(_QWEN, "gpu=H200:4", "sglang.args.tp=4", profile="h100-glm45-air-fp8"),
        example(_MINIMAX, "gpu=H200:8", "sglang.args.tp=8", "sglang.args.ep=8", profile="h100-glm45-air-fp8"),
        example(profile="h100-glm45-air-fp8"),
    ),
    looked=_LOOK,
)

RULES = (UNEVEN_BLOCKS,)
