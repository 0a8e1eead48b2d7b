"""Rules about what a GPU or a model is not made for: backends of other makers, of other kinds of attention, formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.gpus import AMPERE, BLACKWELL, GENERATIONS, HOPPER, TYPES
from glmdeploy.rules.facts import SPARSE
from glmdeploy.rules.rule import AIR, AT_0_5_23, ISSUES, NOSPEC, PULLS, Look, Rule, Scope, Topic, Violation, example
from glmdeploy.sglang.architectures import Attention

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.rules.facts import Facts

LOOKED = Look(date="2026-11-29", release="0.5.23")

_REGISTRY = "sglang/srt/layers/attention/attention_registry.py (0.5.10, 0.5.16, 0.5.23)"

_ATTENTION = ("attention_backend", "prefill_attention_backend", "decode_attention_backend")
_DRAFT = "speculative_draft_attention_backend"
_OTHERS = ("aiter", "wave", "ascend", "intel_amx", "intel_xpu")

FOREIGN: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys((*_ATTENTION, _DRAFT), _OTHERS),
    "sampling_backend": ("ascend", "intel_xpu"),
    "mm_attention_backend": ("aiter_attn", "ascend_attn"),
    **dict.fromkeys(("moe_runner_backend", "speculative_moe_runner_backend"), ("aiter", "intel_xpu")),
    **dict.fromkeys(("moe_a2a_backend", "speculative_moe_a2a_backend"), ("ascend_fuseep", "mori")),
    "lora_backend": ("ascend",),
}
"""Options, and their values that run on GPUs of AMD (aiter, wave, mori), NPUs of Huawei or processors of Intel."""

DEVICES = ("npu", "xpu", "hpu", "musa", "mps")
"""Values of ``device`` for what Modal does not rent."""

LATENT_ONLY = ("trtllm_mla", "cutedsl_mla", "tokenspeed_mla", "cutlass_mla", "flashmla")
SPARSE_ONLY = ("nsa", "dsa")
GROUPED_ONLY = ("trtllm_mha", "hpc_ops")

_OWN_BACKENDS = (
    *("sglang.args.dsa-prefill-backend=null", "sglang.args.dsa-decode-backend=null"),
    *("sglang.args.moe-runner-backend=null", "sglang.args.flashinfer-allreduce-fusion-backend=null"),
)

_QUANTIZATION, _RUNNER = "quantization", "moe_runner_backend"

LEAST: Mapping[str, tuple[int, str]] = {
    **dict.fromkeys(("w8a8_fp8", "modelopt_fp8", "modelopt"), (89, "Ada, Hopper or Blackwell")),
    **dict.fromkeys(("w4afp8", "petit_nvfp4"), (90, "Hopper or Blackwell")),
    **dict.fromkeys(("fp8", "mxfp4", "blockwise_int8"), (80, "Ampere or newer")),
    "w8a8_int8": (75, "Turing or newer"),
}
"""Least compute capability, ten times, of each method: its configuration's ``get_min_capability`` (0.5.11, 0.5.23)."""


def _asked(facts: Facts, options: tuple[str, ...], values: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Those of the options that the profile gives one of the values, with the value."""
    for option in options:
        setting = facts.setting(option)
        if setting and isinstance(setting.value, str) and setting.value in values:
            yield option, setting.value


def _on_nvidia(facts: Facts) -> bool:
    return facts.value("device") in (None, "cuda")


def _foreign(facts: Facts) -> Iterator[Violation]:
    if not _on_nvidia(facts):
        return
    for option, values in FOREIGN.items():
        for _, value in _asked(facts, (option,), values):
            yield Violation(
                path=facts.path(option),
                message=f"`{facts.path(option)[-1]}: {value}` is for other makers' processors, and {facts.gpu.type} is "
                "NVIDIA's",
                edits=facts.drop(option),
            )


def _device(facts: Facts) -> Iterator[Violation]:
    device = facts.setting("device")
    if device and device.value in DEVICES:
        yield Violation(
            path=facts.path("device"),
            message=f"`device: {device.value}` is no device of {facts.gpu}",
            edits=facts.drop("device"),
        )
    elif device and device.value == "cpu" and facts.gpu.type != "T4":
        yield Violation(
            path=facts.path("device"),
            message=f"`device: cpu` leaves {facts.gpu} idle, which is rented all the same",
            severity=Severity.WARNING,
        )


def _latent_only(facts: Facts) -> Iterator[Violation]:
    # Asked first: where no such option is there, nothing is left unjudged for want of the model.
    if not any(_asked(facts, _ATTENTION, (*LATENT_ONLY, *SPARSE_ONLY))) or (kind := facts.kind) is None:
        return
    wrong: tuple[str, ...] = SPARSE_ONLY
    what = "sparse attention (DSA)"
    if kind.attention in (Attention.GROUPED, Attention.WINDOWED):
        wrong, what = (*LATENT_ONLY, *SPARSE_ONLY), "latent attention (MLA)"
    elif kind.attention is not Attention.LATENT:
        return
    for option, value in _asked(facts, _ATTENTION, wrong):
        yield Violation(
            path=facts.path(option),
            message=f"`{facts.path(option)[-1]}: {value}` is for models with {what}, and {kind.name} has "
            f"{kind.attention} attention",
            edits=facts.drop(option),
        )


def _grouped_only(facts: Facts) -> Iterator[Violation]:
    kind = facts.kind
    if kind is None:
        return
    for option, value in _asked(facts, _ATTENTION, GROUPED_ONLY):
        yield Violation(
            path=facts.path(option),
            message=f"`{facts.path(option)[-1]}: {value}` is for models without latent attention, and {kind.name} has "
            "latent attention (MLA)",
            edits=facts.drop(option),
        )
    for option, value in _asked(facts, _ATTENTION, ("fa3",)) if facts.gpu.major == AMPERE else ():
        yield Violation(
            path=facts.path(option),
            message=f"`{facts.path(option)[-1]}: {value}` runs latent attention on Hopper alone, and {facts.gpu.type} "
            f"is {GENERATIONS[facts.gpu.major]}",
            edits=facts.drop(option),
        )


def _sparse_without_kernels(facts: Facts) -> Iterator[Violation]:
    overrides = facts.setting("json_model_override_args")
    if overrides and "index_topk" in str(overrides.value):
        return
    if _on_nvidia(facts) and facts.gpu.major not in (HOPPER, BLACKWELL):
        yield Violation(
            path=("gpu",),
            message=f"{facts.architecture} has sparse attention, which no release is known to have served on "
            f"{facts.gpu.type} ({GENERATIONS[facts.gpu.major]})",
        )


def _stored(facts: Facts) -> tuple[str, bool] | None:
    """How the weights are, and whether an option says so."""
    asked = facts.setting(_QUANTIZATION)
    if asked and isinstance(asked.value, str):
        return asked.value, True
    return (facts.quantization, False) if facts.quantization else None


def _capability(facts: Facts) -> int:
    major, minor = TYPES[facts.gpu.type].capability
    return 10 * major + minor


def _fp8_experts(facts: Facts) -> Iterator[Violation]:
    stored = _stored(facts)
    if stored is None or not _on_nvidia(facts) or not 80 <= _capability(facts) < 89:
        return
    fp8 = stored[0] == "fp8" or ("fp8" in facts.profile.model.repo.lower() and stored[0] == "compressed-tensors")
    if fp8 and facts.value(_RUNNER) != "marlin" and (kind := facts.kind) and kind.experts:
        yield Violation(
            path=facts.path(_QUANTIZATION) if stored[1] else ("model", "repo"),
            message=f"experts in FP8 have no kernels on {facts.gpu.type}, whose tensor cores know no FP8",
        )


def _too_old(facts: Facts) -> Iterator[Violation]:
    stored = _stored(facts)
    if stored is None or stored[0] not in LEAST or not _on_nvidia(facts):
        return
    least, wanted = LEAST[stored[0]]
    if _capability(facts) < least:
        yield Violation(
            path=facts.path(_QUANTIZATION) if stored[1] else ("model", "repo"),
            message=f"weights in {stored[0]} need {wanted}, and {facts.gpu.type} is "
            f"{_capability(facts) / 10:g}, below {least / 10:g}",
        )


FOREIGN_BACKEND = Rule(
    id="GLM165",
    title="backend for other makers' processors",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="SGLang's parser offers on every machine the backends for AMD (aiter, wave, mori), Huawei (ascend) and Intel "
    "(intel_amx, intel_xpu), and its argument resolution takes them on NVIDIA GPUs too (tried with 0.5.23). Their "
    "packages are not in the images for CUDA, so that the engine fails when it builds the backend. A launch for MI300 "
    "that is copied to Modal is the usual way to get one (#16027).",
    fix="remove the option, and SGLang takes a backend of this GPU's",
    sources=(f"{ISSUES}16027", _REGISTRY, "sglang/srt/layers/attention/aiter_backend.py (0.5.23)"),
    check=_foreign,
    fails=(
        example("sglang.args.attention-backend=aiter", profile=AIR),
        example("sglang.args.decode-attention-backend=wave", profile=AIR),
        example("sglang.args.sampling-backend=ascend", profile=AIR),
        example("sglang.args.moe-a2a-backend=ascend_fuseep", profile=AIR),
    ),
    passes=(
        example(profile=AIR),
        example("sglang.args.attention-backend=fa3", profile=AIR),
        example(profile="local-cpu"),
    ),
    looked=LOOKED,
)

DEVICE = Rule(
    id="GLM166",
    title="device that Modal does not rent",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="Modal rents NVIDIA's GPUs, for which SGLang's device is `cuda`, found by itself. With `npu` and `mps` it "
    "ends when it resolves its arguments (tried with 0.5.23), with `xpu`, `hpu` and `musa` when it sets up the "
    "device. `cpu` needs another build of SGLang's kernels, and leaves the GPU idle at its full price; beside Modal's "
    "smallest, T4, nothing is said of it, because a profile names some GPU.",
    fix="remove `device`",
    sources=("sglang/srt/server_args.py, device (0.5.10 to 0.5.23)", "sglang/srt/utils/common.py, get_device (0.5.23)"),
    check=_device,
    fails=(
        example("sglang.args.device=npu", profile=AIR),
        example("sglang.args.device=hpu", profile=AIR),
        example("sglang.args.device=cpu", profile=AIR),
    ),
    passes=(example("sglang.args.device=cuda", profile=AIR), example(profile="local-cpu")),
    looked=LOOKED,
)

MLA_ONLY = Rule(
    id="GLM167",
    title="attention backend for latent or sparse attention only",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="trtllm_mla and cutedsl_mla raise a ValueError for a model without latent attention (MLA) when the engine "
    "builds its backends, nsa and dsa an AssertionError for one without DeepSeek's sparse attention; flashmla, "
    "cutlass_mla and tokenspeed_mla read dimensions that such a model does not have. SGLang's argument resolution "
    "takes all of them (tried with 0.5.11 and 0.5.23), so that it is seen after the weights are loaded.",
    fix="remove the option: SGLang chooses a backend for the model",
    sources=(
        _REGISTRY,
        "sglang/srt/layers/attention/nsa_backend.py (0.5.11)",
        "sglang/srt/layers/attention/dsa_backend.py (0.5.23)",
        "sglang/srt/layers/attention/flashmla_backend.py (0.5.23)",
    ),
    check=_latent_only,
    fails=(
        example("gpu=B200:4", "sglang.args.attention-backend=trtllm_mla", profile=AIR),
        example("sglang.args.attention-backend=flashmla", profile=AIR),
        example("sglang.args.prefill-attention-backend=nsa", profile=AIR),
    ),
    passes=(example(), example("sglang.args.attention-backend=fa3", profile=AIR)),
    looked=LOOKED,
)

NO_MLA = Rule(
    id="GLM168",
    title="attention backend that cannot do latent attention",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="trtllm_mha (all releases) and hpc_ops raise a ValueError for models with latent attention (MLA), and fa3 "
    "asserts Hopper for them; on Ampere and Ada it runs other models only. SGLang's argument resolution takes them "
    "(tried with 0.5.23), and the engine ends after the weights are loaded.",
    fix="remove the option: SGLang chooses a backend for the model",
    sources=(_REGISTRY,),
    check=_grouped_only,
    fails=(
        example("sglang.args.attention-backend=trtllm_mha", profile=NOSPEC),
        example("sglang.args.decode-attention-backend=trtllm_mha", profile=AT_0_5_23),
    ),
    passes=(
        example(profile=NOSPEC),
        example("gpu=B200:4", "sglang.args.attention-backend=trtllm_mha", profile=AIR),
    ),
    scope=Scope(attentions=(Attention.LATENT, Attention.SPARSE)),
    looked=LOOKED,
)

SPARSE_KERNELS = Rule(
    id="GLM169",
    title="sparse attention on a GPU without its kernels",
    severity=Severity.ERROR,
    topic=Topic.KNOWN_ISSUE,
    why="The indexer of DeepSeek's sparse attention multiplies with DeepGEMM, which was built for Hopper and "
    "Blackwell (10.x) alone: on RTX PRO 6000 every backend of 0.5.12 ended the start with an unsupported architecture "
    "(#26087, and #29562 for GLM-5.2-NVFP4, still open), on A100 GLM-5 is unsupported (zai-org/GLM-5 25). From 0.5.17 "
    "on the source has a way for GLM with an FP8 KV cache on RTX cards (flashinfer_sparse_mla), which wants newer "
    "FlashInfer and DeepGEMM than were released when it was tried (PR 29580, closed); no server of a release's own "
    "packages is known. `json-model-override-args` that takes the indexer away is not judged.",
    fix="take H100, H200, B200 or B300; who has served it on this GPU can waive the rule",
    sources=(
        f"{ISSUES}26087",
        f"{ISSUES}29562",
        f"{PULLS}29580",
        "https://github.com/SemiAnalysisAI/InferenceX/pull/2335",
        "https://github.com/zai-org/GLM-5/issues/25",
        "sglang/kernels/ops/attention/flash_mla_sm120.py (0.5.17, 0.5.23)",
    ),
    check=_sparse_without_kernels,
    fails=(example("gpu=RTX-PRO-6000:8", "model.repo=zai-org/GLM-5-NVFP4", *_OWN_BACKENDS, profile=AT_0_5_23),),
    passes=(example(), example(profile="h200-eagle-bf16kv")),
    scope=Scope(architectures=SPARSE),
    looked=LOOKED,
)

FP8_EXPERTS = Rule(
    id="GLM170",
    title="experts in FP8 on a GPU without FP8",
    severity=Severity.ERROR,
    topic=Topic.KNOWN_ISSUE,
    why="Dense layers in FP8 run on A100 and A10 by way of Marlin, but the experts go through Triton's kernels, which "
    "need FP8 in the tensor cores: the server ends at its first pass with `fp8e4nv not supported in this "
    "architecture` (#12887; GLM-4.5-Air-FP8 on A100, zai-org/GLM-4.5 23). `moe-runner-backend: marlin`, where the "
    "release runs FP8 experts with it, is not judged.",
    fix="take a checkpoint in BF16 or INT4 (AWQ, GPTQ), or L40S, H100 or newer",
    sources=(
        f"{ISSUES}12887",
        "https://github.com/zai-org/GLM-4.5/issues/23",
        "sglang/srt/layers/quantization/fp8.py (0.5.11, 0.5.23)",
    ),
    check=_fp8_experts,
    fails=(
        example("gpu=A100-80GB:4", profile=AIR),
        example(
            *("gpu=A100-80GB:8", "sglang.args.tp=8", "model.repo=zai-org/GLM-4.5-Air", "sglang.args.quantization=fp8"),
            profile=AIR,
        ),
    ),
    passes=(
        example("gpu=L40S:8", "sglang.args.tp=8", profile=AIR),
        example("gpu=A100-80GB:8", "sglang.args.tp=8", "model.repo=zai-org/GLM-4.5-Air", profile=AIR),
    ),
    looked=LOOKED,
)

TOO_OLD = Rule(
    id="GLM171",
    title="quantization that the GPU is too old for",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="Each method of quantization tells the least compute capability that it runs on, and SGLang's loader raises a "
    "ValueError below it, after the download and before the weights: FP8 and MXFP4 need 8.0 (no T4), FP8 by channels "
    "and ModelOpt's FP8 8.9 (no A100, no A10), W4AFP8 9.0.",
    fix="take a checkpoint in another format, or a newer GPU",
    sources=(
        "sglang/srt/model_loader/loader.py (0.5.11, 0.5.23)",
        "sglang/srt/layers/quantization, get_min_capability (0.5.11, 0.5.18, 0.5.23)",
    ),
    check=_too_old,
    fails=(
        example(
            *("gpu=T4", "model.repo=acme/other", "sglang.args.tp=1", "sglang.args.quantization=fp8"),
            profile=AIR,
        ),
        example(
            *("gpu=A100-80GB:4", "model.repo=acme/other", "sglang.args.quantization=w8a8_fp8"),
            profile=AIR,
        ),
    ),
    passes=(
        example("gpu=A100-80GB:4", "model.repo=acme/other", "sglang.args.quantization=w8a8_int8", profile=AIR),
        example("model.repo=acme/other", "sglang.args.quantization=w8a8_fp8", profile=AIR),
    ),
    looked=LOOKED,
)

RULES = (FOREIGN_BACKEND, DEVICE, MLA_ONLY, NO_MLA, SPARSE_KERNELS, FP8_EXPERTS, TOO_OLD)
