"""Model families: which architecture a repository holds, where its name tells.

Sources: the ``config.json`` of the public checkpoints (facts of GLM-5.1: ``architectures: [GlmMoeDsaForCausalLM]``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

GLM_DSA = "GlmMoeDsaForCausalLM"
"""GLM-5 and 5.1: mixture of experts, latent attention (MLA) with DeepSeek's sparse attention (DSA)."""

GLM4_MOE = "Glm4MoeForCausalLM"

_PATTERNS = (
    (re.compile(r"/GLM-5(\.1)?(-(FP8|NVFP4|Base))*$", re.IGNORECASE), GLM_DSA),
    (re.compile(r"/GLM-4\.[567](-(Air|FP8|Base))*$", re.IGNORECASE), GLM4_MOE),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """A family of models that go by one name. ``organisation`` publishes it on the Hugging Face Hub.

    The parsers are SGLang's choices of ``--reasoning-parser`` and ``--tool-call-parser``, None for none or not known.
    ``since`` is the first SGLang release that runs it from its own pins, None where all known ones do. ``source`` says
    where all that is known from.
    """

    name: str
    organisation: str
    architecture: str
    reasoning_parser: str | None = None
    tool_call_parser: str | None = None
    since: str | None = None
    source: str


def family(repo: str) -> Family | None:
    """The family of a repository or of a model's bare name, None where the name does not tell."""
    return None


def architecture(repo: str) -> str | None:
    """The architecture's class name, or None when the repository's name does not tell."""
    return next((name for pattern, name in _PATTERNS if pattern.search(repo)), None)


def quantization(repo: str) -> str | None:
    """How the weights are stored (``fp8``, ``modelopt_fp4``, ``none``), or None when the name does not tell."""
    if architecture(repo) is None:
        return None
    upper = repo.upper()
    return "fp8" if "-FP8" in upper else "modelopt_fp4" if "-NVFP4" in upper else "none"


_GLM_DSA: dict[str, Any] = {
    "architectures": [GLM_DSA],
    "model_type": "glm_moe_dsa",
    "dtype": "bfloat16",
    "hidden_size": 6144,
    "hidden_act": "silu",
    "intermediate_size": 12288,
    "num_hidden_layers": 78,
    "num_nextn_predict_layers": 1,
    "num_attention_heads": 64,
    "num_key_value_heads": 64,
    "head_dim": 64,
    "kv_lora_rank": 512,
    "q_lora_rank": 2048,
    "qk_nope_head_dim": 192,
    "qk_rope_head_dim": 64,
    "qk_head_dim": 256,
    "v_head_dim": 256,
    "index_head_dim": 128,
    "index_n_heads": 32,
    "index_topk": 2048,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 2048,
    "first_k_dense_replace": 3,
    "n_group": 1,
    "topk_group": 1,
    "topk_method": "noaux_tc",
    "norm_topk_prob": True,
    "scoring_func": "sigmoid",
    "routed_scaling_factor": 2.5,
    "max_position_embeddings": 202752,
    "vocab_size": 154880,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_theta": 1000000, "rope_type": "default"},
    "tie_word_embeddings": False,
    "eos_token_id": [154820, 154827, 154829],
    "pad_token_id": 154820,
}

_GLM_45_AIR: dict[str, Any] = {
    "architectures": [GLM4_MOE],
    "model_type": "glm4_moe",
    "dtype": "bfloat16",
    "hidden_size": 4096,
    "hidden_act": "silu",
    "intermediate_size": 10944,
    "num_hidden_layers": 46,
    "num_nextn_predict_layers": 1,
    "num_attention_heads": 96,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "partial_rotary_factor": 0.5,
    "attention_bias": True,
    "use_qk_norm": False,
    "n_routed_experts": 128,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 1408,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
    "norm_topk_prob": True,
    "routed_scaling_factor": 1.0,
    "max_position_embeddings": 131072,
    "vocab_size": 151552,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_theta": 1000000, "rope_type": "default", "partial_rotary_factor": 0.5},
    "tie_word_embeddings": False,
    "eos_token_id": [151329, 151336, 151338],
    "pad_token_id": 151329,
}

_FP8_BLOCKS = {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]}

_FP8_CHANNELS: dict[str, Any] = {
    "quant_method": "compressed-tensors",
    "format": "float-quantized",
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "float", "strategy": "channel", "dynamic": False},
            "input_activations": {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True},
        }
    },
    "ignore": ["lm_head"],
}


def known(repo: str) -> dict[str, Any] | None:
    """The configuration of the repository's checkpoint; None where it is not known."""
    stored = quantization(repo)
    if architecture(repo) == GLM_DSA:
        kinds = {"none": _GLM_DSA, "fp8": _GLM_DSA | {"quantization_config": _FP8_BLOCKS}}
    elif "GLM-4.5-Air" in repo:
        kinds = {"none": _GLM_45_AIR, "fp8": _GLM_45_AIR | {"quantization_config": _FP8_CHANNELS}}
    else:
        return None
    return kinds.get(stored or "")
