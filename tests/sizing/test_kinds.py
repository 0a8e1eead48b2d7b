"""Layers that look back in other ways, and what stands beside the weights: adapters, towers, states, host caches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy import gpus
from glmdeploy.sizing import host
from glmdeploy.sizing.blocks import uneven
from glmdeploy.sizing.memory import GIB, memory, obstacle
from glmdeploy.sizing.model import from_config, known

if TYPE_CHECKING:
    from glmdeploy.sizing.memory import Memory
    from glmdeploy.sizing.model import Model

LLAMA, LORA = "meta-llama/Llama-3.1-8B-Instruct", ["q_proj", "k_proj", "v_proj", "o_proj"]


def model(repo: str) -> Model:
    found = known(repo)
    assert found, repo
    return found


def sized(repo: str, gpu: str, version: str = "0.5.23", **values: Any) -> Memory | None:
    values = {"tp_size": gpus.parse(gpu).count, "mem_fraction_static": 0.85} | values
    return memory(model(repo), gpus.parse(gpu), values.get, version=version)


class TestWindows:
    def test_the_pool_of_windowed_layers_is_a_share_of_the_others(self) -> None:
        """gpt-oss-120b: 18 layers of each kind, 8 heads of 64 keys and values in BF16."""
        layer = 8 * 2 * 64 * 2
        for share, length in ((None, 18 + 0.8 * 18), (0.5, 18 + 0.5 * 18), (1.0, 36)):
            found = sized("openai/gpt-oss-120b", "H100", swa_full_tokens_ratio=share)
            assert found
            assert found.pool.bytes_per_token == int(layer * length)

    def test_llama_4_has_three_chunked_layers_of_four(self) -> None:
        config = dict(model_config("meta-llama/Llama-4-Scout-17B-16E-Instruct"))
        assert from_config(config).kinds.windowed == 36
        assert from_config(config).kinds.full == 12

    def test_gemma_has_one_pool_of_the_full_length(self) -> None:
        found = sized("google/gemma-3-27b-it", "H100")
        assert found
        assert found.pool.bytes_per_token == 62 * 16 * 2 * 128 * 2

    def test_one_pool_for_both_kinds_is_named(self) -> None:
        assert sized("openai/gpt-oss-20b", "H100", disable_hybrid_swa_memory=True) is None
        named = obstacle(model("openai/gpt-oss-20b"), {"tp_size": 1, "disable_hybrid_swa_memory": True}.get)
        assert named == "one KV pool for layers with and without a sliding window"


class TestLinearAttention:
    def test_states_share_the_room_with_the_pool(self) -> None:
        found = sized("Qwen/Qwen3-Next-80B-A3B-Instruct", "H200:4")
        assert found
        # `mamba-full-memory-ratio` 0.9, and the padding slot of the pool.
        assert found.states / found.pool.bytes == pytest.approx(0.9, rel=0.01)
        assert found.pool.bytes_per_token == 12 * 1 * 2 * 256 * 2
        assert abs(found.spare) < 0.1 * GIB

    def test_a_state_of_each_request(self) -> None:
        linear = model("Qwen/Qwen3-Next-80B-A3B-Instruct").kinds.linear
        assert linear
        state, convolution = 32 * 128 * 128, (2 * 16 * 128 + 32 * 128) * 3
        assert linear.bytes(1) == 36 * (state * 4 + convolution * 2)
        assert linear.bytes(1, 2) == 36 * (state * 2 + convolution * 2)
        assert linear.bytes(4) == linear.bytes(1) // 4

    def test_slots_that_are_given(self) -> None:
        each = model("Qwen/Qwen3-Next-80B-A3B-Instruct").kinds.linear.bytes(4)  # type: ignore[union-attr]
        given_ = sized("Qwen/Qwen3-Next-80B-A3B-Instruct", "H200:4", max_mamba_cache_size=100)
        without = sized("Qwen/Qwen3-Next-80B-A3B-Instruct", "H200:4", disable_radix_cache=True, max_running_requests=10)
        assert given_
        assert without
        assert (given_.states, without.states) == (101 * each, 11 * each)
        assert given_.pool.tokens < without.pool.tokens

    def test_speculation_keeps_states_between_draft_tokens(self) -> None:
        nextn = {"speculative_algorithm": "NEXTN", "max_running_requests": 8}
        plain = sized("Qwen/Qwen3.5-397B-A17B-FP8", "H200:8", max_mamba_cache_size=80, max_running_requests=8)
        found = sized(
            "Qwen/Qwen3.5-397B-A17B-FP8", "H200:8", max_mamba_cache_size=80, speculative_num_draft_tokens=4, **nextn
        )
        assert plain
        assert found
        assert found.states == plain.states // 81 * (81 + 4 * 9)
        assert sized("Qwen/Qwen3.5-397B-A17B-FP8", "H200:8", **nextn) is None, "how many draft tokens is not known"


class TestAdapters:
    def test_the_pool_of_a_batch(self) -> None:
        """Two adapters of rank 16 in 32 layers: for queries, keys and values (3 × 4,096 read, 6,144 written) and the
        output (4,096 each), of one GPU."""
        values = {"enable_lora": True, "max_loras_per_batch": 2, "max_lora_rank": 16, "lora_target_modules": LORA}
        found, plain = sized(LLAMA, "H100", **values), sized(LLAMA, "H100")
        assert found
        assert plain
        assert found.adapters == 2 * 16 * 32 * 2 * (3 * 4096 + 4096 + 2 * 1024 + 4096 + 4096)
        assert found.pool.tokens < plain.pool.tokens

    @pytest.mark.parametrize(
        "values",
        [
            {"enable_lora": True},
            {"lora_paths": ["a=org/a"]},
            {"enable_lora": True, "max_lora_rank": 16},
            {"enable_lora": True, "lora_target_modules": ["q_proj"]},
            {"enable_lora": True, "max_lora_rank": 16, "lora_target_modules": ["embed_tokens"]},
        ],
        ids=str,
    )
    def test_adapters_whose_size_is_not_said_are_named(self, values: dict[str, Any]) -> None:
        assert sized(LLAMA, "H100", **values) is None
        named = obstacle(model(LLAMA), ({"tp_size": 1} | values).get)
        assert named
        assert named.startswith("LoRA adapters")

    def test_experts_are_not_counted(self) -> None:
        values = {"enable_lora": True, "max_lora_rank": 16, "lora_target_modules": ["all"]}
        assert sized("Qwen/Qwen3-30B-A3B", "H200", **values) is None


@pytest.mark.parametrize(
    ("repo", "values", "named"),
    [
        ("zai-org/GLM-4.5V", {}, "a vision tower whose size is not known"),
        (LLAMA, {"quantization": "fp8"}, "quantization fp8 of weights that are stored as none"),
        (LLAMA, {"cpu_offload_gb": 10}, "`cpu-offload-gb`"),
        (LLAMA, {"dcp_size": 2}, "`dcp-size`"),
        (LLAMA, {"device": "cpu"}, "`device` cpu"),
        (LLAMA, {"json_model_override_args": '{"num_hidden_layers": 2}'}, "`json-model-override-args`"),
        (LLAMA, {"speculative_algorithm": "EAGLE3"}, "`speculative-algorithm` EAGLE3"),
    ],
)
def test_what_is_not_counted_is_named(repo: str, values: dict[str, Any], named: str) -> None:
    assert sized(repo, "H200:8", **values) is None
    assert named in str(obstacle(model(repo), ({"tp_size": 8} | values).get))


def test_a_tower_is_what_the_index_has_beside_the_language_model() -> None:
    config = model_config("zai-org/GLM-4.5V")
    language = from_config(config).weights
    found = from_config(config, weights=language + 2 * GIB)
    assert found.uncounted is None
    assert found.counted == pytest.approx(found.weights, abs=4)
    assert [group.stored for group in found.tensors if group.name == "vision_tower"] == [2 * GIB]


@pytest.mark.parametrize(
    ("repo", "values", "size", "parts"),
    [
        ("Qwen/Qwen3-235B-A22B-FP8", {"tp_size": 8}, 1536, 8),
        ("Qwen/Qwen3-235B-A22B-FP8", {"tp_size": 8, "ep_size": 2}, 0, 0),
        ("Qwen/Qwen3-235B-A22B-FP8", {"tp_size": 4}, 0, 0),
        ("Qwen/Qwen3-235B-A22B-FP8", {"tp_size": 8, "moe_a2a_backend": "deepep"}, 0, 0),
        ("Qwen/Qwen3-235B-A22B", {"tp_size": 8}, 0, 0),
        ("MiniMaxAI/MiniMax-M2", {"tp_size": 8}, 1536, 8),
        ("MiniMaxAI/MiniMax-M2", {"tp_size": 8, "ep_size": 8}, 0, 0),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct-FP8", {"tp_size": 8}, 512, 8),
        ("Qwen/Qwen3-30B-A3B-FP8", {"tp_size": 4}, 768, 4),
        ("Qwen/Qwen3-32B-FP8", {"tp_size": 8}, 0, 0),
        ("Qwen/Qwen3-14B-FP8", {"tp_size": 16}, 17408, 16),
        ("deepseek-ai/DeepSeek-V3.1", {"tp_size": 8}, 0, 0),
        ("zai-org/GLM-5.1-FP8", {"tp_size": 8}, 0, 0),
        ("zai-org/GLM-4.5-Air-FP8", {"tp_size": 8}, 0, 0),
    ],
)
def test_blocks_that_are_cut_through(repo: str, values: dict[str, Any], size: int, parts: int) -> None:
    found = uneven(model(repo), values.get)
    assert (found.size, found.parts) if found else (size, parts) == (0, 0)
    if found:
        assert f"{size:,} are cut into {parts} parts of {size / parts:g}" in str(found)


class TestHost:
    ON: dict[str, Any] = {"tp_size": 8, "enable_hierarchical_cache": True}  # noqa: RUF012

    def test_a_size_is_one_for_each_rank(self) -> None:
        assert host.taken(model(LLAMA), None, (self.ON | {"hicache_size": 150}).get) == 8 * 150 * 10**9

    def test_the_index_comes_on_top(self) -> None:
        found = host.taken(model("zai-org/GLM-5.1-FP8"), None, (self.ON | {"hicache_size": 150}).get)
        assert found == pytest.approx(8 * 150 * 10**9 * (1 + 132 / 1152))

    def test_a_ratio_is_of_the_pool_on_the_gpu(self) -> None:
        found = sized(LLAMA, "H200:8")
        assert found
        assert (
            host.taken(model(LLAMA), found, (self.ON | {"hicache_ratio": 3.0}).get) == round(3 * found.pool.bytes) * 8
        )
        assert host.taken(model(LLAMA), found, self.ON.get) == 2 * found.pool.bytes * 8
        assert host.taken(model(LLAMA), None, self.ON.get) is None

    def test_nothing_without_it(self) -> None:
        assert host.taken(model(LLAMA), None, {"tp_size": 8}.get) == 0


def model_config(repo: str) -> Any:
    from glmdeploy.sglang import models

    config = models.known(repo)
    assert config
    return config


KNOWN = st.sampled_from(
    [LLAMA, "openai/gpt-oss-20b", "Qwen/Qwen3-Next-80B-A3B-Instruct", "zai-org/GLM-5.2-FP8", "google/gemma-3-27b-it"]
)
ANY = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**6)
    | st.floats()
    | st.text(max_size=4)
    | st.lists(st.text(max_size=6))
)
NUMBERS = st.integers(-5, 10**6) | st.floats() | st.sampled_from([float("inf"), float("nan"), 0, -1.0])
ANY = st.none() | st.booleans() | NUMBERS | st.text(max_size=4) | st.lists(st.text(max_size=6))
OPTIONS = (
    *("swa_full_tokens_ratio", "mamba_full_memory_ratio", "max_mamba_cache_size", "mamba_ssm_dtype", "pp_size"),
    *("enable_lora", "max_lora_rank", "lora_target_modules", "max_loras_per_batch", "disable_radix_cache"),
    *("max_running_requests", "speculative_algorithm", "speculative_num_draft_tokens", "ep_size", "dp_size"),
    *("enable_hierarchical_cache", "hicache_size", "hicache_ratio", "cuda_graph_max_bs", "quantization"),
)


@given(repo=KNOWN, values=st.dictionaries(st.sampled_from(OPTIONS), ANY))
def test_any_values_are_sized_or_not_known(repo: str, values: dict[str, Any]) -> None:
    found = sized(repo, "H200:8", kv_cache_dtype="bfloat16", **values)
    named = obstacle(model(repo), ({"tp_size": 8} | values).get)
    assert found is None or named is None
    taken = host.taken(model(repo), found, ({"tp_size": 8} | values).get)
    assert taken is None or taken >= 0
    if found is not None:
        assert found.states >= 0
        assert found.adapters >= 0
        assert found.left == found.total - found.weights - found.adapters - found.states - found.pool.bytes
