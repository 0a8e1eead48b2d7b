"""How SGLang divides a model among GPUs, and what one of them holds of its weights.

Sources: ``sglang/srt/layers/dp_attention.py``, ``sglang/srt/models/deepseek_v2.py`` (0.5.11).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from glmdeploy.sglang.catalog import version_key
from glmdeploy.sizing.model import LatentAttention
from glmdeploy.sizing.tensors import Spread

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.sizing.model import Model
    from glmdeploy.sizing.tensors import Tensors

_ENDS = (Spread.EMBEDDING, Spread.HEAD)


@dataclass(frozen=True, kw_only=True)
class Sharding:
    """Into how many parts SGLang divides tensors; ``stages`` is the length of the pipeline."""

    tensor: int
    attention: int
    groups: int
    """Groups of GPUs with attention of their own (data parallelism of attention)."""
    stages: int
    dense: int
    head: int
    exchange: bool
    """GPUs send each other the tokens for their experts, and each holds the shared experts whole."""

    def parts(self, spread: Spread) -> int:
        return {
            Spread.REPLICATED: 1,
            Spread.ATTENTION: self.attention,
            Spread.EMBEDDING: self.attention,
            Spread.DENSE: self.dense,
            Spread.SHARED: 1 if self.exchange else self.tensor,
            Spread.EXPERTS: self.tensor,
            Spread.HEAD: self.head,
        }[spread]

    def layers(self, model: Model) -> int:
        """The model's layers on one GPU: of a pipeline, in its longest stage."""
        return ceil(model.layers / self.stages)


def positive(value: object) -> int | None:
    """The value if it is a positive integer, else None: it is not known, or impossible."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def read(value: Callable[[str], object]) -> Sharding | None:
    """The sharding that the options' effective values mean; None where it is not known or not possible."""
    tensor = positive(value("tp_size"))
    former = value("dp_size") if value("enable_dp_attention") else 1
    # From 0.5.22 on SGLang moves that into `attn_dp_size` when it resolves them, and leaves the switch on.
    groups = max(positive(former) or 1, positive(value("attn_dp_size")) or 1)
    if tensor is None or tensor % groups:
        return None
    attention = tensor // groups
    return Sharding(
        tensor=tensor,
        attention=attention,
        groups=groups,
        stages=positive(value("pp_size")) or 1,
        dense=positive(value("moe_dense_tp_size")) or tensor,
        head=attention if value("enable_dp_lm_head") else tensor,
        exchange=value("moe_a2a_backend") not in (None, "none"),
    )


def weights(model: Model, sharding: Sharding, *, plain: int, draft: bool) -> int:
    """Bytes on one GPU of the model's own draft model, or of all the rest; ``plain`` is the width of unquantised ones.

    Where the checkpoint's files are larger or smaller than the dimensions say, the figure is in proportion.
    """
    found = [group for group in model.tensors if group.draft == draft and group.spread is not Spread.NOWHERE]
    layers = sum(_on_one(group, sharding, plain) for group in found if group.spread not in _ENDS)
    ends = [_on_one(group, sharding, plain) for group in found if group.spread in _ENDS]
    if sharding.stages > 1 and not draft:
        layers, ends = layers * sharding.layers(model) / model.layers, [max(ends)]
    return ceil((layers + sum(ends)) * model.weights / model.counted)


def _on_one(group: Tensors, sharding: Sharding, plain: int) -> float:
    size = group.stored if group.quantised else group.values * plain
    return size / min(sharding.parts(group.spread), group.parts or sharding.tensor)


BF16, FP8 = "bfloat16", "fp8_e4m3"

BYTES = {"bfloat16": 2, "bf16": 2, "float16": 2, "float32": 4, "fp8_e4m3": 1, "fp8_e5m2": 1}
"""Bytes of a value in a KV cache of that type. Types of four bits have scales beside them and are not counted here."""

_BLOCK, _SCALE = 128, 4
"""Values of a latent vector or of an index key that share a scale, and its bytes."""

SCALES_COUNTED, DRAFT_COUNTED = "0.5.17", "0.5.14"
"""The first releases that reckon with the scales of FP8, and with the draft model, when they size the pool."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Bytes of one token on one GPU, in all layers: what it ``takes``, and what SGLang divides the free memory by."""

    takes: int
    counts: int


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What the bytes of a KV cache depend on, beside the model and its type.

    ``trtllm`` tells whether a ``trtllm`` kernel reads it, ``version`` is the SGLang release, None for the newest.
    """

    sharding: Sharding
    drafts: int
    trtllm: bool
    version: str | None

    def since(self, version: str) -> bool:
        return self.version is None or version_key(version) <= version_key(self.version)


def cell(model: Model, dtype: str, kind: Kind) -> Cell:
    """The cell of a KV cache of ``dtype``, a key of BYTES."""
    takes, counts = _layer(model, dtype, kind)
    layers = kind.sharding.layers(model)
    return Cell(
        takes=takes * (layers + kind.drafts),
        counts=counts * (layers + (kind.drafts if kind.since(DRAFT_COUNTED) else 0)),
    )


def _layer(model: Model, dtype: str, kind: Kind) -> tuple[int, int]:
    """Bytes of one token in one layer: taken, and counted."""
    size, attention = BYTES[dtype], model.attention
    if not isinstance(attention, LatentAttention):
        heads = max(1, attention.kv_heads // kind.sharding.attention)
        plain = heads * (attention.key + attention.value) * size
        return plain, plain
    plain = (attention.rank + attention.rope) * size
    if attention.index is None:
        return plain, plain
    index = attention.index + attention.index // _BLOCK * _SCALE
    if dtype != FP8 or kind.trtllm:
        return plain + index, plain + index
    # A scale for each block of the latent vector, and its rotary part in BF16.
    scaled = attention.rank + attention.rank // _BLOCK * _SCALE + attention.rope * BYTES[BF16]
    return scaled + index, (scaled if kind.since(SCALES_COUNTED) else plain) + index


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
    shards, fraction, dtype = read(value), _fraction(value), _kv_dtype(model, value)
    if gpu.memory_mib is None or shards is None or fraction is None or dtype is None:
        return None
    if not _modelled(value) or not _weights_as_stored(model, value) or (drafts := _drafts(model, value)) is None:
        return None
    plain = BYTES["float32"] if value("dtype") in ("float", "float32") else BYTES[BF16]
    target = weights(model, shards, plain=plain, draft=False)
    draft = weights(model, shards, plain=plain, draft=True) if drafts else 0
    total = gpu.memory_mib * MIB - OVERHEAD
    static = int(total * fraction)
    trtllm = "trtllm" in (value("dsa_prefill_backend"), value("dsa_decode_backend"))
    kind = Kind(sharding=shards, drafts=drafts, trtllm=trtllm, version=version)
    room = static - target - (draft if kind.since(DRAFT_COUNTED) else 0)
    page, limit = positive(value("page_size")) or 1, positive(value("max_total_tokens"))

    def largest(dtype: str) -> Pool:
        token = cell(model, dtype, kind)
        return Pool(bytes_per_token=token.takes, tokens=max(0, room // token.counts // page * page), page=page)

    mine = largest(dtype)
    tokens = min(mine.tokens, limit // page * page) if limit else mine.tokens
    return Memory(
        total=total,
        weights=target + draft,
        static=static,
        kv_dtype=dtype,
        pool=Pool(bytes_per_token=mine.bytes_per_token, tokens=tokens, page=page),
        possible={name: largest(name) for name in (BF16, FP8)},
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
        return str(dtype) if dtype in BYTES else None
    if isinstance(model.attention, LatentAttention) and model.attention.index is not None:
        return None
    # Sparse attention apart, the model's own type, unless the checkpoint was calibrated for FP8.
    quantization = model.config.get("quantization_config") or {}
    if str(quantization.get("kv_cache_quant_algo")).upper() == "FP8":
        return FP8
    return "float32" if value("dtype") in ("float", "float32") else BF16


def _working(memory_mib: int, shards: Sharding, value: Value) -> int:
    """SGLang's own reserve without its allowance for long prefills on large GPUs."""
    if memory_mib <= _SMALL:
        # MiB for each token of the prefill chunk and for each request of the largest CUDA graph.
        chunk, graph = (2048, 24) if memory_mib < 35 * 1024 else (4096, 32)
        return int((512 + chunk * 1.5 + graph * 2 + shards.tensor * shards.stages / 8 * 1024) * MIB)
    graph = positive(value("cuda_graph_max_bs")) or 0
    padding = graph * shards.groups * (4.5 if graph > 300 else 3) if shards.groups > 1 else 0
    return LEAST_RESERVE + int(padding * MIB)
