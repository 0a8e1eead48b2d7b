"""What SGLang computes from the GPU's memory: the prefill chunk, the largest CUDA graph, the static memory fraction.

Source: ``ServerArgs._handle_gpu_memory_settings`` (``sglang/srt/server_args.py``), from 0.5.19 on
``handle_gpu_memory_settings`` (``sglang/srt/arg_groups/memory_hook.py``), read in all releases from 0.5.10 to 0.5.23,
for NVIDIA GPUs. All sizes are in MiB. Which of the formulas holds where is learnt from recordings of the real
resolution (:mod:`glmdeploy.sglang.decisions.recorded`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from glmdeploy.sglang.decisions.situation import Situation

KIB = 1024
"""MiB in a GiB."""

_FLOOR = 10 * KIB
_FLOOR_FROM = 60 * KIB
_LATENT_GRAPHS = 1536
_DRAFT = 4 * KIB
_STANDALONE_DRAFT = 6 * KIB
_DEEPEP = 2 * KIB
_DEEPEP_PREFILL = KIB
_DEEPEP_TOKENS, _DEEPEP_STEP = 2048, 8
_LEAST_ACTIVATION = 2048
_LATENT_TOKENS = 8192
_PIPELINE_TOKENS = 8192

_CHAINS = ("EAGLE", "NEXTN", "EAGLE3", "STANDALONE")
"""Algorithms whose drafts, with a top-k of 1, are as long as their steps, and one token."""

VISION_BASE = 0.95
VISION_LAYERS, VISION_WIDTH = 24, 1024
"""Of the vision tower that SGLang compares others with, and what it takes where a configuration does not tell."""


def chunk(now: Situation) -> int | None:
    """Tokens of a prefill chunk before data-parallel attention divides them."""
    given: int | None = now["chunked_prefill_size"]
    memory = now.gpu.memory_mib
    if given is not None or memory is None:
        return given
    if memory < 20 * KIB:
        return 2048
    if memory < 35 * KIB:
        return 4096 if now.since("0.5.20") else 2048
    return 4096 if memory < 60 * KIB else 8192 if memory < 160 * KIB else 16384


def largest_graph(now: Situation) -> int | None:
    """The largest batch, in requests, that decoding captures as a CUDA graph."""
    given: int | None = now["cuda_graph_max_bs_decode"] or now["cuda_graph_max_bs"]
    memory = now.gpu.memory_mib
    if given is not None or memory is None:
        return given
    wide = now["tp_size"] >= 4
    if memory < 20 * KIB:
        largest = 8
    elif memory < 35 * KIB:
        largest = (160 if wide else 48) if now.since("0.5.20") else (80 if wide else 24)
    elif memory < 60 * KIB:
        largest = 160 if wide else 32
    else:
        largest = 512 if wide or memory >= 160 * KIB else 256
    limit = now["max_running_requests"] if now.since("0.5.22") else None
    return min(largest, limit or largest)


def _graph_sizes(largest: int) -> set[int]:
    """The sizes, in tokens, that prefill captures as CUDA graphs."""
    steps = ((4, 33, 4), (48, 257, 16), (288, 513, 32), (576, 1025, 64), (1280, 4097, 256), (4608, largest + 1, 512))
    return {size for step in steps for size in range(*step) if size <= largest}


def _prefill_graph(now: Situation, tokens: int) -> int:
    """The largest prefill, in tokens, that is captured where attention is not latent."""
    given = now["cuda_graph_max_bs_prefill"] or now["piecewise_cuda_graph_max_tokens"]
    limits = [given or tokens]
    if now["max_total_tokens"] is not None and not given:
        limits.append(now["max_total_tokens"])
    if now.between("0.5.13.post1", "0.5.16") and now["context_length"] is not None:
        limits.append(now["context_length"])
    if now.since("0.5.19") and now["pp_size"] > 1 and not given:
        limits.append(_PIPELINE_TOKENS)
    return min(limits)


def _beside_deepep(now: Situation) -> bool:
    """Whether prefill's graphs, where there are any, are breakable ones beside DeepEP.

    Source: ``reserve_for_graph_mb`` and ``apply_deepep_adjustments`` of 0.5.17 to 0.5.23. Breakable ones are the
    default there.
    """
    breakable = now["prefill_cuda_graph"] in (None, "breakable")
    return now.since("0.5.17") and now["moe_a2a_backend"] == "deepep" and breakable


def _grouped(now: Situation, tokens: int) -> int:
    """What prefill's graphs take where attention is not latent: 8 MiB a size, which DeepEP wants in steps of 8."""
    if not _beside_deepep(now):
        return len(_graph_sizes(_prefill_graph(now, tokens))) * 8
    sizes = _graph_sizes(now["cuda_graph_max_bs_prefill"] or _DEEPEP_TOKENS)
    return len({-(-size // _DEEPEP_STEP) for size in sizes}) * 8


def _decodes(now: Situation) -> bool:
    """Whether decoding reserves memory for CUDA graphs."""
    if not now.since("0.5.15.post1"):
        return True
    off = (
        now["disable_cuda_graph"] or now["disable_decode_cuda_graph"] or now["cuda_graph_backend_decode"] == "disabled"
    )
    return not off and now["disaggregation_mode"] != "prefill"


def _reserve(now: Situation, graphs: str) -> float | None:
    """What is left free; ``graphs`` is how prefill's CUDA graphs count: ``latent``, ``grouped`` or ``none``."""
    memory, tokens, largest = now.gpu.memory_mib, chunk(now), largest_graph(now)
    if memory is None or tokens is None or largest is None:
        return None
    later = now.since("0.5.15.post1")
    mode = now["disaggregation_mode"] if later else None
    active: int = tokens if tokens > 0 else now["max_prefill_tokens"]
    if mode == "decode":
        active = (now["max_running_requests"] or largest) * (now["speculative_num_draft_tokens"] or 1)
    reserve: float = 512 + max(active, _LEAST_ACTIVATION) * 1.5 + now["tp_size"] * now["pp_size"] / 8 * KIB
    if _decodes(now):
        reserve += largest * 2
    if _counts_groups(now) and mode != "prefill":
        reserve += largest * _groups(now) * (4.5 if largest > 300 else 3)
    if graphs == "latent" and mode != "decode":
        reserve += _LATENT_GRAPHS
    if graphs == "grouped" and mode != "decode":
        reserve += _grouped(now, tokens)
    if graphs != "none" and mode != "decode" and _beside_deepep(now):
        reserve += _DEEPEP_PREFILL
    if memory > _FLOOR_FROM:
        reserve = max(reserve, _FLOOR)
    if later and now["moe_a2a_backend"] == "deepep" and _decodes(now):
        reserve += _DEEPEP
    if not now.since("0.5.14"):
        reserve += _draft(now)
    return reserve


def _counts_groups(now: Situation) -> bool:
    """Whether groups of attention count: until 0.5.21 a single one does too, where it is asked for."""
    return now.attention_dp > 1 if now.since("0.5.22") else bool(now["enable_dp_attention"])


def _groups(now: Situation) -> int:
    return now.attention_dp


def _draft(now: Situation) -> int:
    algorithm = now["speculative_algorithm"]
    if algorithm is None or algorithm.upper() == "NGRAM":
        return 0
    return _STANDALONE_DRAFT if algorithm.upper() == "STANDALONE" else _DRAFT


def _static(now: Situation, graphs: str) -> float | None:
    reserve, memory = _reserve(now, graphs), now.gpu.memory_mib
    if reserve is None or memory is None:
        return None
    fraction: float = round((memory - reserve) / memory, 3)
    return fraction


def _static_seeing(now: Situation, graphs: str) -> float | None:
    plain, tower = _static(now, graphs), now.vision
    if plain is None or tower is None:
        return None
    return plain * vision_factor(*tower)


def vision_factor(layers: int, width: int) -> float:
    """What a model that sees leaves of the fraction: less, the larger its vision tower is."""
    ratio = layers * width * width / (VISION_LAYERS * VISION_WIDTH * VISION_WIDTH)
    return VISION_BASE * max(0.8, min(1.05, 1.0 - 0.1 * (ratio - 1.0)))


def _divided(now: Situation) -> int | None:
    tokens = chunk(now)
    return None if tokens is None else tokens // now.attention_dp


def _steps(now: Situation) -> int | None:
    """The draft tokens of a chain; None where what is asked for stands: for a tree, and for drafts of other kinds."""
    steps: int | None = now["speculative_num_steps"]
    if steps is None or str(now["speculative_algorithm"]).upper() not in _CHAINS:
        return None
    return None if (now["speculative_eagle_topk"] or 1) > 1 else steps + 1


FORMULAS: Mapping[str, Callable[[Situation], Any]] = {
    "chunk": chunk,
    "chunk of a group": _divided,
    "largest graph": largest_graph,
    "one more than the steps": _steps,
    "all but a reserve": lambda now: _static(now, "none"),
    "all but a reserve, with prefill graphs": lambda now: _static(now, "grouped"),
    "all but a reserve, with prefill graphs of latent attention": lambda now: _static(now, "latent"),
    "all but a reserve, less for vision": lambda now: _static_seeing(now, "none"),
    "all but a reserve, less for vision, with prefill graphs": lambda now: _static_seeing(now, "grouped"),
    "all but a reserve, less for vision, with prefill graphs of latent attention": lambda now: _static_seeing(
        now, "latent"
    ),
}
"""By the name that recorded decisions have for them; None where the inputs are not known."""

OF: Mapping[str, tuple[str, ...]] = {
    "chunked_prefill_size": ("chunk", "chunk of a group"),
    "cuda_graph_max_bs": ("largest graph",),
    "speculative_num_draft_tokens": ("one more than the steps",),
    "mem_fraction_static": tuple(name for name in FORMULAS if name.startswith("all but")),
}
"""The formulas that may give the value of a name."""
