"""A rule about runners of experts, each of which multiplies some formats of weights and is refused with others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.rules.rule import AIR, AT_0_5_23, NOSPEC, Look, Rule, Topic, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.rules.facts import Facts

_RUNNER, _QUANTIZATION = "moe_runner_backend", "quantization"
_CUTEDSL = "flashinfer_cutedsl"

_FP4 = frozenset(("modelopt_fp4", "modelopt_mixed", "nvfp4_online", "minimax_m3_nvfp4"))

TAKEN: Mapping[str, frozenset[str]] = {
    "flashinfer_cutlass": frozenset(("modelopt_fp4", "modelopt_fp8", "modelopt_mixed")),
    _CUTEDSL: _FP4,
    "flashinfer_trtllm": _FP4 | {"fp8", "mxfp8", "modelopt_fp8", "compressed-tensors"},
    "flashinfer_trtllm_routed": _FP4 | {"fp8", "mxfp8"},
}
"""The values of ``quantization`` that SGLang takes for a runner in some release from 0.5.10 to 0.5.23."""

STORED = frozenset(("none", "fp8", "awq", "gptq", "mxfp4", "compressed-tensors", "modelopt_fp8"))
"""How checkpoints store weights that CuteDSL's experts, which are in FP4 alone, cannot be."""

_HYBRID_FP4 = ("DeepseekV4ForCausalLM",)
"""Architectures whose checkpoints may have experts in FP4 beside other weights, which their format does not tell."""


def _wrong_format(facts: Facts) -> Iterator[Violation]:
    runner, asked, written = facts.value(_RUNNER), facts.setting(_QUANTIZATION), facts.setting(_RUNNER)
    if not isinstance(runner, str) or runner not in TAKEN:
        return
    if runner == _CUTEDSL and not facts.between("0.5.11", None):
        return
    named = f"`{written.key}: {runner}`" if written else f"the runner {runner}, which SGLang takes,"
    if asked and isinstance(asked.value, str):
        stored = facts.quantization
        if stored in STORED - {"none", "modelopt_fp8"} and asked.value.lower() != stored:
            return  # GLM121 tells it, and without the option SGLang may take another runner.
        if asked.value.lower() not in TAKEN[runner]:
            yield Violation(
                path=facts.path(_RUNNER if written else _QUANTIZATION),
                message=f"{named} does not run experts with `{asked.key}: {asked.value}`",
                edits=facts.drop(_RUNNER),
            )
    elif written and runner == _CUTEDSL and facts.quantization in STORED and not _told_elsewhere(facts):
        stored = "not quantised" if facts.quantization == "none" else f"in {facts.quantization}"
        yield Violation(
            path=facts.path(_RUNNER),
            message=f"{named} runs experts in FP4 only, and the checkpoint is {stored}",
            edits=facts.drop(_RUNNER),
        )


def _told_elsewhere(facts: Facts) -> bool:
    """Whether GLM120 tells it, or it is not known whether it is so."""
    return facts.block_fp8 or facts.architecture in (None, *_HYBRID_FP4)


WRONG_FORMAT = Rule(
    id="GLM223",
    title="runner of experts that does not know their format",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="FlashInfer's runners of experts are built for some formats of weights each, and SGLang asserts the format "
    "when it resolves its arguments, also for models without experts: CuteDSL (from 0.5.11 on) runs FP4 alone, CUTLASS "
    "ModelOpt's formats, TensorRT-LLM FP8 and FP4. What a `quantization` that is written out asks for counts in every "
    "case; the checkpoint's own format counts for CuteDSL, which refused all of 68 that were not in FP4 (tried with "
    "0.5.11 to 0.5.23).",
    fix="leave `moe-runner-backend` out, and SGLang takes one that fits the checkpoint",
    sources=(
        "sglang/srt/server_args.py, _handle_moe_kernel_config (0.5.10, 0.5.13.post1, 0.5.16)",
        "sglang/srt/arg_groups/moe_hook.py, handle_moe_kernel_config (0.5.23)",
    ),
    check=_wrong_format,
    fails=(
        example("sglang.args.moe-runner-backend=flashinfer_cutedsl", profile=AIR),
        example("sglang.args.moe-runner-backend=flashinfer_cutlass", "sglang.args.quantization=fp8"),
        example(
            *("sglang.args.moe-runner-backend=flashinfer_cutlass", "sglang.args.quantization=fp8"), profile=AT_0_5_23
        ),
        example(
            *("gpu=B200:8", "sglang.args.tp=8", "model.repo=zai-org/GLM-4.5-Air", "sglang.args.quantization=fp8"),
            "sglang.args.moe-runner-backend=flashinfer_cutlass",
            profile=AIR,
        ),
    ),
    passes=(
        example(),
        example(
            *("sglang.args.moe-runner-backend=flashinfer_trtllm", "sglang.args.quantization=fp8"),
            profile=NOSPEC,
        ),
        example("sglang.args.moe-runner-backend=triton", profile=AIR),
    ),
    looked=Look(date="2026-11-29", release="0.5.23"),
)

RULES = (WRONG_FORMAT,)
