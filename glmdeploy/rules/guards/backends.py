"""Rules about backends that were chosen for a GPU that has no kernels for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy import families
from glmdeploy.findings import Severity
from glmdeploy.rules.guards.kernels import block_fp8
from glmdeploy.rules.rule import BLACKWELL, GENERATIONS, HOPPER, Rule, Violation, example
from glmdeploy.sglang.catalog import version_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

AMPERE, BLACKWELL_RTX = 8, 12

_DSA = ("dsa_prefill_backend", "dsa_decode_backend")
_ATTENTION = ("attention_backend", "prefill_attention_backend", "decode_attention_backend")
_EXPERTS = ("moe_runner_backend", "speculative_moe_runner_backend")
_GEMM = ("fp8_gemm_runner_backend",)


@dataclass(frozen=True, kw_only=True)
class Need:
    """Kernels of ``values`` of ``options`` exist for GPUs of these major compute capabilities, and for no others.

    ``since`` and ``until`` are the first and the last release of which that is known, None for all.
    """

    options: tuple[str, ...]
    values: tuple[str, ...]
    majors: tuple[int, ...]
    since: str | None = None
    until: str | None = None

    def applies(self, facts: Facts) -> bool:
        """Whether the release is meant and the GPU is none of those."""
        release = version_key(facts.catalog.version)
        return (
            facts.gpu.major not in self.majors
            and (self.since is None or version_key(self.since) <= release)
            and (self.until is None or release <= version_key(self.until))
        )


NEEDS = (
    Need(options=_DSA, values=("trtllm",), majors=(BLACKWELL,)),
    Need(options=_DSA, values=("fa3",), majors=(AMPERE, HOPPER)),
    Need(options=_DSA, values=("flashmla_sparse_q8",), majors=(HOPPER,)),
    Need(options=_DSA, values=("aiter", "triton", "intel_xpu"), majors=()),
    Need(options=_ATTENTION, values=("trtllm_mla", "tokenspeed_mla"), majors=(BLACKWELL, BLACKWELL_RTX)),
    Need(options=_ATTENTION, values=("cutedsl_mla",), majors=(BLACKWELL,)),
    Need(options=_ATTENTION[:2], values=("trtllm_mha",), majors=(BLACKWELL,), until="0.5.18"),
    Need(options=_ATTENTION, values=("fa3",), majors=(AMPERE, HOPPER)),
    Need(options=_EXPERTS, values=("flashinfer_trtllm", "flashinfer_trtllm_routed"), majors=(BLACKWELL, BLACKWELL_RTX)),
)

GEMM_NEEDS = (
    Need(options=_GEMM, values=("flashinfer_trtllm",), majors=(BLACKWELL,)),
    Need(options=_GEMM, values=("flashinfer_cutlass",), majors=(BLACKWELL, BLACKWELL_RTX)),
    Need(options=_GEMM, values=("flashinfer_deepgemm",), majors=(HOPPER,)),
    Need(options=_GEMM, values=("cutlass",), majors=(HOPPER, BLACKWELL, BLACKWELL_RTX), until="0.5.15.post1"),
    Need(options=_GEMM, values=("cutlass",), majors=(BLACKWELL_RTX,), since="0.5.16"),
    Need(options=_GEMM, values=("aiter",), majors=()),
)
"""What multiplies matrices in FP8 by blocks; SGLang does not ask for other checkpoints."""

FP4 = Need(options=("quantization",), values=("modelopt_fp4",), majors=(BLACKWELL, BLACKWELL_RTX), until="0.5.12.post1")
"""From 0.5.13 on Marlin computes with FP4 weights on older GPUs."""


def _missing_kernels(facts: Facts) -> Iterator[Violation]:
    here = f"{facts.gpu.type} is {GENERATIONS[facts.gpu.major]}"
    for need in (*NEEDS, *(GEMM_NEEDS if block_fp8(facts) else ())):
        for option in need.options if need.applies(facts) else ():
            setting = facts.setting(option)
            overruled = option == "attention_backend" and facts.setting("prefill_attention_backend")
            if setting and setting.value in need.values and facts.value(option) in need.values and not overruled:
                wants = " or ".join(GENERATIONS[major] for major in need.majors) or "the GPUs of other makers"
                yield Violation(
                    path=facts.path(option),
                    message=f"`{setting.key}: {setting.value}` is for {wants}, and {here}",
                    edits=facts.drop(option),
                )
    yield from _fp4(facts, here)


def _fp4(facts: Facts, here: str) -> Iterator[Violation]:
    asked, repo = facts.setting("quantization"), facts.profile.model.repo
    if not FP4.applies(facts):
        return
    if asked and asked.value in FP4.values:
        path, what = facts.path("quantization"), f"`{asked.key}: {asked.value}`"
    elif families.quantization(repo) in FP4.values:
        path, what = ("model", "repo"), f"the checkpoint `{repo}`"
    else:
        return
    yield Violation(
        path=path, message=f"{what} is in FP4, which SGLang {facts.catalog.version} runs on Blackwell, and {here}"
    )


MISSING_KERNELS = Rule(
    id="GLM006",
    title="backend without kernels for the GPU",
    severity=Severity.ERROR,
    why="Many backends are built for one generation of GPUs. SGLang refuses some of them at start; others are accepted "
    "and end the server later: with trtllm for sparse attention on an H100, 0.5.11 started and died at the first "
    "request (measured). That FlashInfer builds its TensorRT-LLM experts for Blackwell alone, that FlashAttention 3 "
    "does not run there, and the rest of the list were read in the sources; `flashinfer_trtllm` experts were not tried "
    "alone. `cutlass` multiplies FP8 on Hopper and Blackwell until 0.5.15, later on RTX cards alone. FP4 checkpoints "
    "need Blackwell until 0.5.12.",
    fix="leave the option out, and SGLang takes a backend of this GPU's; or rent the GPU that it is for",
    sources=(
        "https://github.com/sgl-project/sglang/pull/31481",
        "https://github.com/sgl-project/sglang/issues/40286",
        "sglang/srt/layers/attention/nsa_backend.py (0.5.11)",
        "sglang/srt/layers/attention/dsa_backend.py (0.5.16, 0.5.23)",
        "sglang/srt/layers/attention/attention_registry.py (0.5.10 to 0.5.23)",
        "sglang/srt/server_args.py (0.5.11)",
        "sglang/srt/arg_groups/attention_hook.py (0.5.19, 0.5.23)",
        "sglang/srt/layers/quantization/fp8_utils.py (0.5.10 to 0.5.23)",
        "sglang/srt/layers/quantization/modelopt_quant.py (0.5.12.post1, 0.5.13.post1)",
        "flashinfer/jit/fused_moe.py (0.6.7.post2, 0.6.8.post1, 0.6.14, 0.7.2)",
    ),
    check=_missing_kernels,
    fails=(
        example("sglang.args.nsa-decode-backend=trtllm", profile="h200-eagle-bf16kv"),
        example("sglang.args.nsa-prefill-backend=trtllm", profile="h200-eagle-bf16kv"),
        example("sglang.args.moe-runner-backend=flashinfer_trtllm", profile="h200-eagle-bf16kv"),
        example("sglang.args.speculative-moe-runner-backend=flashinfer_trtllm_routed", profile="h100-glm45-air-fp8"),
        example("sglang.args.attention-backend=trtllm_mla", profile="h200-eagle-bf16kv"),
        example("sglang.args.attention-backend=trtllm_mha", profile="h100-glm45-air-fp8"),
        example("sglang.args.fp8-gemm-backend=flashinfer_trtllm", profile="h200-eagle-bf16kv"),
        example("sglang.args.nsa-decode-backend=fa3"),
        example("sglang.args.nsa-decode-backend=aiter"),
        example("sglang.args.fp8-gemm-backend=flashinfer_deepgemm"),
        example("sglang.args.fp8-gemm-backend=cutlass", profile="b200-eagle-bf16kv-0.5.23"),
        example(
            *("model.repo=nvidia/GLM-5.1-NVFP4", "sglang.args.quantization=modelopt_fp4"),
            "sglang.args.kv-cache-dtype=auto",
            profile="h200-eagle-bf16kv",
        ),
    ),
    passes=(
        example(),
        example(profile="h200-eagle-bf16kv"),
        example("sglang.args.nsa-decode-backend=fa3", profile="h200-eagle-bf16kv"),
        example("sglang.args.moe-runner-backend=triton", profile="h200-eagle-bf16kv"),
        example("sglang.args.decode-attention-backend=trtllm_mha", profile="h100-glm45-air-fp8"),
        example("sglang.args.fp8-gemm-backend=cutlass"),
        example("sglang.args.fp8-gemm-backend=flashinfer_trtllm", profile="h100-glm45-air-fp8"),
    ),
)

RULES = (MISSING_KERNELS,)
