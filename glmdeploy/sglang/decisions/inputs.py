"""What the recorded decisions may depend on, in the same words for every release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.sglang.catalog import boolean, version_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from glmdeploy.sglang.decisions.situation import Situation

OPTIONS = (
    *("tp_size", "dp_size", "ep_size", "pp_size", "enable_dp_attention", "moe_a2a_backend", "disaggregation_mode"),
    *("kv_cache_dtype", "attention_backend", "page_size", "dsa_prefill_backend", "dsa_decode_backend"),
    *("moe_runner_backend", "quantization", "disable_shared_experts_fusion", "fp8_gemm_backend"),
    *("allreduce_fusion", "enforce_disable_flashinfer_allreduce_fusion", "enable_flashinfer_allreduce_fusion"),
    *("speculative_num_steps", "speculative_eagle_topk", "speculative_num_draft_tokens"),
    *("disable_overlap_schedule", "enable_mixed_chunk", "schedule_policy", "enable_two_batch_overlap"),
    *("chunked_prefill_size", "max_prefill_tokens", "max_running_requests", "max_total_tokens", "context_length"),
    *("prefill_cuda_graph", "disable_cuda_graph", "enable_torch_compile", "enforce_piecewise_cuda_graph"),
    *("disable_radix_cache", "enable_hierarchical_cache", "disable_hybrid_swa_memory", "cpu_offload_gb"),
    *("sampling_backend", "grammar_backend", "dtype", "load_format", "is_embedding", "enable_multimodal"),
    *("enable_deterministic_inference", "enable_symm_mem", "enable_eplb", "mem_fraction_static"),
)
"""Options that were varied; each is an input under its own name."""

MERGED = {
    "cuda_graph_max_bs": ("cuda_graph_max_bs_decode", "cuda_graph_max_bs"),
    "mamba_strategy": ("mamba_radix_cache_strategy", "mamba_scheduler_strategy"),
}
"""Options that were renamed without change."""

NOT_COMPILED = (
    *("enable_torch_compile", "lora_paths", "enable_lora", "cpu_offload_gb", "enable_hierarchical_cache"),
    *("enable_deterministic_inference", "enable_symm_mem", "enable_eplb", "expert_distribution_recorder_mode"),
    *("dllm_algorithm", "debug_cuda_graph", "enable_dsa_prefill_context_parallel"),
)
"""Options that exclude prefill graphs that torch.compile makes.

Source: ``ServerArgs._handle_piecewise_cuda_graph`` (0.5.10 to 0.5.13.post1), from 0.5.14 on
``_disable_tc_piecewise_cudagraph_if_incompatible``.
"""


_RANKS = ("pp_size", "attn_cp_size", "dcp_size")

READ: Mapping[str, tuple[str, ...]] = {
    **MERGED,
    "algorithm": ("speculative_algorithm",),
    "draft": ("speculative_draft_model_path",),
    "attention_dp": ("enable_dp_attention", "dp_size", "attn_dp_size"),
    "compiles": ("disaggregation_mode", "moe_a2a_backend", *_RANKS, "enable_dp_attention", *NOT_COMPILED),
    "lora": ("enable_lora", "lora_paths"),
}
"""The options that an input is made of where it has another name, or several."""


def lost(options: Set[str]) -> frozenset[str]:
    """The inputs that are not known where these options are not."""
    made = (name for name, read in READ.items() if not options.isdisjoint(read)) if options else ()
    return frozenset((*options, *made))


def _compiles(now: Situation) -> bool:
    """Whether nothing that is asked for excludes prefill graphs of torch.compile."""
    apart = now["disaggregation_mode"] not in (None, "null") or now["moe_a2a_backend"] not in (None, "none")
    ranks = any((now[name] or 1) > 1 for name in _RANKS)
    return not (apart or ranks or now["enable_dp_attention"] or any(now[name] for name in NOT_COMPILED))


def inputs(now: Situation) -> dict[str, Any]:
    """The inputs of a situation by name; what an option is not set to is None."""
    known = gpus.TYPES.get(now.gpu.type)
    found = {name: now[name] or None for name in OPTIONS}
    found |= {
        name: next((now[each] for each in names if now[each] is not None), None) for name, names in MERGED.items()
    }
    algorithm = str(now["speculative_algorithm"] or "").upper() or None
    variable = now.env.get("SGLANG_ENABLE_SPEC_V2")
    return found | {
        "release": version_key(now.version),
        "capability": ".".join(map(str, known.capability)) if known else None,
        "major": now.gpu.major,
        "memory": now.gpu.memory_mib,
        "checkpoint": now.quantization,
        "algorithm": "EAGLE" if algorithm == "NEXTN" else algorithm,
        "draft": now["speculative_draft_model_path"] is not None,
        "attention_dp": now.attention_dp,
        "compiles": _compiles(now),
        "lora": bool(now["enable_lora"] or now["lora_paths"]),
        "spec_v2": None if variable is None else boolean(variable),
    }
