"""The situations that the real resolution is recorded in: a sample, drawn with a seed, of options that meet.

Every option that is varied here stands for itself in many samples and meets each other one in some. Most samples set
few options, as profiles do. The names are those of the newest release; a release that lacks one has it left out, or
under the name that it has there.
"""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING, Any

from glmdeploy.sglang import catalog
from glmdeploy.sglang.catalog import version_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.sglang.real.checkpoints import Checkpoint

Options = dict[str, Any]

OLD_NAMES = {
    "cuda-graph-max-bs-decode": "cuda-graph-max-bs",
    "dsa-prefill-backend": "nsa-prefill-backend",
    "dsa-decode-backend": "nsa-decode-backend",
    "disable-prefill-cuda-graph": "disable-piecewise-cuda-graph",
    "mamba-radix-cache-strategy": "mamba-scheduler-strategy",
}

CHOICES: Mapping[str, tuple[float, tuple[Any, ...]]] = {
    "kv-cache-dtype": (0.35, ("fp8_e4m3", "fp8_e4m3", "bfloat16", "bf16", "auto", "fp8_e5m2")),
    "attention-backend": (
        0.3,
        (
            *("fa3", "flashinfer", "triton", "trtllm_mha", "trtllm_mla", "fa4", "flashmla", "cutlass_mla"),
            *("nsa", "torch_native"),
        ),
    ),
    "moe-runner-backend": (
        0.25,
        (
            *("auto", "triton", "deep_gemm", "flashinfer_trtllm", "flashinfer_cutlass", "flashinfer_trtllm_routed"),
            *("cutlass", "flashinfer_mxfp4", "triton_kernel", "marlin", "flashinfer_cutedsl"),
        ),
    ),
    "quantization": (0.08, ("fp8", "modelopt_fp4", "w4afp8", "awq", "mxfp4", "modelopt_fp8")),
    "chunked-prefill-size": (0.25, (-1, 2048, 4096, 8192, 16384, 32768)),
    "max-prefill-tokens": (0.06, (4096, 32768)),
    "mem-fraction-static": (0.12, (0.8, 0.85, 0.9)),
    "max-running-requests": (0.2, (8, 16, 64, 128, 256, 600)),
    "max-total-tokens": (0.05, (65536,)),
    "context-length": (0.06, (4096, 32768)),
    "cuda-graph-max-bs-decode": (0.15, (8, 32, 128, 256, 512)),
    "disable-cuda-graph": (0.06, (True,)),
    "disable-prefill-cuda-graph": (0.06, (True,)),
    "cuda-graph-backend-prefill": (0.05, ("breakable", "full", "disabled")),
    "enforce-piecewise-cuda-graph": (0.03, (True,)),
    "page-size": (0.15, (1, 16, 32, 64, 128)),
    "disable-radix-cache": (0.1, (True,)),
    "enable-hierarchical-cache": (0.07, (True,)),
    "disable-overlap-schedule": (0.07, (True,)),
    "disable-shared-experts-fusion": (0.05, (True,)),
    "enable-flashinfer-allreduce-fusion": (0.05, (True,)),
    "enforce-disable-flashinfer-allreduce-fusion": (0.03, (True,)),
    "flashinfer-allreduce-fusion-backend": (0.04, ("trtllm", "mnnvl", "auto")),
    "enable-mixed-chunk": (0.03, (True,)),
    "sampling-backend": (0.04, ("pytorch", "flashinfer")),
    "grammar-backend": (0.04, ("xgrammar", "llguidance", "none")),
    "dtype": (0.05, ("bfloat16", "half", "auto")),
    "enable-deterministic-inference": (0.02, (True,)),
    "enable-torch-compile": (0.02, (True,)),
    "enable-two-batch-overlap": (0.02, (True,)),
    "enable-lora": (0.03, (True,)),
    "enable-symm-mem": (0.02, (True,)),
    "enable-eplb": (0.02, (True,)),
    "cpu-offload-gb": (0.02, (10,)),
    "load-format": (0.03, ("dummy", "safetensors")),
    "disaggregation-mode": (0.03, ("prefill", "decode")),
    "moe-a2a-backend": (0.03, ("deepep", "none", "flashinfer")),
    "is-embedding": (0.03, (True,)),
    "enable-multimodal": (0.03, (True,)),
    "schedule-policy": (0.03, ("lpm", "fcfs")),
    "fp8-gemm-backend": (0.03, ("triton", "deep_gemm", "cutlass")),
    "trust-remote-code": (0.1, (True,)),
    "enable-metrics": (0.05, (True,)),
    "stream-interval": (0.03, (10,)),
}
"""How often an option is set, and to one of what."""

DEEPSEEK_SPARSE = ("flashmla_sparse", "flashmla_kv", "fa3", "tilelang", "trtllm", "flashmla_auto")

ATTENTION: Mapping[str, Mapping[str, tuple[float, tuple[Any, ...]]]] = {
    "sparse": {
        "dsa-prefill-backend": (0.2, DEEPSEEK_SPARSE),
        "dsa-decode-backend": (0.2, DEEPSEEK_SPARSE),
    },
    "hybrid": {"mamba-radix-cache-strategy": (0.2, ("no_buffer", "extra_buffer", "auto"))},
    "windowed": {"disable-hybrid-swa-memory": (0.1, (True,))},
}
"""What only architectures with such attention ask for."""

SPARSE = ("GlmMoeDsaForCausalLM", "DeepseekV32ForCausalLM")
HYBRID = ("Qwen3NextForCausalLM", "Qwen3_5ForConditionalGeneration", "Qwen3_5MoeForConditionalGeneration")
WINDOWED = ("GptOssForCausalLM", "Gemma3ForConditionalGeneration", "Llama4ForConditionalGeneration")

DRAFT = "someone/draft"
SPECULATION: tuple[Options, ...] = (
    {"speculative-algorithm": "EAGLE"},
    {"speculative-algorithm": "EAGLE", "steps": 3, "topk": 1, "tokens": 4},
    {"speculative-algorithm": "NEXTN", "steps": 2, "topk": 1, "tokens": 3},
    {"speculative-algorithm": "EAGLE", "steps": 5, "topk": 4, "tokens": 8},
    {"speculative-algorithm": "NEXTN"},
    {"speculative-algorithm": "EAGLE", "steps": 1, "topk": 1, "tokens": 2},
    {"speculative-algorithm": "EAGLE", "steps": 4, "topk": 1, "tokens": 8},
    {"speculative-algorithm": "EAGLE3", "speculative-draft-model-path": DRAFT},
    {
        "speculative-algorithm": "EAGLE3",
        "speculative-draft-model-path": DRAFT,
        "steps": 3,
        "topk": 1,
        "tokens": 4,
    },
    {
        "speculative-algorithm": "EAGLE3",
        "speculative-draft-model-path": DRAFT,
        "steps": 5,
        "topk": 4,
        "tokens": 16,
    },
    {"speculative-algorithm": "EAGLE3"},
    {"speculative-algorithm": "STANDALONE", "speculative-draft-model-path": DRAFT},
    {"speculative-algorithm": "NGRAM"},
    {"speculative-algorithm": "NGRAM", "tokens": 16},
)
_NUMBERS = {
    "steps": "speculative-num-steps",
    "topk": "speculative-eagle-topk",
    "tokens": "speculative-num-draft-tokens",
}


def situation(checkpoint: Checkpoint, version: str, gpu: str, number: int) -> tuple[str, Options]:
    """The ``number``-th situation of a checkpoint, release and GPU: quantization, and options by name (no dashes)."""
    draw = random.Random(f"{checkpoint.architecture} {version} {gpu} {number}")
    quantization = draw.choice((checkpoint.quantizations[0], *checkpoint.quantizations))
    # Half of all are as plain as a first launch, a quarter as crowded as a tuned one.
    scale = draw.choice((0.15, 0.4, 0.4, 1.0, 1.0, 2.0))
    options: Options = {}
    ranks = draw.choice((1, 1, 2, 4, 8, 8))
    if ranks > 1:
        options["tp-size"] = ranks
    options |= _parallel(draw, ranks, scale)
    if draw.random() < (0.15 if scale < 0.3 else 0.35):
        chosen = draw.choice(SPECULATION)
        options |= {_NUMBERS.get(name, name): value for name, value in chosen.items()}
    kinds = dict(CHOICES)
    for kind, architectures in (("sparse", SPARSE), ("hybrid", HYBRID), ("windowed", WINDOWED)):
        if checkpoint.architecture in architectures:
            kinds |= ATTENTION[kind]
    for name, (often, values) in kinds.items():
        if draw.random() < often * scale:
            options[name] = draw.choice(values)
    return quantization, in_release(options, version)


def _parallel(draw: random.Random, ranks: int, scale: float) -> Options:
    found: Options = {}
    if draw.random() < 0.3 * scale:
        found["dp-size"] = draw.choice((ranks, ranks, max(1, ranks // 2), 2))
        if draw.random() < 0.8:
            found["enable-dp-attention"] = True
    elif draw.random() < 0.04 * scale:
        found["enable-dp-attention"] = True
    if draw.random() < 0.15 * scale:
        found["ep-size"] = ranks
    if draw.random() < 0.06 * scale:
        found["pp-size"] = 2
    return found


def in_release(options: Options, version: str) -> Options:
    """The options as the release calls them, without those and their values that it lacks."""
    known = _known(version)
    found = {}
    for name, value in options.items():
        here = name if name in known else OLD_NAMES.get(name, name)
        choices = known.get(here)
        if here in known and (choices is None or value in choices):
            found[here] = value
    return found


def environments(version: str) -> tuple[dict[str, str], ...]:
    """The variables that decide in the release, each way."""
    variable = version_key(version) < version_key("0.5.14")
    return ({}, {"SGLANG_ENABLE_SPEC_V2": "1"}, {"SGLANG_ENABLE_SPEC_V2": "0"}) if variable else ({},)


def words(options: Options) -> list[str]:
    """The options as a command line."""
    return [word for name, value in options.items() for word in (f"--{name}", *([] if value is True else [str(value)]))]


@cache
def _known(version: str) -> dict[str, tuple[Any, ...] | None]:
    """The choices of each option of the release by each of its names, None for anything."""
    return {flag[2:]: option.choices for option in catalog.load(version).options for flag in option.flags}
