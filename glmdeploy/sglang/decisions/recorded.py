"""Where recorded decisions hold, and how they are explained."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.decisions import trees
from glmdeploy.sglang.decisions.formulas import VISION_LAYERS
from glmdeploy.sglang.decisions.situation import ARGS, GRAPHS, MEMORY, OVERRIDES, PARALLEL, SPECULATION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.sglang.decisions.situation import Files, Situation
    from glmdeploy.sglang.decisions.trees import Decided, Recordings

RECORDED: Mapping[str, tuple[Any, ...]] = {
    "moe_a2a_backend": ("none", "deepep", "flashinfer"),
    "disaggregation_mode": ("null", "prefill", "decode"),
    "load_format": ("auto", "dummy", "safetensors"),
    "device": ("cuda",),
}
"""Values that were recorded, of options whose other values change decisions in ways that are not known."""

NOT_RECORDED = (
    *("attn_cp_size", "dcp_size", "dwdp_size", "enable_prefill_cp", "enable_prefill_context_parallel"),
    *("enable_nsa_prefill_context_parallel", "enable_dsa_prefill_context_parallel", "encoder_only"),
    *("prefill_attention_backend", "decode_attention_backend", "enable_hisparse", "enable_unified_memory"),
    *("enable_kv_cache_sharding", "dllm_algorithm", "enable_mis", "enable_pdmux", "json_model_override_args"),
    *("elastic_ep_backend", "ple_offload_embedding", "speculative_adaptive"),
)
"""Options that change decisions, and that no recording has: with one of them, nothing is claimed."""

_ATTENTION: Files = (*OVERRIDES, ("0.5.19", "arg_groups/attention_hook.py"))
_EXPERTS: Files = (*OVERRIDES, ("0.5.19", "arg_groups/moe_hook.py"))
_SERVING: Files = (*ARGS, ("0.5.19", "arg_groups/serving_hook.py"))

FILES: Mapping[str, Files] = {
    "attention_backend": _ATTENTION,
    "kv_cache_dtype": OVERRIDES,
    "page_size": OVERRIDES,
    "dsa_prefill_backend": OVERRIDES,
    "dsa_decode_backend": OVERRIDES,
    "moe_runner_backend": OVERRIDES,
    "moe_a2a_backend": _EXPERTS,
    "disable_shared_experts_fusion": OVERRIDES,
    "speculative_moe_runner_backend": OVERRIDES,
    "allreduce_fusion": OVERRIDES,
    "chunked_prefill_size": MEMORY,
    "mem_fraction_static": MEMORY,
    "cuda_graph_max_bs": MEMORY,
    "prefill_cuda_graph": GRAPHS,
    "dp_size": PARALLEL,
    "attn_dp_size": PARALLEL,
    "enable_dp_attention": PARALLEL,
    "schedule_conservativeness": PARALLEL,
    "grammar_backend": _SERVING,
    "load_balance_method": _SERVING,
    "disable_overlap_schedule": SPECULATION,
    "max_running_requests": SPECULATION,
    **dict.fromkeys(
        (
            *("speculative_algorithm", "speculative_num_steps", "speculative_eagle_topk"),
            *("speculative_num_draft_tokens", "speculative_draft_model_path"),
        ),
        SPECULATION,
    ),
}
"""Where each release decides, as far as one file does; the others are spread over ``server_args.py``."""

WORDS = {
    "capability": "the GPU",
    "major": "the GPU",
    "memory": "the GPU's memory",
    "release": "the release",
    "checkpoint": "how the checkpoint is quantised",
    "algorithm": "`speculative-algorithm`",
    "draft": "`speculative-draft-model-path`",
    "attention_dp": "data-parallel attention",
    "spec_v2": "`SGLANG_ENABLE_SPEC_V2`",
    "compiles": "what excludes compiled graphs",
    "lora": "LoRA",
}
"""What inputs are called that are no options."""

_MOST = 4


def names() -> tuple[str, ...]:
    """Everything that SGLang decided in some recording."""
    return trees.names()


def obstacle(
    now: Situation, architecture: str | None, recordings: Recordings | None, defaults: Mapping[str, Any]
) -> str | None:
    """Why no recording tells what SGLang decides here, or None if they do. ``defaults`` are the release's."""
    if recordings is None:
        return f"SGLang decides, and what it decides for {architecture or 'this model'} is not known here"
    first, last = recordings.releases[0], recordings.releases[-1]
    if not now.between(first, last):
        return f"SGLang decides, and what {now.version} decides is not known here"
    if _capability(now.gpu.type) not in _capabilities(recordings.gpus):
        return f"SGLang decides, and what it decides on {now.gpu.type} is not known here"
    for name in NOT_RECORDED:
        if now[name] not in (defaults.get(name), None):
            return _with(name)
    for name, values in RECORDED.items():
        if now[name] not in (None, *values):
            return _with(name)
    return None


def _with(name: str) -> str:
    return f"SGLang decides, and what it decides with `{name.replace('_', '-')}` is not known here"


def _capability(gpu: str) -> tuple[int, int] | None:
    return gpus.TYPES[gpu].capability if gpu in gpus.TYPES else None


@cache
def _capabilities(types: tuple[str, ...]) -> frozenset[tuple[int, int]]:
    return frozenset(gpus.TYPES[each].capability for each in types)


def reason(one: Decided, now: Situation) -> str:
    """Why SGLang decides as it does: what it depends on, and how that is known."""
    if one.recorded:
        how = f"as the real SGLang {now.version} resolved it on {now.gpu.type}"
    else:
        how = "as the real SGLang resolved it in every recording that is like this one in what decides"
    return f"{how}{_depending(one)}"


def unsettled(one: Decided) -> str:
    """Why a name's value is not known although there are recordings."""
    return f"SGLang decides, and no recording tells what{_depending(one)}"


def _depending(one: Decided) -> str:
    words = list(dict.fromkeys(_word(name) for name in one.because))
    if not words:
        return ""
    rest = ", and more" if len(words) > _MOST else ""
    return f"; it depends on {', '.join(words[:_MOST])}{rest}"


def _word(name: str) -> str:
    return WORDS.get(name) or f"`{name.removeprefix('=').replace('_', '-')}`"


def file(name: str, version: str) -> str:
    """The upstream file that decides in that release."""
    files = FILES.get(name, ARGS)
    return "sglang/srt/" + [path for since, path in files if version_key(since) <= version_key(version)][-1]


WIDTHS = {"glm4v_moe": 1536}
"""Of vision towers whose configuration leaves it out: transformers' own default (5.3.0 to 5.19.0)."""

_STORED = ("quantization_config", "compression_config")


def stored(config: Mapping[str, Any] | None) -> str | None:
    """How a checkpoint's ``config.json`` says that its weights are stored, in SGLang's words; None without one.

    Source: ``ModelConfig._parse_quant_hf_config`` (``sglang/srt/configs/model_config.py``, 0.5.10 to 0.5.23).
    """
    if config is None:
        return None
    inner = config.get("text_config") or {}
    told = next((each[name] for each in (config, inner) for name in _STORED if each.get(name)), None)
    if not told:
        return "none"
    method = str(told.get("quant_method", "modelopt")).lower()
    if method != "modelopt":
        return method
    algorithm = str(told.get("quant_algo", "")).upper()
    return "modelopt_fp4" if "FP4" in algorithm else "modelopt_fp8" if "FP8" in algorithm else method


def vision(config: Mapping[str, Any] | None) -> tuple[int, int] | None:
    """Layers and width of the vision tower as SGLang counts them; None for none, or where they are not told.

    Source: ``adjust_mem_fraction_for_vlm`` of the releases: it asks for ``num_hidden_layers``, which the towers that
    call it ``depth`` do not have, and takes 24 then.
    """
    if not config:
        return None
    tower = config.get("vision_config") or {}
    width = tower.get("hidden_size") or tower.get("vt_hidden_size") or WIDTHS.get(config.get("model_type", ""))
    layers = tower.get("num_hidden_layers") or tower.get("vt_num_hidden_layers") or VISION_LAYERS
    return (int(layers), int(width)) if width else None
