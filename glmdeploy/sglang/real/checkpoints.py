"""The checkpoints that the real resolution is asked about: of each architecture a ``config.json``, by quantization.

The configurations have what the resolution reads: ``architectures``, ``model_type``, the heads where it divides them,
and else what transformers' own classes default to, which for most of them is the first checkpoint of the family.
Sources of what is set here: the public ``config.json`` of the repository named.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glmdeploy.sglang import models

if TYPE_CHECKING:
    from collections.abc import Mapping

QUANTIZATIONS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "fp8": {
        "quant_method": "fp8",
        "activation_scheme": "dynamic",
        "fmt": "e4m3",
        "weight_block_size": [128, 128],
    },
    "modelopt_fp4": {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": [], "producer": {"name": "modelopt"}},
    "modelopt_fp8": {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": [], "producer": {"name": "modelopt"}},
    "mxfp4": {"quant_method": "mxfp4", "modules_to_not_convert": []},
    "awq": {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm", "zero_point": True},
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True},
    "compressed-tensors": {
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
    },
}
"""How weights are stored: what the checkpoint's ``quantization_config`` says of each, as published ones do."""

FP8 = ("none", "fp8")
COMMON = ("none", "fp8", "modelopt_fp4", "compressed-tensors", "awq")
DENSE = ("none", "fp8", "modelopt_fp4", "awq")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """``name`` is the last part of the path that SGLang is told. ``quantizations`` are those that are asked about."""

    architecture: str
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    quantizations: tuple[str, ...] = COMMON

    def configured(self, quantization: str) -> dict[str, Any]:
        """The ``config.json`` of the checkpoint with its weights stored so."""
        stored = QUANTIZATIONS[quantization]
        config = {"architectures": [self.architecture], **self.config}
        return {**config, "quantization_config": dict(stored)} if stored else config


def _known(repo: str) -> dict[str, Any]:
    config = models.known(repo)
    assert config is not None
    return {name: value for name, value in config.items() if name != "quantization_config"}


_ALL = (
    Checkpoint(architecture="GlmMoeDsaForCausalLM", name="GLM-5.1", config=_known("zai-org/GLM-5.1")),
    Checkpoint(architecture="Glm4MoeForCausalLM", name="GLM-4.5-Air", config=_known("zai-org/GLM-4.5-Air")),
    Checkpoint(
        architecture="Glm4MoeLiteForCausalLM",
        name="GLM-4.7-Flash",
        config={"model_type": "glm4_moe_lite", "num_nextn_predict_layers": 1},
    ),
    Checkpoint(
        architecture="Glm4vMoeForConditionalGeneration",
        name="GLM-4.5V",
        config={
            "model_type": "glm4v_moe",
            "text_config": {"model_type": "glm4v_moe_text"},
            "vision_config": {"hidden_size": 1536},
        },
        quantizations=FP8,
    ),
    Checkpoint(
        architecture="Glm5NextForConditionalGeneration",
        name="GLM-5.3-Flash",
        config={"model_type": "glm5_next"},
        quantizations=FP8,
    ),
    Checkpoint(
        architecture="DeepseekV3ForCausalLM",
        name="DeepSeek-V3.1",
        config={"model_type": "deepseek_v3", "max_position_embeddings": 163840},
    ),
    Checkpoint(
        architecture="DeepseekV32ForCausalLM",
        name="DeepSeek-V3.2",
        config={
            "model_type": "deepseek_v32",
            "num_nextn_predict_layers": 1,
            "index_head_dim": 128,
            "index_n_heads": 64,
            "index_topk": 2048,
        },
    ),
    Checkpoint(
        architecture="Qwen3ForCausalLM",
        name="Qwen3-32B",
        config={
            "model_type": "qwen3",
            "hidden_size": 5120,
            "num_hidden_layers": 64,
            "num_attention_heads": 64,
            "num_key_value_heads": 8,
            "head_dim": 128,
        },
        quantizations=DENSE,
    ),
    Checkpoint(
        architecture="Qwen3MoeForCausalLM",
        name="Qwen3-235B-A22B",
        config={
            "model_type": "qwen3_moe",
            "hidden_size": 4096,
            "num_hidden_layers": 94,
            "num_attention_heads": 64,
            "num_key_value_heads": 4,
            "head_dim": 128,
        },
    ),
    Checkpoint(architecture="Qwen3NextForCausalLM", name="Qwen3-Next-80B-A3B", config={"model_type": "qwen3_next"}),
    Checkpoint(
        architecture="Qwen3VLForConditionalGeneration",
        name="Qwen3-VL-32B",
        config={
            "model_type": "qwen3_vl",
            "text_config": {"model_type": "qwen3_vl_text"},
            "vision_config": {"hidden_size": 1152},
        },
        quantizations=FP8,
    ),
    Checkpoint(
        architecture="Qwen3VLMoeForConditionalGeneration",
        name="Qwen3-VL-235B-A22B",
        config={
            "model_type": "qwen3_vl_moe",
            "text_config": {"model_type": "qwen3_vl_moe_text"},
            "vision_config": {"hidden_size": 1152},
        },
        quantizations=("none", "fp8", "modelopt_fp4", "awq"),
    ),
    Checkpoint(
        architecture="Qwen3_5ForConditionalGeneration",
        name="Qwen3.5-27B",
        config={
            "model_type": "qwen3_5",
            "text_config": {"model_type": "qwen3_5_text"},
            "vision_config": {"hidden_size": 1152},
        },
        quantizations=FP8,
    ),
    Checkpoint(
        architecture="Qwen3_5MoeForConditionalGeneration",
        name="Qwen3.5-397B-A17B",
        config={
            "model_type": "qwen3_5_moe",
            "text_config": {"model_type": "qwen3_5_moe_text"},
            "vision_config": {"hidden_size": 1152},
        },
        quantizations=("none", "fp8", "modelopt_fp4"),
    ),
    Checkpoint(
        architecture="KimiK25ForConditionalGeneration",
        name="Kimi-K2.5",
        config={
            "model_type": "kimi_k25",
            "text_config": {"model_type": "deepseek_v3"},
            "vision_config": {"num_hidden_layers": 27, "hidden_size": 1152},
        },
        quantizations=("none", "compressed-tensors", "modelopt_fp4"),
    ),
    Checkpoint(
        architecture="GptOssForCausalLM",
        name="gpt-oss-120b",
        config={"model_type": "gpt_oss"},
        quantizations=("mxfp4", "none", "modelopt_fp4"),
    ),
    Checkpoint(
        architecture="LlamaForCausalLM",
        name="Llama-3.1-70B-Instruct",
        config={
            "model_type": "llama",
            "hidden_size": 8192,
            "intermediate_size": 28672,
            "num_hidden_layers": 80,
            "num_attention_heads": 64,
            "num_key_value_heads": 8,
            "max_position_embeddings": 131072,
        },
        quantizations=(*DENSE, "modelopt_fp8"),
    ),
    Checkpoint(
        architecture="Llama4ForConditionalGeneration",
        name="Llama-4-Scout-17B-16E-Instruct",
        config={"model_type": "llama4", "vision_config": {"num_hidden_layers": 34, "hidden_size": 768}},
        quantizations=("none", "compressed-tensors", "modelopt_fp4"),
    ),
    Checkpoint(
        architecture="MiniMaxM2ForCausalLM",
        name="MiniMax-M2",
        config={"model_type": "minimax_m2"},
        quantizations=("fp8", "none", "awq", "modelopt_fp4"),
    ),
    Checkpoint(
        architecture="MistralForCausalLM",
        name="Mistral-7B-Instruct-v0.3",
        config={
            "model_type": "mistral",
            "hidden_size": 4096,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "sliding_window": None,
        },
        quantizations=DENSE,
    ),
    Checkpoint(
        architecture="Mistral3ForConditionalGeneration",
        name="Mistral-Small-3.2-24B",
        config={"model_type": "mistral3", "vision_config": {"num_hidden_layers": 24, "hidden_size": 1024}},
        quantizations=FP8,
    ),
    Checkpoint(
        architecture="Gemma3ForConditionalGeneration",
        name="gemma-3-27b-it",
        config={"model_type": "gemma3", "vision_config": {"num_hidden_layers": 12, "hidden_size": 768}},
        quantizations=("none", "compressed-tensors"),
    ),
    Checkpoint(
        architecture="Qwen2ForCausalLM",
        name="Qwen2.5-72B-Instruct",
        config={
            "model_type": "qwen2",
            "hidden_size": 8192,
            "num_hidden_layers": 80,
            "num_attention_heads": 64,
            "num_key_value_heads": 8,
        },
        quantizations=DENSE,
    ),
    Checkpoint(
        architecture="Qwen2_5_VLForConditionalGeneration",
        name="Qwen2.5-VL-72B-Instruct",
        config={"model_type": "qwen2_5_vl", "vision_config": {"hidden_size": 3584}},
        quantizations=("none", "awq"),
    ),
    Checkpoint(
        architecture="Gemma4ForConditionalGeneration",
        name="gemma-4-31b-it",
        config={"model_type": "gemma4"},
        quantizations=FP8,
    ),
)

CHECKPOINTS: Mapping[str, Checkpoint] = {each.architecture: each for each in _ALL}
"""By architecture."""
