"""What recorded decisions may depend on, read in a situation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from glmdeploy import gpus
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.decisions.inputs import MERGED, OPTIONS, inputs, lost
from glmdeploy.sglang.decisions.situation import Situation


def situation(values: dict[str, Any], env: dict[str, str] | None = None) -> Situation:
    gpu = gpus.parse("H200:8")
    return Situation(version="0.5.16", gpu=gpu, quantization="fp8", env=env or {}, values=values)


def test_of_nothing() -> None:
    assert inputs(situation({})) == {
        **dict.fromkeys((*OPTIONS, *MERGED)),
        "release": version_key("0.5.16"),
        "capability": "9.0",
        "major": 9,
        "memory": 143771,
        "checkpoint": "fp8",
        "algorithm": None,
        "draft": False,
        "attention_dp": 1,
        "compiles": True,
        "lora": False,
        "spec_v2": None,
    }


def test_of_an_unknown_gpu() -> None:
    now = situation({})
    found = inputs(replace(now, gpu=replace(now.gpu, type="another")))
    assert (found["capability"], found["major"]) == (None, 9)


@pytest.mark.parametrize(
    ("values", "name", "value"),
    [
        ({"tp_size": 8}, "tp_size", 8),
        # What is off is as what is not set.
        ({"disable_radix_cache": False}, "disable_radix_cache", None),
        ({"cuda_graph_max_bs_decode": 8, "cuda_graph_max_bs": 16}, "cuda_graph_max_bs", 8),
        ({"cuda_graph_max_bs_decode": None, "cuda_graph_max_bs": 16}, "cuda_graph_max_bs", 16),
        ({"cuda_graph_max_bs_decode": 0}, "cuda_graph_max_bs", 0),
        ({"mamba_radix_cache_strategy": "auto"}, "mamba_strategy", "auto"),
        ({"mamba_scheduler_strategy": "auto"}, "mamba_strategy", "auto"),
        ({"speculative_algorithm": "NEXTN"}, "algorithm", "EAGLE"),
        ({"speculative_algorithm": "eagle3"}, "algorithm", "EAGLE3"),
        ({"speculative_draft_model_path": "someone/draft"}, "draft", True),
        ({"dp_size": 4, "enable_dp_attention": True}, "attention_dp", 4),
        ({"enable_lora": True}, "lora", True),
        ({"lora_paths": ["a=b"]}, "lora", True),
    ],
)
def test_of_options(values: dict[str, Any], name: str, value: Any) -> None:
    assert inputs(situation(values))[name] == value


@pytest.mark.parametrize(("text", "value"), [("1", True), ("true", True), ("0", False), ("maybe", None)])
def test_of_a_variable(text: str, value: bool | None) -> None:
    assert inputs(situation({}, {"SGLANG_ENABLE_SPEC_V2": text}))["spec_v2"] is value


@pytest.mark.parametrize(
    ("values", "compiles"),
    [
        ({}, True),
        ({"disaggregation_mode": "null", "moe_a2a_backend": "none", "pp_size": 1}, True),
        ({"attn_cp_size": 1, "dcp_size": None, "cpu_offload_gb": 0, "enable_lora": False}, True),
        ({"disaggregation_mode": "prefill"}, False),
        ({"disaggregation_mode": "decode"}, False),
        ({"moe_a2a_backend": "deepep"}, False),
        ({"pp_size": 2}, False),
        ({"attn_cp_size": 2}, False),
        ({"dcp_size": 2}, False),
        ({"enable_dp_attention": True}, False),
        ({"enable_torch_compile": True}, False),
        ({"lora_paths": ["a=b"]}, False),
        ({"enable_lora": True}, False),
        ({"cpu_offload_gb": 10}, False),
        ({"enable_hierarchical_cache": True}, False),
        ({"enable_deterministic_inference": True}, False),
        ({"enable_symm_mem": True}, False),
        ({"enable_eplb": True}, False),
        ({"expert_distribution_recorder_mode": "stat"}, False),
        ({"dllm_algorithm": "any"}, False),
        ({"debug_cuda_graph": True}, False),
    ],
)
def test_what_excludes_compiled_graphs(values: dict[str, Any], compiles: bool) -> None:
    """``ServerArgs._handle_piecewise_cuda_graph`` (``sglang/srt/server_args.py``, 0.5.10 and 0.5.13.post1)."""
    assert inputs(situation(values))["compiles"] is compiles


@pytest.mark.parametrize(
    ("refused", "gone"),
    [
        (set(), set()),
        ({"dtype"}, {"dtype"}),
        ({"speculative_algorithm"}, {"speculative_algorithm", "algorithm"}),
        ({"dp_size"}, {"dp_size", "attention_dp"}),
        ({"pp_size", "enable_lora"}, {"pp_size", "enable_lora", "compiles", "lora"}),
        ({"cuda_graph_max_bs"}, {"cuda_graph_max_bs"}),
        ({"mamba_scheduler_strategy"}, {"mamba_scheduler_strategy", "mamba_strategy"}),
    ],
)
def test_what_is_not_known_without_an_option(refused: set[str], gone: set[str]) -> None:
    assert lost(refused) == gone
