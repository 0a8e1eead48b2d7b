"""What follows from the GPU's memory: the prefill chunk, CUDA graphs, the static memory fraction.

Source: ``ServerArgs._handle_gpu_memory_settings`` (``sglang/srt/server_args.py``), from 0.5.19 on
``handle_gpu_memory_settings`` (``sglang/srt/arg_groups/memory_hook.py``), for NVIDIA GPUs and models with latent
attention (MLA). The limits for GPUs of 60 GiB and more did not change from 0.5.10 to 0.5.23; the reserve did. All
sizes are in MiB.
"""

from __future__ import annotations

from typing import Any

from glmdeploy.sglang.decisions.situation import GRAPHS, MEMORY, PARALLEL, UNKNOWN, Decision, Situation

GRAPH_OPTIONS = (
    *("cuda_graph_config", "cuda_graph_bs", "cuda_graph_bs_decode", "cuda_graph_backend_decode"),
    *("disable_cuda_graph", "disable_decode_cuda_graph"),
)
"""Options of CUDA graphs that change what is reserved for them, in ways that are not told here."""

NO_PIECEWISE = (
    *("enable_lora", "lora_paths", "enable_hierarchical_cache", "cpu_offload_gb", "enable_symm_mem"),
    *("enable_eplb", "expert_distribution_recorder_mode", "debug_cuda_graph"),
)
"""Options that exclude piecewise CUDA graphs (0.5.13.post1, ``ServerArgs._handle_piecewise_cuda_graph``)."""

_LARGE = 160 * 1024
_LEAST = 60 * 1024
"""Smaller GPUs have values of their own, which changed between releases."""

_FLOOR = 10 * 1024
_MLA_GRAPH = 1536
_EAGLE_DRAFT = 4 * 1024


def _memory(now: Situation) -> int | None:
    memory = now.gpu.memory_mib
    return memory if memory is not None and memory >= _LEAST else None


def _chunk(now: Situation) -> Any:
    memory = _memory(now)
    return UNKNOWN if memory is None else 16384 if memory >= _LARGE else 8192


def _piecewise(now: Situation) -> str:
    excluded = now["pp_size"] > 1 or now["enable_dp_attention"] or any(now[name] for name in NO_PIECEWISE)
    return "disabled" if excluded else "piecewise"


def _largest_graph(now: Situation, memory: int) -> int:
    """The largest batch, in requests, that decoding captures as a CUDA graph."""
    given = now["cuda_graph_max_bs_decode"] or now["cuda_graph_max_bs"]
    if given is not None:
        return int(given)
    largest = 512 if memory >= _LARGE or now["tp_size"] >= 4 else 256
    limit = now["max_running_requests"] if now.since("0.5.22") else None
    return min(largest, limit or largest)


def _static_fraction(now: Situation) -> Any:
    """The share of the memory for weights and KV cache: all but a reserve."""
    memory, chunk = _memory(now), now["chunked_prefill_size"]
    reserves_draft = not now.since("0.5.14")
    unknown = any(now[name] for name in GRAPH_OPTIONS) or (reserves_draft and now.other_algorithm)
    if memory is None or chunk is UNKNOWN or unknown:
        return UNKNOWN
    prefill = chunk if chunk > 0 else now["max_prefill_tokens"]
    graph = _largest_graph(now, memory)
    reserve = 512 + max(prefill, 2048) * 1.5 + graph * 2 + now["tp_size"] * now["pp_size"] / 8 * 1024
    if now.attention_dp > 1:
        reserve += graph * now.attention_dp * (4.5 if graph > 300 else 3)
    if now["prefill_cuda_graph"] != "disabled":
        reserve += _MLA_GRAPH
    if memory > _LEAST:
        reserve = max(reserve, _FLOOR)
    if reserves_draft and now.eagle:
        reserve += _EAGLE_DRAFT
    return round((memory - reserve) / memory, 3)


ROWS = (
    Decision(
        name="chunked_prefill_size",
        value=_chunk,
        why="from the GPU's memory: 16384 tokens from 160 GiB on, 8192 from 60 GiB on",
        files=MEMORY,
    ),
    Decision(
        name="prefill_cuda_graph",
        value="disabled",
        until="0.5.12.post1",
        why="piecewise CUDA graphs do not support sparse attention (DSA)",
        files=GRAPHS,
    ),
    Decision(
        name="prefill_cuda_graph",
        value=_piecewise,
        since="0.5.13.post1",
        until="0.5.14",
        why="piecewise CUDA graphs, but not with data-parallel attention, pipeline parallelism or LoRA",
        files=GRAPHS,
    ),
    Decision(
        name="prefill_cuda_graph",
        value="disabled",
        since="0.5.15.post1",
        until="0.5.16",
        why="breakable CUDA graphs do not support latent attention (MLA)",
        files=GRAPHS,
    ),
    Decision(
        name="prefill_cuda_graph",
        value=lambda now: "disabled" if now["pp_size"] > 1 and now.since("0.5.19") else "breakable",
        since="0.5.17",
        why="breakable CUDA graphs, from 0.5.19 on not with pipeline parallelism",
        files=GRAPHS,
    ),
    Decision(
        name="mem_fraction_static",
        value=_static_fraction,
        why="from the GPU's memory, less a reserve for the prefill chunk, CUDA graphs and parallelism",
        files=MEMORY,
    ),
    Decision(
        name="chunked_prefill_size",
        when=lambda now: now.attention_dp > 1 and isinstance(now["chunked_prefill_size"], int),
        value=lambda now: now["chunked_prefill_size"] // now.attention_dp,
        why="data-parallel attention divides the chunk among its groups",
        files=PARALLEL,
    ),
)
