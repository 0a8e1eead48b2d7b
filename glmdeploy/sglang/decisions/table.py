"""What SGLang decides by itself for ``GlmMoeDsaForCausalLM`` (GLM-5, GLM-5.1) on Hopper and Blackwell, as data.

The rows stand in the order of SGLang's own resolution; each sees what the rows before it decided. They were read in
the wheels of all catalogued releases from 0.5.10 to 0.5.23, and are held against the real resolution by
``tests/sglang/real/test_resolution.py``.

Some names are glmdeploy's own, because SGLang renamed or reshaped what they say (``effective.RAW``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.gpus import BLACKWELL, HOPPER
from glmdeploy.sglang.decisions import attention, experts, memory, speculation
from glmdeploy.sglang.decisions.situation import FIRST, LAST, Decision, Situation
from glmdeploy.sglang.models import GLM_DSA

if TYPE_CHECKING:
    from collections.abc import Mapping

DECISIONS: tuple[Decision, ...] = (*memory.ROWS, *attention.ROWS, *experts.ROWS, *speculation.ROWS)

UNMODELLED = (
    *("attn_cp_size", "dcp_size", "dwdp_size", "enable_prefill_cp", "enable_prefill_context_parallel"),
    *("enable_nsa_prefill_context_parallel", "enable_dsa_prefill_context_parallel"),
    *("prefill_attention_backend", "decode_attention_backend", "moe_a2a_backend", "enable_two_batch_overlap"),
    *("disaggregation_mode", "encoder_only", "enable_hisparse", "enable_unified_memory", "enable_kv_cache_sharding"),
    *("enable_deterministic_inference", "dllm_algorithm", "enable_mis", "enable_pdmux", "enable_torch_compile"),
    *("device", "load_format", "json_model_override_args", "elastic_ep_backend"),
)
"""Options that change decisions in ways that the rows do not tell: with one of them, nothing is claimed."""


def obstacle(now: Situation, architecture: str | None, defaults: Mapping[str, Any]) -> str | None:
    """Why the rows do not hold here, or None if they do. ``defaults`` are the release's."""
    if architecture != GLM_DSA:
        return f"SGLang decides, and what it decides for {architecture or 'this model'} is not known here"
    if not now.between(FIRST, LAST):
        return f"SGLang decides, and what {now.version} decides is not known here"
    if now.gpu.major not in (HOPPER, BLACKWELL):
        return f"SGLang decides, and what it decides on {now.gpu.type} is not known here"
    set_ = [name for name in UNMODELLED if now[name] not in (defaults.get(name), None)]
    if now["quantization"] not in (now.quantization, None):
        set_.append("quantization")
    if now["enable_dp_attention"] and now["dp_size"] == 1:
        set_.append("enable_dp_attention")
    if set_:
        return f"SGLang decides, and what it decides with `{set_[0].replace('_', '-')}` is not known here"
    return None
