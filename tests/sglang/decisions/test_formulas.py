"""SGLang's formulas where no resolution is recorded: the other side of each of its own conditions.

Sources: ``handle_gpu_memory_settings``, ``reserve_for_graph_mb``, ``reserve_for_deepep_a2a_mb`` and
``adjust_mem_fraction_for_vlm`` (``sglang/srt/arg_groups/memory_hook.py``, 0.5.19 to 0.5.23),
``generate_prefill_cuda_graph_batch_sizes``, ``apply_deepep_adjustments`` (``arg_groups/cuda_graph_hook.py``, 0.5.23),
``_handle_eagle_family`` (``arg_groups/speculative_hook.py``, 0.5.23), and of 0.5.10
``ServerArgs._handle_gpu_memory_settings`` (``sglang/srt/server_args.py``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from glmdeploy import gpus
from glmdeploy.sglang.decisions.formulas import FORMULAS, vision_factor
from glmdeploy.sglang.decisions.situation import Situation

ONE = {"tp_size": 8, "pp_size": 1, "chunked_prefill_size": 2048, "cuda_graph_max_bs_decode": 8}
"""Reserves 4624 MiB: 512 always, 2048 * 1.5 for what is active, 1024 for 8 ranks, 8 * 2 for graphs of decoding."""


def situation(values: dict[str, Any], version: str = "0.5.23", memory: int | None = 1000) -> Situation:
    gpu = replace(gpus.parse("H200:8"), memory_mib=memory)
    return Situation(version=version, gpu=gpu, quantization=None, env={}, values=values)


def reserve(values: dict[str, Any], version: str = "0.5.23", *, graphs: str = "") -> int:
    """MiB that are left free of 1000."""
    fraction = FORMULAS[f"all but a reserve{graphs}"](situation(ONE | values, version))
    return round(1000 - fraction * 1000)


GROUPED, LATENT = ", with prefill graphs", ", with prefill graphs of latent attention"


@pytest.mark.parametrize(
    ("version", "memory", "values", "chunk", "largest"),
    [
        ("0.5.23", 1000, {"chunked_prefill_size": 4096, "cuda_graph_max_bs_decode": 7}, 4096, 7),
        ("0.5.10", 1000, {"chunked_prefill_size": -1, "cuda_graph_max_bs": 7}, -1, 7),
        ("0.5.23", None, {"chunked_prefill_size": 4096, "cuda_graph_max_bs": 7}, 4096, 7),
        ("0.5.23", None, {}, None, None),
        ("0.5.19", 20480, {}, 2048, 24),
        ("0.5.20", 20480, {}, 4096, 48),
        ("0.5.20", 20480, {"max_running_requests": 40}, 4096, 48),
        ("0.5.22", 20480, {"max_running_requests": 40}, 4096, 40),
        ("0.5.22", 20480, {"max_running_requests": 50}, 4096, 48),
    ],
)
def test_chunks_and_graphs(
    version: str, memory: int | None, values: dict[str, Any], chunk: int | None, largest: int | None
) -> None:
    now = situation({"tp_size": 1} | values, version, memory)
    assert (FORMULAS["chunk"](now), FORMULAS["largest graph"](now)) == (chunk, largest)


@pytest.mark.parametrize(
    ("values", "version", "more"),
    [
        ({}, "0.5.23", 0),
        # Chunks that are none: what a prefill may have counts, and is at least 2048.
        ({"chunked_prefill_size": 0, "max_prefill_tokens": 4096}, "0.5.23", 3072),
        ({"chunked_prefill_size": 1, "max_prefill_tokens": 4096}, "0.5.23", 0),
        ({"attn_dp_size": 2}, "0.5.23", 8 * 2 * 3),
        ({"attn_dp_size": 2, "cuda_graph_max_bs_decode": 300}, "0.5.23", 292 * 2 + 300 * 2 * 3),
        ({"attn_dp_size": 2, "cuda_graph_max_bs_decode": 302}, "0.5.23", 294 * 2 + 302 * 2 * 3 + 302 * 2 * 1.5),
        (
            {"enable_dp_attention": True, "cuda_graph_max_bs_decode": 301, "dp_size": 2},
            "0.5.16",
            293 * 2 + 301 * 2 * 4.5,
        ),
        ({"enable_dp_attention": True, "dp_size": 1, "attn_dp_size": 1}, "0.5.22", 0),
        ({"enable_dp_attention": True, "dp_size": 1}, "0.5.21", 8 * 3),
        ({"speculative_algorithm": "STANDALONE"}, "0.5.13.post1", 6144),
        ({"speculative_algorithm": "standalone"}, "0.5.10", 6144),
        ({"speculative_algorithm": "EAGLE"}, "0.5.13.post1", 4096),
        ({"speculative_algorithm": "NGRAM"}, "0.5.13.post1", 0),
        ({"speculative_algorithm": "EAGLE"}, "0.5.14", 0),
        ({"moe_a2a_backend": "deepep"}, "0.5.23", 2048),
        ({"moe_a2a_backend": "deepep"}, "0.5.14", 0),
        ({"moe_a2a_backend": "deepep", "disable_cuda_graph": True}, "0.5.23", -16),
    ],
)
def test_what_is_reserved(values: dict[str, Any], version: str, more: float) -> None:
    assert reserve(values, version) == 4624 + more


@pytest.mark.parametrize(
    ("values", "version", "graphs", "more"),
    [
        ({}, "0.5.23", GROUPED, 42 * 8),
        ({}, "0.5.23", LATENT, 1536),
        # 38 sizes to 1024 tokens, 12 to 4096 and 8 to 8192; what a pipeline has is no more than that.
        ({"cuda_graph_max_bs_prefill": 16384}, "0.5.23", GROUPED, (38 + 12 + 24) * 8),
        ({"cuda_graph_max_bs_prefill": 16384, "pp_size": 2}, "0.5.23", GROUPED, (38 + 12 + 24) * 8 + 1024),
        ({"chunked_prefill_size": 16384, "pp_size": 2}, "0.5.23", GROUPED, (38 + 12 + 8) * 8 + 1024 + 21504),
        ({"chunked_prefill_size": 16384, "pp_size": 2}, "0.5.18", GROUPED, (38 + 12 + 24) * 8 + 1024 + 21504),
        ({"chunked_prefill_size": 16384, "pp_size": 1}, "0.5.23", GROUPED, (38 + 12 + 24) * 8 + 21504),
        ({"disaggregation_mode": "decode"}, "0.5.23", GROUPED, 0),
        ({"disaggregation_mode": "decode"}, "0.5.23", LATENT, 0),
        ({"moe_a2a_backend": "deepep"}, "0.5.23", GROUPED, 38 * 8 + 2048 + 1024),
        ({"moe_a2a_backend": "deepep"}, "0.5.17", LATENT, 1536 + 2048 + 1024),
        ({"moe_a2a_backend": "deepep"}, "0.5.16", LATENT, 1536 + 2048),
        ({"moe_a2a_backend": "deepep", "prefill_cuda_graph": "breakable"}, "0.5.23", LATENT, 1536 + 2048 + 1024),
        ({"moe_a2a_backend": "deepep", "prefill_cuda_graph": "full"}, "0.5.23", LATENT, 1536 + 2048),
        ({"moe_a2a_backend": "deepep", "disaggregation_mode": "decode"}, "0.5.23", LATENT, 2048),
        ({"moe_a2a_backend": "deepep", "cuda_graph_max_bs_prefill": 20}, "0.5.23", GROUPED, 3 * 8 + 2048 + 1024),
    ],
)
def test_what_graphs_of_prefill_reserve(values: dict[str, Any], version: str, graphs: str, more: int) -> None:
    assert reserve(values, version, graphs=graphs) == 4624 + more


@pytest.mark.parametrize("name", [name for name in FORMULAS if name.startswith("all but")])
def test_a_fraction_of_what_nobody_knows(name: str) -> None:
    assert FORMULAS[name](replace(situation(ONE, memory=None), vision=(24, 1024))) is None


def test_vision_takes_a_part() -> None:
    plain, seeing = FORMULAS["all but a reserve"], FORMULAS["all but a reserve, less for vision"]
    now = situation(ONE, memory=100000)
    assert seeing(now) is None
    assert seeing(replace(now, vision=(24, 1024))) == plain(now) * 0.95


@pytest.mark.parametrize(
    ("layers", "width", "factor"),
    [(24, 1024, 0.95), (48, 1024, 0.95 * 0.9), (240, 1024, 0.95 * 0.8), (1, 1, 0.95 * 1.05), (12, 1024, 0.95 * 1.05)],
)
def test_a_vision_tower_counts_by_its_size(layers: int, width: int, factor: float) -> None:
    assert vision_factor(layers, width) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("algorithm", "steps", "topk", "tokens"),
    [
        ("EAGLE", 3, 1, 4),
        ("NEXTN", 3, None, 4),
        ("eagle3", 5, 1, 6),
        ("STANDALONE", 2, 1, 3),
        ("EAGLE", 3, 2, None),
        ("EAGLE", None, 1, None),
        ("NGRAM", 3, 1, None),
        (None, 3, 1, None),
    ],
)
def test_draft_tokens_of_a_chain(
    algorithm: str | None, steps: int | None, topk: int | None, tokens: int | None
) -> None:
    values = {"speculative_algorithm": algorithm, "speculative_num_steps": steps, "speculative_eagle_topk": topk}
    assert FORMULAS["one more than the steps"](situation(values)) == tokens


@pytest.mark.parametrize(("chunk", "groups", "each"), [(8192, 4, 2048), (8192, 3, 2730), (None, 4, 2048 // 4)])
def test_groups_share_a_chunk(chunk: int | None, groups: int, each: int) -> None:
    assert FORMULAS["chunk of a group"](situation({"chunked_prefill_size": chunk, "attn_dp_size": groups})) == each


def test_groups_of_nobody_knows_what() -> None:
    assert FORMULAS["chunk of a group"](situation({}, memory=None)) is None
