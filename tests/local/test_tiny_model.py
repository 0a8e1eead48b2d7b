"""The tiny model's files: the safetensors format, the index, finite weights, each architecture's names."""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any

import jinja2
import pytest
from safetensors import deserialize

from glmdeploy.local import tiny_model

if TYPE_CHECKING:
    from pathlib import Path

REPOS = {
    "zai-org/GLM-5.1-FP8": "GlmMoeDsaForCausalLM",
    "zai-org/GLM-5": "GlmMoeDsaForCausalLM",
    "zai-org/GLM-4.6": "Glm4MoeForCausalLM",
    "zai-org/GLM-4-9B-0414": "Glm4ForCausalLM",
}


@pytest.fixture(scope="module", params=REPOS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "model"
    tiny_model.write(directory, request.param)
    return directory


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def header(path: Path) -> tuple[dict[str, Any], bytes]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    entries = json.loads(content[8 : 8 + length])
    assert entries.pop("__metadata__") == {"format": "pt"}
    return entries, content[8 + length :]


def numbers(dtype: str, data: bytes) -> list[float]:
    if dtype == "F32":
        return [value for (value,) in struct.iter_unpack("<f", data)]
    if dtype == "BF16":
        return [struct.unpack("<f", b"\0\0" + data[i : i + 2])[0] for i in range(0, len(data), 2)]
    assert dtype == "F8_E4M3"
    return [e4m3(code) for code in data]


def e4m3(code: int) -> float:
    sign = -1 if code & 0x80 else 1
    exponent, mantissa = code >> 3 & 15, code & 7
    if exponent == 15 and mantissa == 7:
        return math.nan
    return sign * (mantissa / 8 * 2**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7))


@pytest.mark.parametrize(("repo", "expected"), REPOS.items())
def test_architecture(repo: str, expected: str) -> None:
    assert tiny_model.architecture(repo) == expected


@pytest.mark.parametrize(
    ("repo", "expected"),
    [
        ("someone/glm5.1-awq", "GlmMoeDsaForCausalLM"),
        ("nvidia/GLM-5.1-NVFP4", "GlmMoeDsaForCausalLM"),
        ("glm-5/Llama-3-8B", "Glm4ForCausalLM"),
        ("org/GLM-50B", "Glm4ForCausalLM"),
        ("zai-org/GLM-4.5-Air", "Glm4MoeForCausalLM"),
        ("zai-org/GLM-4.7", "Glm4MoeForCausalLM"),
        ("zai-org/GLM-4.1", "Glm4ForCausalLM"),
    ],
)
def test_architecture_of_other_names(repo: str, expected: str) -> None:
    assert tiny_model.architecture(repo) == expected


def test_files(model: Path) -> None:
    assert sorted(path.name for path in model.iterdir()) == [
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert sum(path.stat().st_size for path in model.iterdir()) < 1_000_000


def test_shards_hold_what_the_index_says_and_every_weight_is_finite(model: Path) -> None:
    index = read(model / "model.safetensors.index.json")
    found: dict[str, str] = {}
    total = 0
    for shard in model.glob("*.safetensors"):
        entries, data = header(shard)
        assert {name: (info["dtype"], info["shape"]) for name, info in deserialize(shard.read_bytes())} == {
            name: (entry["dtype"], entry["shape"]) for name, entry in entries.items()
        }
        found |= dict.fromkeys(entries, shard.name)
        total += len(data)
        for name, entry in entries.items():
            start, end = entry["data_offsets"]
            values = numbers(entry["dtype"], data[start:end])
            assert len(values) == math.prod(entry["shape"])
            assert all(map(math.isfinite, values)), name
    assert found == index["weight_map"]
    assert total == index["metadata"]["total_size"]


def test_weights_are_spread_as_a_fresh_model_is(model: Path) -> None:
    """Each matrix keeps the size of what goes through it: a deviation of about 1 / sqrt(columns)."""
    for shard in model.glob("*.safetensors"):
        entries, data = header(shard)
        for name, entry in entries.items():
            if not name.endswith("o_proj.weight"):
                continue
            start, end = entry["data_offsets"]
            values = numbers(entry["dtype"], data[start:end])
            scale = 1 / 256 if entry["dtype"] == "F8_E4M3" else 1.0
            deviation = math.sqrt(sum(value * value for value in values) / len(values)) * scale
            assert deviation == pytest.approx(1 / math.sqrt(entry["shape"][1]), rel=0.05)


def names(directory: Path, repo: str) -> set[str]:
    tiny_model.write(directory, repo)
    return set(read(directory / "model.safetensors.index.json")["weight_map"])


def test_glm5_has_latent_attention_an_indexer_experts_and_a_prediction_layer(tmp_path: Path) -> None:
    found = names(tmp_path / "m", "zai-org/GLM-5.1-FP8")
    for part in (
        "q_a_proj.weight",
        "q_a_proj.weight_scale_inv",
        "q_a_layernorm.weight",
        "q_b_proj.weight",
        "kv_a_proj_with_mqa.weight",
        "kv_a_layernorm.weight",
        "kv_b_proj.weight",
        "o_proj.weight",
        "indexer.wq_b.weight",
        "indexer.wk.weight",
        "indexer.k_norm.weight",
        "indexer.k_norm.bias",
        "indexer.weights_proj.weight",
    ):
        assert f"model.layers.3.self_attn.{part}" in found
    assert {"model.layers.0.mlp.gate_proj.weight", "model.layers.1.mlp.experts.7.down_proj.weight"} <= found
    assert {"model.layers.3.eh_proj.weight", "model.layers.3.shared_head.head.weight"} <= found
    assert "model.layers.1.mlp.gate.weight_scale_inv" not in found
    assert not any(name.startswith("model.layers.4.") for name in found)


def test_a_glm5_without_fp8_in_its_name_is_not_quantized(tmp_path: Path) -> None:
    assert not any(name.endswith("scale_inv") for name in names(tmp_path / "m", "zai-org/GLM-5.1"))
    assert "quantization_config" not in read(tmp_path / "m" / "config.json")


def test_the_config_has_the_keys_of_the_real_one(tmp_path: Path) -> None:
    """The keys of GLM-5.1-FP8's config.json that SGLang and sizing read."""
    tiny_model.write(tmp_path / "m", "zai-org/GLM-5.1-FP8")
    assert set(read(tmp_path / "m" / "config.json")) == {
        "architectures",
        "model_type",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "intermediate_size",
        "moe_intermediate_size",
        "n_routed_experts",
        "num_experts_per_tok",
        "n_shared_experts",
        "first_k_dense_replace",
        "kv_lora_rank",
        "q_lora_rank",
        "qk_nope_head_dim",
        "qk_rope_head_dim",
        "qk_head_dim",
        "v_head_dim",
        "head_dim",
        "index_head_dim",
        "index_n_heads",
        "index_topk",
        "max_position_embeddings",
        "vocab_size",
        "rms_norm_eps",
        "num_nextn_predict_layers",
        "rope_parameters",
        "routed_scaling_factor",
        "n_group",
        "topk_group",
        "norm_topk_prob",
        "scoring_func",
        "topk_method",
        "dtype",
        "quantization_config",
        "tie_word_embeddings",
        "hidden_act",
        "eos_token_id",
        "pad_token_id",
    }


def test_the_tokenizer_has_every_byte_once(model: Path) -> None:
    tokenizer = read(model / "tokenizer.json")
    vocabulary = tokenizer["model"]["vocab"]
    numbers = [*vocabulary.values(), *(token["id"] for token in tokenizer["added_tokens"])]
    assert sorted(numbers) == list(range(read(model / "config.json")["vocab_size"]))
    assert {"a": 97, "Ġ": 32, "Ċ": 10}.items() <= vocabulary.items()


def test_the_chat_template_renders(model: Path) -> None:
    template = jinja2.Environment(autoescape=False).from_string((model / "chat_template.jinja").read_text())
    call = {"function": {"name": "weather", "arguments": {"city": "Oslo", "days": 2}}}
    text = template.render(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": "rain"},
        ],
        tools=[{"type": "function", "function": {"name": "weather"}}],
        add_generation_prompt=True,
        enable_thinking=False,
    )
    assert text.startswith("[gMASK]<sop><|system|>\n# Tools\n")
    assert "<|user|>\nHi<|assistant|>" in text
    assert "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n" in text
    assert text.endswith("<tool_response>\nrain\n</tool_response><|assistant|>\n<think></think>\n")


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_repository_alone_decides_the_content(tmp_path: Path) -> None:
    for name, repo in (("a", "org/GLM-4"), ("b", "org/GLM-4"), ("c", "other/GLM-4")):
        tiny_model.write(tmp_path / name, repo)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_writing_twice_changes_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    tiny_model.write(tmp_path / "m", "org/GLM-4")
    before = contents(tmp_path / "m")
    tiny_model.write(tmp_path / "m", "org/GLM-4")
    assert contents(tmp_path / "m") == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_directory_with_something_else_in_it_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "precious").touch()
    with pytest.raises(OSError, match=r"not empty|exists"):
        tiny_model.write(tmp_path / "m", "org/GLM-4")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
