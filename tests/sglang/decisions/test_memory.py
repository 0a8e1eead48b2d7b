"""What the rows for GLM-5 compute from the GPU's memory, at limits that no recorded resolution stands at.

Source: ``handle_gpu_memory_settings`` (``sglang/srt/arg_groups/memory_hook.py``, 0.5.19 to 0.5.23).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from glmdeploy import gpus
from glmdeploy.sglang.decisions.memory import ROWS
from glmdeploy.sglang.decisions.situation import UNKNOWN, Situation

ONE = {"tp_size": 8, "pp_size": 1, "chunked_prefill_size": 8192, "prefill_cuda_graph": "disabled"}


def decided(name: str, memory: int | None, values: dict[str, Any]) -> Any:
    gpu = replace(gpus.parse("H200:8"), memory_mib=memory)
    now = Situation(version="0.5.19", gpu=gpu, quantization="fp8", env={}, values=values)
    return next(row for row in ROWS if row.name == name).decide(now)


@pytest.mark.parametrize(
    ("memory", "chunk"), [(None, UNKNOWN), (61439, UNKNOWN), (61440, 8192), (163839, 8192), (163840, 16384)]
)
def test_chunks(memory: int | None, chunk: Any) -> None:
    assert decided("chunked_prefill_size", memory, {}) == chunk


@pytest.mark.parametrize(
    ("memory", "values", "fraction"),
    [
        (100000, {}, round(1 - (512 + 8192 * 1.5 + 512 * 2 + 1024) / 100000, 3)),
        # No chunks: what a prefill may have counts.
        (100000, {"chunked_prefill_size": 0, "max_prefill_tokens": 16384}, round(1 - (512 + 24576 + 2048) / 100000, 3)),
        (100000, {"chunked_prefill_size": 1, "max_prefill_tokens": 16384}, round(1 - 10240 / 100000, 3)),
        (100000, {"cuda_graph_max_bs_decode": 4096}, round(1 - (512 + 12288 + 8192 + 1024) / 100000, 3)),
        (100000, {"attn_dp_size": 2}, round(1 - (512 + 12288 + 1024 + 1024 + 512 * 2 * 4.5) / 100000, 3)),
        # Memories at which one graph or token more is another fraction: at least 2048 tokens count, and 256 graphs.
        (61440, {"chunked_prefill_size": 1024, "cuda_graph_max_bs": 15}, 0.925),
        (61533, {"tp_size": 2}, 0.78),
        (100000, {"cuda_graph_max_bs": 4096}, round(1 - (512 + 12288 + 8192 + 1024) / 100000, 3)),
    ],
)
def test_fractions(memory: int, values: dict[str, Any], fraction: float) -> None:
    assert decided("mem_fraction_static", memory, ONE | values) == fraction
