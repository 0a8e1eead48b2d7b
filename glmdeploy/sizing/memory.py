"""Bytes on one GPU: weights, KV pool, and what is left for activations and CUDA graphs.

SGLang's own order, in all releases from 0.5.10 to 0.5.23: it notes the free memory, loads the weights, and gives the
pool what is still free less ``1 - mem-fraction-static`` of what it noted (``profile_max_num_token`` in 0.5.10,
``_profile_available_bytes`` later). A larger ``max-total-tokens`` is lowered to that, with a warning in the log. Until
0.5.13.post1 the draft model is loaded after that, into what was to be left free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.sizing import pool, sharding
from glmdeploy.sizing.model import LatentAttention

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from glmdeploy.gpus import Gpu
    from glmdeploy.sizing.model import Model

    Value = Callable[[str], object]

MIB, GIB = 1024**2, 1024**3

OVERHEAD = 5 * GIB // 2
"""What CUDA and NCCL hold before the weights are loaded.

An estimate: 2.5 GiB on eight H200 (143,771 MiB, of which SGLang found 137.90 GiB free: InferenceX issue 2128); 1.5 GiB
on a single B200, 1.5 to 2.3 on eight RTX PRO 6000 and 3.7 on four B200 (public logs of SGLang, 2025 and 2026).
"""

LEAST_RESERVE = 10 * GIB
"""What SGLang leaves free at least on a GPU of more than 60 GiB when ``mem-fraction-static`` is left to it.

``handle_gpu_memory_settings``, 0.5.10 to 0.5.23; its full estimate is larger, and published recipes go below that.
"""

_SMALL = 60 * 1024
"""MiB."""

_UNMODELLED = (
    *("cpu_offload_gb", "ep_num_redundant_experts", "enable_lora", "lora_paths", "enable_hisparse"),
    *("enable_unified_memory", "enable_kv_cache_sharding"),
)
"""Options that change what a GPU holds in ways that are not told here."""

_CONTEXT_PARALLEL = ("attn_cp_size", "dcp_size", "dwdp_size", "moe_dp_size")


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A KV pool on one GPU, the draft layers' included. SGLang adds a page for what is written nowhere."""

    bytes_per_token: int
    tokens: int
    page: int = 1

    @property
    def bytes(self) -> int:
        return self.bytes_per_token * (self.tokens + self.page) if self.tokens else 0


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on one GPU (of one data-parallel replica, where there are several)."""

    total: int
    """What the driver leaves to SGLang."""
    weights: int
    """Of the model, and of its own draft model when that speculates."""
    static: int
    """``mem-fraction-static`` of the total: weights and KV pool are meant to fit in it."""
    kv_dtype: str
    pool: Pool
    """What SGLang allocates: capped by ``max-total-tokens``; 0 tokens where the weights leave nothing."""
    possible: Mapping[str, Pool]
    """What the memory could hold, uncapped, for ``bfloat16`` and ``fp8_e4m3``."""
    working: int
    """Estimate of what activations and CUDA graphs take at most: what SGLang would leave free at least."""

    @property
    def left(self) -> int:
        """What weights and pool leave of the total, for activations and CUDA graphs; below 0 where they do not fit."""
        return self.total - self.weights - self.pool.bytes

    @property
    def spare(self) -> int:
        """What weights and pool leave of the static share; below 0 where SGLang takes more than it reckons with."""
        return self.static - self.weights - self.pool.bytes


def memory(model: Model, gpu: Gpu, value: Value, *, version: str | None = None) -> Memory | None:
    """The memory of a deployment; ``value`` gives the effective value of an option by destination.

    None where something that it depends on is impossible or not known: the GPU's memory, or a value that SGLang
    decides. ``version`` is the SGLang release, None for the newest: releases differ in what they reckon with.
    """
    shards, fraction, dtype = sharding.read(value), _fraction(value), _kv_dtype(model, value)
    if gpu.memory_mib is None or shards is None or fraction is None or dtype is None:
        return None
    if not _modelled(value) or not _weights_as_stored(model, value) or (drafts := _drafts(model, value)) is None:
        return None
    plain = pool.BYTES["float32"] if value("dtype") in ("float", "float32") else pool.BYTES[pool.BF16]
    target = sharding.weights(model, shards, plain=plain, draft=False)
    draft = sharding.weights(model, shards, plain=plain, draft=True) if drafts else 0
    total = gpu.memory_mib * MIB - OVERHEAD
    static = int(total * fraction)
    trtllm = "trtllm" in (value("dsa_prefill_backend"), value("dsa_decode_backend"))
    kind = pool.Kind(sharding=shards, drafts=drafts, trtllm=trtllm, version=version)
    room = static - target - (draft if kind.since(pool.DRAFT_COUNTED) else 0)
    page, limit = sharding.positive(value("page_size")) or 1, sharding.positive(value("max_total_tokens"))

    def largest(dtype: str) -> Pool:
        cell = pool.cell(model, dtype, kind)
        return Pool(bytes_per_token=cell.takes, tokens=max(0, room // cell.counts // page * page), page=page)

    mine = largest(dtype)
    tokens = min(mine.tokens, limit // page * page) if limit else mine.tokens
    return Memory(
        total=total,
        weights=target + draft,
        static=static,
        kv_dtype=dtype,
        pool=Pool(bytes_per_token=mine.bytes_per_token, tokens=tokens, page=page),
        possible={name: largest(name) for name in (pool.BF16, pool.FP8)},
        working=_working(gpu.memory_mib, shards, value),
    )


def _fraction(value: Value) -> float | None:
    found = value("mem_fraction_static")
    return found if isinstance(found, float) and 0 < found < 1 else None


def _modelled(value: Value) -> bool:
    return (
        value("device") in (None, "cuda")
        and value("json_model_override_args") in (None, "", "{}", {})
        and not any(value(name) for name in _UNMODELLED)
        and all(value(name) in (None, 1) for name in _CONTEXT_PARALLEL)
    )


def _weights_as_stored(model: Model, value: Value) -> bool:
    """Whether SGLang holds the weights as the checkpoint has them, and does not quantise them itself."""
    asked = value("quantization")
    return asked is None or str(asked).partition("_")[0] == model.quantization.partition("_")[0]


def _drafts(model: Model, value: Value) -> int | None:
    """Draft layers beside the model; None where a draft model is not the checkpoint's own."""
    algorithm, path = value("speculative_algorithm"), value("speculative_draft_model_path")
    if algorithm is None or str(algorithm).upper() == "NGRAM":
        return 0
    own = str(algorithm).upper() in ("EAGLE", "NEXTN") and path in (None, value("model_path"))
    return model.draft_layers if own and model.draft_layers else None


def _kv_dtype(model: Model, value: Value) -> str | None:
    """The KV cache's type; None where it is SGLang's to decide, or has scales that are not counted here."""
    dtype = value("kv_cache_dtype")
    if dtype not in (None, "auto"):
        return str(dtype) if dtype in pool.BYTES else None
    if isinstance(model.attention, LatentAttention) and model.attention.index is not None:
        return None
    # Sparse attention apart, the model's own type, unless the checkpoint was calibrated for FP8.
    quantization = model.config.get("quantization_config") or {}
    if str(quantization.get("kv_cache_quant_algo")).upper() == "FP8":
        return pool.FP8
    return "float32" if value("dtype") in ("float", "float32") else pool.BF16


def _working(memory_mib: int, shards: sharding.Sharding, value: Value) -> int:
    """SGLang's own reserve without its allowance for long prefills on large GPUs."""
    if memory_mib <= _SMALL:
        # MiB for each token of the prefill chunk and for each request of the largest CUDA graph.
        chunk, graph = (2048, 24) if memory_mib < 35 * 1024 else (4096, 32)
        return int((512 + chunk * 1.5 + graph * 2 + shards.tensor * shards.stages / 8 * 1024) * MIB)
    graph = sharding.positive(value("cuda_graph_max_bs")) or 0
    padding = graph * shards.groups * (4.5 if graph > 300 else 3) if shards.groups > 1 else 0
    return LEAST_RESERVE + int(padding * MIB)
