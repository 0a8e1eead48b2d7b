"""Sizing against figures that SGLang itself gave: measured on a GPU, and in published logs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_configs import DEEPSEEK_V3, QWEN3_8B

from glmdeploy import gpus
from glmdeploy.profile.text.load import load
from glmdeploy.resources import profiles_dir
from glmdeploy.rules.check import check
from glmdeploy.sglang import models
from glmdeploy.sizing.memory import GIB, Pool, memory
from glmdeploy.sizing.model import from_config, known
from glmdeploy.sizing.pool import BF16, FP8
from glmdeploy.sizing.sharding import read

if TYPE_CHECKING:
    from glmdeploy.sizing.memory import Memory
    from glmdeploy.sizing.model import Model

GLM51 = known("zai-org/GLM-5.1-FP8")
AIR = known("zai-org/GLM-4.5-Air-FP8")
CONFIG = models.known("zai-org/GLM-5.1-FP8")
assert GLM51
assert AIR
assert CONFIG

SPARSE: dict[str, Any] = {
    "tp_size": 1,
    "mem_fraction_static": 0.8,
    "page_size": 64,
    "kv_cache_dtype": BF16,
    "dsa_prefill_backend": "flashmla_sparse",
    "dsa_decode_backend": "flashmla_sparse",
}
EAGLE = {"speculative_algorithm": "EAGLE"}


def sized(model: Model, gpu: str, version: str | None = "0.5.11", **values: Any) -> Memory:
    found = memory(model, gpus.parse(gpu), ({"tp_size": 1, "mem_fraction_static": 0.8} | values).get, version=version)
    assert found
    return found


def allocated(layers: int, tokens: int, **values: Any) -> float:
    """GiB of a pool of ``tokens`` for GLM-5.1's attention in ``layers`` layers."""
    small = {"num_hidden_layers": layers, "n_routed_experts": 8, "moe_intermediate_size": 64, "intermediate_size": 64}
    model = from_config(CONFIG | small | {"first_k_dense_replace": 1})
    found = sized(model, "B200", **{**SPARSE, "max_total_tokens": tokens, **values})
    assert found.pool.tokens == tokens
    return found.pool.bytes / GIB


def test_bytes_of_a_token_and_layer() -> None:
    found = sized(GLM51, "B200:8", **SPARSE | {"tp_size": 8}).possible
    per_token = {name: pool.bytes_per_token / 78 for name, pool in found.items()}
    assert per_token == {BF16: 1284, FP8: 788}


def test_pools_measured_on_an_h100() -> None:
    """SGLang 0.5.11 on one H100: GLM-5.1's attention, small MLPs, 6 and 78 layers."""
    assert round(allocated(6, 5_333_056), 2) == 38.26
    assert round(allocated(6, 9_671_808, kv_cache_dtype=FP8), 2) == 42.59
    assert round(allocated(78, 65_536), 2) == 6.12
    draft = allocated(78, 65_536, **EAGLE) - allocated(78, 65_536)
    assert round(draft, 2) == 0.08


def test_a_pool_that_is_larger_than_sglang_reckons() -> None:
    """The same memory gave 5,333,056 tokens of BF16 and 9,671,808 of FP8: 0.5.11 divided it by 1,284 and by 708."""
    memory_of_pool = 5_333_056 * 6 * 1284
    assert memory_of_pool // (708 * 6) // 64 * 64 == pytest.approx(9_671_808, abs=64)
    older = sized(GLM51, "H200:8", **SPARSE | {"tp_size": 8, "kv_cache_dtype": FP8})
    newer = sized(GLM51, "H200:8", "0.5.17", **SPARSE | {"tp_size": 8, "kv_cache_dtype": FP8})
    assert older.pool.bytes_per_token == newer.pool.bytes_per_token
    assert older.pool.tokens / newer.pool.tokens == pytest.approx(788 / 708, rel=1e-3)
    assert older.spare < -2 * GIB
    assert abs(newer.spare) < newer.pool.bytes_per_token * 64 * 2


def test_the_trtllm_kernels_take_no_scales() -> None:
    found = sized(GLM51, "B200:8", **SPARSE | {"tp_size": 8, "kv_cache_dtype": FP8, "dsa_decode_backend": "trtllm"})
    assert found.pool.bytes_per_token == 708 * 78


def test_the_draft_model_is_counted_from_0_5_14_on() -> None:
    values = SPARSE | EAGLE | {"tp_size": 8, "mem_fraction_static": 0.88}
    older, newer = (sized(GLM51, "B200:8", version, **values) for version in ("0.5.13.post1", "0.5.14"))
    assert older.weights == newer.weights
    assert older.spare < -GIB
    assert newer.spare > -newer.pool.bytes_per_token * 64
    assert older.pool.bytes_per_token == newer.pool.bytes_per_token == 1284 * 79
    assert newer.pool == sized(GLM51, "B200:8", None, **values).pool


def test_weights_of_published_logs() -> None:
    """``mem usage`` of SGLang's "Load weight end": GLM-5-FP8 and GLM-5.2-FP8 with tp 8, Qwen3-8B with tp 1."""
    glm = sized(GLM51, "B200:8", **SPARSE | {"tp_size": 8}).weights / GIB
    assert glm / 89.58 - 1 == pytest.approx(-0.007, abs=0.001)
    assert glm / 89.44 - 1 == pytest.approx(-0.0055, abs=0.001)
    qwen = sized(from_config(QWEN3_8B), "B200").weights / GIB
    assert qwen / 15.28 - 1 == pytest.approx(-0.0013, abs=0.001)


def test_pools_of_published_logs() -> None:
    """``KV Cache is allocated``: Qwen3-8B on a B200, and GLM-4.5-Air-FP8 with data-parallel attention (#11208)."""
    values = {"page_size": 64, "max_total_tokens": 992_896, "mem_fraction_static": 0.9}
    assert round(sized(from_config(QWEN3_8B), "B200", **values).pool.bytes / GIB / 2, 2) == 68.18
    shared = {"tp_size": 4, "dp_size": 2, "enable_dp_attention": True, "max_total_tokens": 1_339_395}
    assert round(sized(AIR, "B200:4", mem_fraction_static=0.9, **shared).pool.bytes / GIB / 2, 2) == 58.76


def test_what_sglang_found_free() -> None:
    """137.90 GiB of eight H200 (InferenceX 2128), 93.30 to 94.08 of eight RTX PRO 6000, 175.34 to 177.57 of B200."""
    assert sized(GLM51, "H200:8", **SPARSE | {"tp_size": 8}).total / GIB == pytest.approx(137.90, abs=0.01)
    assert sized(AIR, "RTX-PRO-6000:8", tp_size=8).total / GIB == pytest.approx(93.7, abs=0.7)
    assert sized(AIR, "B200:8", tp_size=8).total / GIB == pytest.approx(176.5, abs=1.2)


def test_glm_does_not_fit_on_rtx_pro_6000_as_published() -> None:
    """SGLang 0.5.13.post1 refused GLM-5.2-FP8 with 0.92 on eight of them, and took it with 0.98 (hydralisk)."""
    values = SPARSE | {"tp_size": 8, "kv_cache_dtype": FP8}
    assert sized(GLM51, "RTX-PRO-6000:8", "0.5.13.post1", **values | {"mem_fraction_static": 0.92}).pool.tokens == 0
    assert sized(GLM51, "RTX-PRO-6000:8", "0.5.13.post1", **values | {"mem_fraction_static": 0.98}).pool.tokens > 4096


def test_next_to_aiconfigurators_estimate() -> None:
    """GLM-5.1-FP8 on B200, tp 8, batch 48 of 8192 + 1024 tokens, BF16: 96.6 GiB weights, 24.8 KV, 130.4 in all.

    Its weights are above what SGLang's logs show, its KV cache below the measured bytes a token.
    """
    found = sized(GLM51, "B200:8", **SPARSE | {"tp_size": 8, "mem_fraction_static": 0.9})
    weights, kv = found.weights / GIB, found.possible[BF16].bytes_per_token * 48 * 9216 / GIB
    assert (round(weights, 1), round(kv, 1)) == (89.0, 41.3)
    assert round(100 * (weights / 96.6 - 1), 1) == -7.9
    assert round(100 * (kv / 24.8 - 1)) == 66
    assert round(100 * ((weights + kv + found.working / GIB) / 130.4 - 1), 1) == 7.5


@pytest.mark.parametrize(
    "values",
    [
        {"tp_size": None},
        {"tp_size": 8, "dp_size": 3, "enable_dp_attention": True},
        {"mem_fraction_static": None},
        {"mem_fraction_static": 1.0},
        {"kv_cache_dtype": "nvfp4"},
        {"quantization": "w4afp8"},
        {"speculative_algorithm": "EAGLE3"},
        {"speculative_algorithm": "EAGLE", "speculative_draft_model_path": "/draft", "model_path": "/model"},
        {"device": "cpu"},
        {"json_model_override_args": '{"num_hidden_layers": 2}'},
        {"cpu_offload_gb": 10},
        {"dcp_size": 2},
    ],
    ids=str,
)
def test_what_is_not_known_is_not_claimed(values: dict[str, Any]) -> None:
    base = {"tp_size": 8, "mem_fraction_static": 0.8, "kv_cache_dtype": BF16}
    b200 = gpus.parse("B200:8")
    assert memory(AIR, b200, base.get)
    assert memory(AIR, b200, (base | values).get) is None


def test_the_kv_dtype_of_sparse_attention_is_sglangs_to_decide() -> None:
    values = {"tp_size": 8, "mem_fraction_static": 0.8}
    assert memory(GLM51, gpus.parse("B200:8"), values.get) is None
    assert sized(AIR, "B200:8", tp_size=8).kv_dtype == BF16
    assert memory(AIR, gpus.parse("A10"), values.get) is None, "its memory is not known"


def test_a_checkpoint_calibrated_for_fp8_has_an_fp8_cache() -> None:
    quantization = {"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}
    assert sized(from_config(QWEN3_8B | {"quantization_config": quantization}), "B200").kv_dtype == FP8


def test_float32_takes_twice_as_much() -> None:
    qwen = from_config(QWEN3_8B)
    wide, narrow = sized(qwen, "B200", dtype="float32"), sized(qwen, "B200")
    assert (wide.weights, wide.pool.bytes_per_token) == (2 * narrow.weights, 2 * narrow.pool.bytes_per_token)


def test_files_that_are_larger_than_the_dimensions_say() -> None:
    twice = from_config(QWEN3_8B, weights=2 * from_config(QWEN3_8B).weights)
    assert sized(twice, "B200").weights == pytest.approx(2 * sized(from_config(QWEN3_8B), "B200").weights, abs=2)


def test_data_parallel_attention_holds_attention_in_each_group() -> None:
    def weights(**values: Any) -> int:
        return sized(GLM51, "B200:8", **SPARSE | {"tp_size": 8} | values).weights

    groups = weights(dp_size=8, enable_dp_attention=True)
    # Attention's matrices that tensor parallelism divides, the absorbed ones included, and the embedding: 7/8 more.
    shared = 78 * (64 * 448 * 512 + 64 * 256 * (6144 + 2048))
    assert groups - weights() == pytest.approx(7 / 8 * (shared + 2 * (78 * 64 * 448 * 512 + 154880 * 6144)), rel=1e-3)
    assert weights(moe_a2a_backend="deepep") - weights() == pytest.approx(7 / 8 * 75 * 3 * 6144 * 2048, rel=1e-3)


def test_a_pipeline_divides_the_layers() -> None:
    one, two = (sized(GLM51, "B200:8", **SPARSE | {"tp_size": 8, "pp_size": stages}) for stages in (1, 2))
    assert two.pool.bytes_per_token * 2 == one.pool.bytes_per_token
    # Of 75 layers of experts, 39 are in the second half; the three without are all in the first.
    experts = 75 * 256 * 3 * 6144 * 2048 / 8
    assert two.weights - one.weights / 2 == pytest.approx(experts * (39 / 75 - 1 / 2), rel=0.1)
    assert two.weights / one.weights > 0.5


@pytest.mark.parametrize(
    ("layers", "stages", "lengths"),
    [(78, 2, [39, 39]), (61, 2, [30, 31]), (61, 4, [15, 15, 15, 16]), (92, 3, [30, 31, 31]), (3, 4, [0, 1, 1, 1])],
)
def test_what_does_not_divide_makes_the_last_stages_longer(layers: int, stages: int, lengths: list[int]) -> None:
    """What ``get_pp_indices`` gives: tried with the function of 0.5.11 and 0.5.23."""
    sharding = read({"tp_size": 8, "pp_size": stages}.get)
    model = dataclasses.replace(GLM51, layers=layers)
    assert sharding is not None
    ranges = [sharding.stage(model, number) for number in range(stages)]
    assert [len(each) for each in ranges] == lengths
    assert [layer for each in ranges for layer in each] == list(range(layers))


def test_an_end_of_a_pipeline_has_the_embedding_or_the_head() -> None:
    """The layers of a dense model come out even, and the two ends are as large: one of them counts."""
    qwen = from_config(QWEN3_8B)
    end = 151_936 * 4096 * 2
    one, two = (sized(qwen, "B200:2", tp_size=1, pp_size=stages).weights for stages in (1, 2))
    assert two - end == pytest.approx((one - 2 * end) / 2, rel=1e-3)


def test_small_gpus_keep_less_free() -> None:
    qwen = from_config(QWEN3_8B)
    assert sized(qwen, "T4").working < sized(qwen, "L40S").working < sized(qwen, "B200").working == 10 * GIB
    groups = {"tp_size": 8, "dp_size": 8, "enable_dp_attention": True, "cuda_graph_max_bs": 100}
    assert sized(AIR, "B200:8", **groups).working == 10 * GIB + 100 * 8 * 3 * 1024**2


def test_an_empty_pool_takes_nothing() -> None:
    found = sized(GLM51, "B200:8", **SPARSE)
    assert (found.pool.tokens, found.pool.bytes) == (0, 0)
    assert found.left < 0
    assert Pool(bytes_per_token=3, tokens=4, page=2).bytes == 18


def test_shipped_profiles_have_a_pool() -> None:
    for file in sorted(profiles_dir().glob("*.yaml")):
        subject = check(load(str(file))).facts
        assert subject
        if subject.value("device") == "cpu":
            assert subject.memory is None
            continue
        assert subject.memory, file.stem
        assert subject.memory.pool.tokens > 0
        assert subject.memory.left > subject.memory.working


MODELS = st.sampled_from([GLM51, AIR, from_config(QWEN3_8B), from_config(DEEPSEEK_V3)])
TENSORS = st.sampled_from([1, 2, 4, 8, 16])
FRACTIONS = st.floats(0.01, 0.99)


@given(
    model=MODELS,
    tensor=TENSORS,
    fraction=FRACTIONS,
    tokens=st.integers(1, 10**7),
    version=st.sampled_from(["0.5.11", "0.5.23"]),
)
def test_more_of_something_never_takes_less(
    model: Model, tensor: int, fraction: float, tokens: int, version: str
) -> None:
    base = SPARSE | {"tp_size": tensor, "mem_fraction_static": fraction, "max_total_tokens": tokens}

    def one(**values: Any) -> Memory:
        return sized(model, "B200:8", version, **base | values)

    mine, wider = one(), one(tp_size=tensor * 2)
    assert wider.weights < mine.weights, "a GPU holds less of a model that is divided among more"
    assert wider.pool.bytes_per_token <= mine.pool.bytes_per_token, "and its pool never grows with them"
    assert wider.possible[BF16].tokens >= mine.possible[BF16].tokens
    assert one(max_total_tokens=tokens + 64).pool.tokens >= mine.pool.tokens
    assert one(mem_fraction_static=min(0.99, fraction + 0.1)).possible[BF16].tokens >= mine.possible[BF16].tokens
    assert mine.pool.tokens <= max(tokens, 0)
    assert mine.pool.tokens % 64 == 0
    assert one(max_total_tokens=None).pool == mine.possible[BF16]


@given(layers=st.integers(1, 200), tensor=TENSORS)
def test_more_layers_take_more(layers: int, tensor: int) -> None:
    fewer, more = (from_config(QWEN3_8B | {"num_hidden_layers": count}) for count in (layers, layers + 1))
    small, large = (sized(model, "B200:8", tp_size=tensor) for model in (fewer, more))
    assert small.weights < large.weights
    assert small.pool.bytes_per_token < large.pool.bytes_per_token
    assert small.pool.tokens >= large.pool.tokens


@given(
    values=st.dictionaries(
        st.sampled_from([*SPARSE, "pp_size", "dp_size", "max_total_tokens", "dtype"]),
        st.none() | st.integers() | st.floats() | st.text(max_size=4) | st.booleans(),
    )
)
def test_any_values_are_sized_or_not_known(values: dict[str, Any]) -> None:
    found = memory(AIR, gpus.parse("B200:8"), (SPARSE | values).get)
    if found is not None:
        assert found.pool.tokens >= 0
        assert found.weights > 0
