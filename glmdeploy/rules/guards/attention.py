"""Rules about the KV cache and the attention backends: its data type decides them, and the GPU has kernels or not."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.gpus import AMPERE, BLACKWELL, BLACKWELL_RTX, GENERATIONS, HOPPER
from glmdeploy.records import record
from glmdeploy.rules.facts import ALGORITHM, SPARSE
from glmdeploy.rules.rule import ISSUES, PULLS, Rule, Scope, Topic, Violation, example
from glmdeploy.sglang.models import GLM_DSA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

_OVERRIDES = "sglang/srt/arg_groups/overrides.py (0.5.15.post1 to 0.5.23)"
_KV = "kv_cache_dtype"

FULL = 0.92
"""How full the KV pool was when EAGLE's verification hung (#26399)."""

_DSA = ("dsa_prefill_backend", "dsa_decode_backend")
_ATTENTION = ("attention_backend", "prefill_attention_backend", "decode_attention_backend")
_EXPERTS = ("moe_runner_backend", "speculative_moe_runner_backend")
_GEMM = ("fp8_gemm_runner_backend",)


def _is_fp8(value: object) -> bool:
    return isinstance(value, str) and value.startswith("fp8")


def _fp8_with_eagle(facts: Facts) -> Iterator[Violation]:
    kv = facts.settings.get(_KV)
    if kv and _is_fp8(kv.value) and facts.speculates:
        yield Violation(
            path=facts.path(_KV),
            message=f"the KV cache is {kv.value} and speculative decoding is "
            f"{facts.value(ALGORITHM)}, a pair that was reported to fail for GLM-5",
            edits=facts.put(_KV, "bfloat16"),
        )


def _implicit_fp8(facts: Facts) -> Iterator[Violation]:
    kv = facts.settings.get(_KV)
    if (kv is None or kv.value == "auto") and _is_fp8(facts.value(_KV)):
        how = "`kv-cache-dtype: auto`" if kv else "`kv-cache-dtype` is left out, and then"
        verb = "makes" if kv else "SGLang makes"
        pair = ", which was reported to fail together with EAGLE" if facts.speculates else ""
        yield Violation(
            path=facts.path(_KV),
            key=kv is None,
            message=f"{how} {verb} the KV cache {facts.value(_KV)} on {facts.gpu.type}{pair}",
            edits=facts.put(_KV, "bfloat16"),
            severity=None if facts.speculates else Severity.WARNING,
        )


def _fp8_slower(facts: Facts) -> Iterator[Violation]:
    kv = facts.settings.get(_KV)
    if kv and _is_fp8(kv.value):
        yield Violation(
            path=facts.path(_KV),
            message=f"a KV cache of {kv.value} was reported slower than BF16 for GLM, because it has to be quantised",
        )


def _nearly_full(facts: Facts) -> Iterator[Violation]:
    pool, running = facts.number("max_total_tokens"), facts.number("max_running_requests")
    chunk = facts.number("chunked_prefill_size")
    # With data parallelism each group has a pool and a share of the requests.
    alone = facts.number("dp_size") == 1 and facts.attention_groups == 1
    if not (facts.speculates and pool and running and chunk and alone):
        return
    if pool // running < chunk:
        yield Violation(
            path=facts.path("max_total_tokens"),
            message=f"the KV pool of {pool:,} tokens is {FULL:.0%} full when {running} requests hold "
            f"{int(FULL * pool / running):,} tokens each, or after {ceil(FULL * pool / chunk)} prefill chunks of "
            f"{chunk:,}",
        )


@record
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
        return facts.gpu.major not in self.majors and facts.between(self.since, self.until)


NEEDS = (
    Need(options=_DSA, values=("trtllm",), majors=(BLACKWELL,)),
    Need(options=_DSA, values=("fa3",), majors=(AMPERE, HOPPER)),
    Need(options=_DSA, values=("flashmla_sparse_q8",), majors=(HOPPER,)),
    Need(options=_DSA, values=("aiter", "triton", "intel_xpu"), majors=()),
    Need(options=_ATTENTION, values=("trtllm_mla", "tokenspeed_mla"), majors=(BLACKWELL, BLACKWELL_RTX)),
    Need(options=_ATTENTION, values=("cutedsl_mla",), majors=(BLACKWELL,)),
    Need(options=_ATTENTION[:2], values=("trtllm_mha",), majors=(BLACKWELL,), until="0.5.18"),
    Need(options=_ATTENTION[:2], values=("trtllm_mha",), majors=(HOPPER, BLACKWELL, BLACKWELL_RTX), since="0.5.19"),
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
    for need in (*NEEDS, *(GEMM_NEEDS if facts.block_fp8 else ())):
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
    elif facts.quantization in FP4.values:
        path, what = ("model", "repo"), f"the checkpoint `{repo}`"
    else:
        return
    yield Violation(
        path=path, message=f"{what} is in FP4, which SGLang {facts.catalog.version} runs on Blackwell, and {here}"
    )


FP8_WITH_EAGLE = Rule(
    id="GLM001",
    title="FP8 KV cache together with EAGLE",
    severity=Severity.ERROR,
    topic=Topic.KNOWN_ISSUE,
    why="The pair is known for three troubles. GLM-5.1-FP8 on eight H200 stopped at CUDA graph capture (#22359, "
    "probably mended in 0.5.11 by #22372, which shows the pair completing GSM8K on Hopper; the first users' page "
    "places it on Blackwell). On B300 the model lost accuracy with an FP8 KV cache (#22671, without EAGLE), and "
    "EAGLE's verification hung in a nearly full KV pool (#26399); both were closed without a fix that is named, which "
    "leaves Blackwell unsettled. The pair did answer on one H100 with 0.5.11 (measured, random weights), and a "
    "published benchmark ran it on B200 and B300. Who has measured it on the own traffic can waive this rule.",
    fix="write `kv-cache-dtype: bfloat16` under `sglang.args`, or remove the `speculative-*` options",
    sources=(
        f"{ISSUES}22359",
        "https://github.com/sgl-project/sglang/pull/22372",
        f"{ISSUES}22671",
        f"{ISSUES}26399",
    ),
    check=_fp8_with_eagle,
    fails=(
        example("sglang.args.kv-cache-dtype=fp8_e4m3"),
        example("sglang.args.kv-cache-dtype=fp8_e4m3", "sglang.args.speculative-algorithm=NEXTN"),
        example("sglang.args.kv-cache-dtype=fp8_e4m3", profile="h200-eagle-bf16kv"),
    ),
    passes=(
        example(),
        example("sglang.args.kv-cache-dtype=fp8_e4m3", profile="b200-nospec-bf16kv"),
        example("sglang.args.kv-cache-dtype=fp8_e4m3", profile="h100-glm45-air-fp8"),
    ),
    scope=Scope(architectures=(GLM_DSA,)),
)

IMPLICIT_FP8 = Rule(
    id="GLM002",
    title="KV cache dtype left to SGLang, which picks FP8",
    severity=Severity.ERROR,
    topic=Topic.KNOWN_ISSUE,
    why="For models with DeepSeek's sparse attention SGLang decides an `auto` KV cache from the GPU: FP8 on Blackwell, "
    "BF16 on Hopper (the same in all releases from 0.5.10 to 0.5.23, read from the real argument resolution). Who "
    "leaves the option out to get BF16, as the first users' page does, gets FP8 on a B200, with EAGLE the pair of "
    "GLM001; without speculative decoding that is a warning. SGLang's cookbook left the option out of its B200 command "
    "because the checkpoint has no calibrated scales, which has the same effect, and its own CI serves GLM-5.1-FP8 so "
    "on eight B200, with 0.966 of GSM8K (#25453). FP8 may be what is wanted; then it should be said.",
    fix="write `kv-cache-dtype: bfloat16` (or `fp8_e4m3`, if that is what you want) under `sglang.args`",
    sources=(
        f"{ISSUES}22359",
        f"{ISSUES}21291",
        f"{PULLS}25453",
        "sglang/srt/server_args.py (0.5.10 to 0.5.14)",
        _OVERRIDES,
    ),
    check=_implicit_fp8,
    fails=(
        example("sglang.args.kv-cache-dtype=null"),
        example("sglang.args.kv-cache-dtype=auto"),
        example("sglang.args.kv-cache-dtype=null", profile="b200-nospec-bf16kv"),
        example("sglang.args.kv-cache-dtype=null", profile="b200-eagle-bf16kv-0.5.23"),
    ),
    passes=(
        example(),
        example("sglang.args.kv-cache-dtype=null", profile="h200-eagle-bf16kv"),
        example("sglang.args.kv-cache-dtype=fp8_e4m3", profile="b200-nospec-bf16kv"),
    ),
    scope=Scope(architectures=SPARSE),
)

FP8_SLOWER = Rule(
    id="GLM004",
    title="FP8 KV cache slower than BF16",
    severity=Severity.WARNING,
    topic=Topic.KNOWN_ISSUE,
    why="For the first users' traffic BF16 was faster, because FP8 has to be quantised first. The issue that they "
    "name, #17526, is a tracker of GLM-4.5 to 4.7 on Blackwell, which expects about 3 % from a faster kernel for that "
    "step. For another model, GLM-5.3-Flash on GB300, SGLang's cookbook measured FP8 2 to 5 % faster (#36519). And "
    "FP8 holds about 1.6 times the tokens (788 against 1,284 bytes per token and layer, measured with 0.5.11), so it "
    "can win where the cache is the limit: measure, then waive.",
    fix="write `kv-cache-dtype: bfloat16`, or waive the rule with what you measured",
    sources=(f"{ISSUES}17526", "https://github.com/sgl-project/sglang/pull/36519"),
    check=_fp8_slower,
    fails=(
        example("sglang.args.kv-cache-dtype=fp8_e4m3", profile="b200-nospec-bf16kv"),
        example("sglang.args.kv-cache-dtype=fp8_e4m3", "gpu=B200+:8", profile="b200-nospec-bf16kv"),
    ),
    passes=(
        example(),
        example("sglang.args.kv-cache-dtype=bf16", profile="b200-nospec-bf16kv"),
        example("sglang.args.kv-cache-dtype=fp8_e4m3", profile="h100-glm45-air-fp8"),
    ),
    scope=Scope(architectures=(GLM_DSA,)),
)

NEARLY_FULL = Rule(
    id="GLM014",
    title="KV pool so small that EAGLE will often meet it nearly full",
    severity=Severity.WARNING,
    topic=Topic.KNOWN_ISSUE,
    why="GLM-5.1 with tensor parallelism 8 hung in EAGLE's verification when its KV pool was about 92 % full, until "
    "the watchdog ended the server (#26399; closed as inactive, no fix named, a second report is of another model with "
    "0.5.10). `max-total-tokens` is the size of the whole pool. This rule speaks when the share of one running request "
    "is less than one prefill chunk, so that a few prompts are enough to fill it. Whether the hang needs more than a "
    "full pool is not known.",
    fix="remove `max-total-tokens`, so that the pool takes what the memory holds, or lower `max-running-requests`",
    sources=(f"{ISSUES}26399",),
    check=_nearly_full,
    fails=(
        example(),
        example("sglang.args.max-total-tokens=786431"),
        example(profile="h200-eagle-bf16kv"),
    ),
    passes=(
        example("sglang.args.max-total-tokens=786432"),
        example("sglang.args.max-total-tokens=null"),
        example("sglang.args.max-running-requests=4"),
        example(profile="b200-nospec-bf16kv"),
        example(profile="b200-longcontext-bf16kv"),
    ),
    scope=Scope(architectures=(GLM_DSA,)),
)

MISSING_KERNELS = Rule(
    id="GLM006",
    title="backend without kernels for the GPU",
    severity=Severity.ERROR,
    topic=Topic.KNOWN_ISSUE,
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

RULES = (
    FP8_WITH_EAGLE,
    IMPLICIT_FP8,
    FP8_SLOWER,
    NEARLY_FULL,
    MISSING_KERNELS,
)
