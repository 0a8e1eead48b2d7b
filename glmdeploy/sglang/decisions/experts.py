"""The mixture of experts: its runner, the runner of the draft, shared experts; and the fused all-reduce."""

from __future__ import annotations

from typing import Any

from glmdeploy.gpus import BLACKWELL
from glmdeploy.sglang.decisions.nodes import fuses_across_nodes
from glmdeploy.sglang.decisions.situation import OVERRIDES, UNKNOWN, Decision, Situation

_TRTLLM = ("flashinfer_trtllm", "flashinfer_trtllm_routed")


def _fuses(now: Situation) -> bool:
    asked = now["allreduce_fusion"] == "off" and now["tp_size"] > 1 and now.attention_dp == 1
    return asked and (not now.several_nodes or fuses_across_nodes(now))


def _of_draft(now: Situation) -> Any:
    target = now["moe_runner_backend"]
    return "auto" if target in _TRTLLM and not now.since("0.5.12.post1") else target


ROWS = (
    Decision(
        name="moe_runner_backend",
        gpu=BLACKWELL,
        when=lambda now: now["moe_runner_backend"] == "auto" and now.quantization not in ("fp8", "none"),
        value=UNKNOWN,
        why="depends on how the checkpoint is quantised",
        files=OVERRIDES,
    ),
    Decision(
        name="moe_runner_backend",
        gpu=BLACKWELL,
        when=lambda now: (
            now["moe_runner_backend"] == "auto" and (now.quantization == "fp8" or now.since("0.5.12.post1"))
        ),
        value="flashinfer_trtllm",
        why="on Blackwell flashinfer_trtllm for FP8 weights, from 0.5.12 on for unquantised ones too",
        files=OVERRIDES,
    ),
    Decision(
        name="allreduce_fusion",
        when=_fuses,
        value="on",
        since="0.5.11",
        until="0.5.13.post1",
        why="on for this architecture with tensor parallelism, but not with data-parallel attention",
        files=OVERRIDES,
    ),
    Decision(
        name="allreduce_fusion",
        when=_fuses,
        value="auto",
        since="0.5.14",
        why="on for this architecture with tensor parallelism, but not with data-parallel attention",
        files=OVERRIDES,
    ),
    Decision(
        name="allreduce_fusion",
        when=lambda now: bool(now["enforce_disable_flashinfer_allreduce_fusion"]),
        value="off",
        why="--enforce-disable-flashinfer-allreduce-fusion has the last word",
        files=OVERRIDES,
    ),
    Decision(
        name="disable_shared_experts_fusion",
        when=lambda now: now["moe_runner_backend"] in _TRTLLM,
        value=True,
        why="the flashinfer_trtllm runner does not fuse shared experts",
        files=OVERRIDES,
    ),
    Decision(
        name="disable_shared_experts_fusion",
        when=lambda now: now["moe_runner_backend"] is UNKNOWN,
        value=UNKNOWN,
        why="depends on the MoE runner, which is not known",
        files=OVERRIDES,
    ),
    Decision(
        name="speculative_moe_runner_backend",
        when=lambda now: now["speculative_moe_runner_backend"] is None,
        value=_of_draft,
        why="as the target model's runner; until 0.5.11 auto where that is flashinfer_trtllm",
        files=OVERRIDES,
    ),
)
