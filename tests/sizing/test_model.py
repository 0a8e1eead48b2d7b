"""Models are counted from their dimensions, and what cannot be counted is refused with a reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_configs import DEEPSEEK_V3, MIXTRAL, QWEN3_8B

from glmdeploy.sglang import models
from glmdeploy.sizing.checkpoint import Fields, UnknownModel, read
from glmdeploy.sizing.model import GroupedAttention, LatentAttention, from_config, known

GIB = 1024**3
GLM51, AIR = models.known("zai-org/GLM-5.1-FP8"), models.known("zai-org/GLM-4.5-Air")
assert GLM51
assert AIR


@pytest.mark.parametrize(
    ("config", "billions"),
    # As their pages on the Hugging Face Hub tell them, in whole billions; those of FP8 count the scales too.
    [(GLM51, 754), (AIR, 110), (DEEPSEEK_V3, 685), (QWEN3_8B, 8), (MIXTRAL, 47)],
    ids=lambda value: value["architectures"][0] if isinstance(value, dict) else None,
)
def test_parameters(config: dict[str, Any], billions: int) -> None:
    assert from_config(config).parameters / 1e9 == pytest.approx(billions, abs=0.52)


def test_glm51_fills_the_disk_as_published() -> None:
    # A copy of GLM-5.2-FP8, which has 753B parameters, took 704 GiB of a disk (OpenAgentsInc/hydralisk, 2026-06-24).
    assert round(from_config(GLM51).weights / GIB) == 704


def test_deepseek_v3_has_the_size_of_its_files() -> None:
    # ``total_size`` of its index, in bytes.
    assert from_config(DEEPSEEK_V3).weights == pytest.approx(688_586_727_753, rel=2e-5)


def test_dimensions() -> None:
    model = known("zai-org/GLM-5.1-FP8")
    assert model
    assert (model.architecture, model.quantization) == ("GlmMoeDsaForCausalLM", "fp8")
    assert (model.layers, model.draft_layers, model.heads, model.experts, model.context) == (78, 1, 64, 256, 202752)
    assert model.attention == LatentAttention(rank=512, rope=64, index=128)
    air = known("zai-org/GLM-4.5-Air-FP8")
    assert air
    assert air.attention == GroupedAttention(kv_heads=8, key=128, value=128)
    assert air.quantization == "compressed-tensors"
    assert known("acme/other") is None
    assert from_config(DEEPSEEK_V3).attention == LatentAttention(rank=512, rope=64)


def test_multi_head_attention_needs_no_number_of_key_heads() -> None:
    config = {key: value for key, value in QWEN3_8B.items() if key not in ("num_key_value_heads", "head_dim")}
    assert from_config(config).attention == GroupedAttention(kv_heads=32, key=128, value=128)


def test_the_language_model_of_one_that_sees() -> None:
    inner = {key: value for key, value in QWEN3_8B.items() if key != "architectures"}
    outer = {"architectures": ["SeesForConditionalGeneration"], "vision_config": {}, "text_config": inner}
    model = from_config(outer)
    assert model.architecture == "SeesForConditionalGeneration"
    assert model.parameters == from_config(QWEN3_8B).parameters


def test_which_layers_have_experts() -> None:
    layers = {"num_hidden_layers": 8, "num_experts": 4, "moe_intermediate_size": 100}
    every = from_config(QWEN3_8B | layers).parameters
    expert_layer = 4 * 3 * 4096 * 100 + 4 * 4096
    dense_layer = 3 * 4096 * 12288
    for keys, dense in (
        ({"decoder_sparse_step": 2}, 4),
        ({"mlp_only_layers": [0, 7]}, 2),
        ({"moe_layer_freq": [0, 1, 1, 1, 1, 1, 1, 1]}, 1),
        ({"first_k_dense_replace": 3}, 3),
    ):
        assert from_config(QWEN3_8B | layers | keys).parameters == every + dense * (dense_layer - expert_layer)


def test_tied_embeddings_are_stored_once() -> None:
    tied = from_config(QWEN3_8B | {"tie_word_embeddings": True})
    assert from_config(QWEN3_8B).parameters - tied.parameters == 151936 * 4096


@pytest.mark.parametrize(
    ("quantization", "width"),
    [
        (None, 2),
        ({"quant_method": "fp8"}, 1),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 1 + 4 / 128**2),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, 0.5625),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, 1),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, 0.5 + 2.5 / 128),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"g": {"weights": {"num_bits": 8, "type": "float"}}},
            },
            1,
        ),
    ],
)
def test_formats(quantization: dict[str, Any] | None, width: float) -> None:
    form = read(Fields(data={"dtype": "bfloat16", "quantization_config": quantization}))
    assert form.width("model.layers.3.self_attn.o_proj") == width
    assert form.width("model.layers.3.mlp.gate") == form.width("embed_tokens") == 2


@pytest.mark.parametrize(
    "pattern",
    ["model.layers.3.self_attn", "self_attn", "*self_attn*", "re:.*self_attn.*", r"re:.*\.o_proj$", "re:model.*proj$"],
)
def test_what_is_left_out_of_the_quantisation(pattern: str) -> None:
    form = read(Fields(data={"quantization_config": {"quant_method": "fp8", "ignored_layers": [pattern]}}))
    assert form.width("model.layers.3.self_attn.o_proj") == 2
    assert form.width("model.layers.3.mlp.experts.0") == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hidden_size": None}, "`hidden_size` is missing"),
        ({"hidden_size": "4096"}, "`hidden_size` is '4096', not an integer from 1 to"),
        ({"hidden_size": 10**40}, "`hidden_size` is a very large number"),
        ({"num_hidden_layers": True}, "`num_hidden_layers` is True"),
        ({"num_hidden_layers": 10**6}, "`num_hidden_layers` is 1000000, not an integer from 1 to 10000"),
        ({"architectures": []}, "`architectures` names no class"),
        ({"architectures": "Qwen3ForCausalLM"}, "`architectures` is 'Qwen3ForCausalLM', not a list"),
        ({"tie_word_embeddings": "no"}, "`tie_word_embeddings` is 'no', neither true nor false"),
        ({"dtype": "int3"}, "`dtype` int3 is none of"),
        ({"text_config": []}, "`text_config` is a list, not a mapping"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "`layer_types` has sliding_attention"),
        ({"attention_chunk_size": 8192}, "`attention_chunk_size` means attention in chunks"),
        ({"full_attention_interval": 4}, "`full_attention_interval` means linear attention"),
        ({"index_topk_pattern": "FSSS"}, "`index_topk_pattern` means layers that share the index"),
        ({"kv_lora_rank": 512}, "`qk_rope_head_dim` is missing"),
        ({"moe_layer_freq": [1], "num_experts": 8}, "`moe_layer_freq` has 1 entries for 36 layers"),
        ({"quantization_config": {"quant_method": "hqq"}}, "sizing does not know the quantisation `hqq`"),
        ({"quantization_config": {"quant_method": "modelopt", "quant_algo": "W4A8"}}, "does not know the quantisation"),
        ({"quantization_config": {"quant_method": "compressed-tensors"}}, "has not one number format"),
        (
            {"quantization_config": {"quant_method": "fp8", "ignored_layers": ["re:(a+)+$"]}},
            "leaves out names by `re:(a+)+$`".replace("re:", ""),
        ),
        ({"quantization_config": {"quant_method": "fp8", "weight_block_size": ["a", "b"]}}, "does not hold two sizes"),
    ],
)
def test_what_cannot_be_read_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnknownModel) as error:
        from_config(QWEN3_8B | change)
    assert reason in str(error.value)


def test_thousands_of_names_are_looked_up_at_once() -> None:
    names = [f"model.layers.{layer}.mlp.experts.{expert}.up_proj" for layer in range(100) for expert in range(400)]
    config = QWEN3_8B | {"quantization_config": {"quant_method": "fp8", "ignored_layers": names}}
    assert from_config(config).weights == from_config(config | {"quantization_config": {"quant_method": "fp8"}}).weights


def test_the_size_of_the_files_can_be_told() -> None:
    model = from_config(QWEN3_8B, weights=10**10)
    assert model.weights == 10**10
    assert model.counted == from_config(QWEN3_8B).weights


VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=5)
JSON = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


@given(base=st.sampled_from([GLM51, AIR, DEEPSEEK_V3, QWEN3_8B, MIXTRAL]), data=st.data())
def test_foreign_configurations_are_read_or_refused(base: dict[str, Any], data: st.DataObject) -> None:
    keys = st.sampled_from(sorted({*base, "text_config", "quantization_config", "mlp_only_layers", "layer_types"}))
    changes = data.draw(st.dictionaries(keys, JSON, min_size=1, max_size=4))
    try:
        model = from_config(base | changes)
    except UnknownModel as error:
        assert str(error)
        assert len(str(error)) < 200
    else:
        assert model.weights > 0
        assert model.parameters > 0
