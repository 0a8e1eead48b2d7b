"""What a model takes of one GPU's memory with SGLang: weights, KV pool, and what must stay free beside them.

Sources: ``handle_gpu_memory_settings`` (``sglang/srt/server_args.py``, 0.5.10 to 0.5.18), ``sglang/srt/arg_groups/
memory_hook.py`` and ``sglang/srt/mem_cache/kv_cache_configurator.py`` (0.5.23).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.records import record
from glmdeploy.sizing import adapters, states
from glmdeploy.sizing.model import LatentAttention
from glmdeploy.sizing.pool import BF16, BYTES, DRAFT_COUNTED, FP8, WINDOW_SHARE, Kind, cell
from glmdeploy.sizing.sharding import positive, read, weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from glmdeploy.gpus import Gpu
    from glmdeploy.sizing.model import Model
    from glmdeploy.sizing.sharding import Sharding

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

_SMALL, _LARGE = 60 * 1024, 160 * 1024
"""MiB."""

_UNMODELLED = (
    *("cpu_offload_gb", "ep_num_redundant_experts", "enable_hisparse"),
    *("enable_unified_memory", "enable_kv_cache_sharding", "kt_weight_path"),
)
"""Options that change what a GPU holds in ways that are not told here."""

_GRAPHS, _GRAPHS_OF_FEW = 512, 256
"""The largest batch that decoding captures as a CUDA graph, in requests, where nothing says it; the second on a GPU of
less than 160 GiB whose model has fewer than four parts (``handle_gpu_memory_settings``, 0.5.10 to 0.5.23)."""

_PADDING = 3
"""MiB for each request of the largest graph and each group, with data-parallel attention.

SGLang reckons with 3, and with 4.5 above 300 requests. GLM-5.1-FP8 on eight B200 in eight groups ran out of memory at
`mem-fraction-static` 0.9, where about 3 GiB were free for 6.38 that a CUDA graph wanted, and started at 0.85 (PR
#25453): 3 tells the two apart, 4.5 does not.
"""

_CONTEXT_PARALLEL = ("attn_cp_size", "dcp_size", "dwdp_size", "moe_dp_size")


@record
class Pool:
    """A KV pool on one GPU, the draft layers' included. SGLang adds a page for what is written nowhere."""

    bytes_per_token: int
    tokens: int
    page: int = 1

    @property
    def bytes(self) -> int:
        return self.bytes_per_token * (self.tokens + self.page) if self.tokens else 0


@record
class Memory:
    """Bytes on one GPU (of one data-parallel replica, where there are several)."""

    total: int
    """What the driver leaves to SGLang."""
    weights: int
    """Of the model, and of its own draft model when that speculates."""
    adapters: int
    """LoRA adapters of one batch."""
    states: int
    """Of linear attention, for the requests that run at a time."""
    static: int
    """``mem-fraction-static`` of the total: weights and KV pool are meant to fit in it."""
    kv_dtype: str
    pool: Pool
    """What SGLang allocates: capped by ``max-total-tokens``; 0 tokens where the weights leave nothing."""
    uncapped: int
    """Tokens that the memory would hold without ``max-total-tokens``."""
    possible: Mapping[str, Pool]
    """What the memory could hold, uncapped, for ``bfloat16`` and ``fp8_e4m3``."""
    working: int
    """Estimate of what activations and CUDA graphs take at most: what SGLang would leave free at least."""

    @property
    def left(self) -> int:
        """What weights and pool leave of the total, for activations and CUDA graphs; below 0 where they do not fit."""
        return self.total - self.weights - self.adapters - self.states - self.pool.bytes

    @property
    def overcommitted(self) -> bool:
        """Whether the pool is so large that it and the weights want more than the whole GPU has.

        The start ends while it allocates then. Releases up to 0.5.16 size the pool without all that they allocate with
        it: 0.5.11 ran out of memory so on an H200, where 3.4 GiB were lacking (GLM-5.1-FP8 with 6 layers and EAGLE at
        0.85; docs/measured.md).
        """
        return self.pool.tokens > 0 and self.left < -OVERHEAD

    @property
    def fits(self) -> bool:
        """Whether the weights leave room for a KV pool, and the GPU has what both want."""
        return self.pool.tokens > 0 and not self.overcommitted

    @property
    def spare(self) -> int:
        """What weights and pool leave of the static share; below 0 where SGLang takes more than it reckons with."""
        return self.static - self.weights - self.adapters - self.states - self.pool.bytes


def memory(model: Model, gpu: Gpu, value: Value, *, version: str | None = None) -> Memory | None:
    """The memory of a deployment; ``value`` gives the effective value of an option by destination.

    None where something that it depends on is impossible or not known: the GPU's memory, or a value that SGLang
    decides. ``version`` is the SGLang release, None for the newest: releases differ in what they reckon with.
    """
    shards, fraction, dtype = read(value), _fraction(value), _kv_dtype(model, value)
    if gpu.memory_mib is None or shards is None or fraction is None or dtype is None:
        return None
    if obstacle(model, value) is not None or (drafts := _drafts(model, value)) is None:
        return None
    target = loaded(model, value, draft=False)
    draft = loaded(model, value, draft=True) if drafts else 0
    lora = adapters.pool(model, shards, value) or 0
    total = gpu.memory_mib * MIB - OVERHEAD
    static = int(total * fraction)
    trtllm = "trtllm" in (value("dsa_prefill_backend"), value("dsa_decode_backend"))
    kind = Kind(sharding=shards, drafts=drafts, trtllm=trtllm, version=version, share=_share(value))
    room = static - target - lora - (draft if kind.since(DRAFT_COUNTED) else 0)
    kept = states.pool(model.kinds.linear, shards, max(room, 0), value) if model.kinds.linear else 0
    if kept is None:
        return None
    room -= kept
    page, limit = positive(value("page_size")) or 1, positive(value("max_total_tokens"))

    def largest(dtype: str) -> Pool:
        token = cell(model, dtype, kind)
        return Pool(bytes_per_token=token.takes, tokens=max(0, room // token.counts // page * page), page=page)

    mine = largest(dtype)
    tokens = min(mine.tokens, limit // page * page) if limit else mine.tokens
    return Memory(
        total=total,
        weights=target + draft,
        adapters=lora,
        states=kept,
        static=static,
        kv_dtype=dtype,
        pool=Pool(bytes_per_token=mine.bytes_per_token, tokens=tokens, page=page),
        uncapped=mine.tokens,
        possible={name: largest(name) for name in (BF16, FP8)},
        working=_working(gpu.memory_mib, shards, value),
    )


def loaded(model: Model, value: Value, *, draft: bool = False) -> int:
    """Bytes of weights on one GPU: the model's, or those of its own draft model; 0 where no sharding is known."""
    shards = read(value)
    plain = BYTES["float32"] if value("dtype") in ("float", "float32") else BYTES[BF16]
    return weights(model, shards, plain=plain, draft=draft) if shards else 0


def obstacle(model: Model, value: Value) -> str | None:
    """What of the model or its options sizing cannot count, in words; None where it can count all.

    Quantisation of the server's own and other options are told by :func:`memory` being None.
    """
    if model.uncounted is not None:
        return model.uncounted
    asked = value("quantization")
    if not _weights_as_stored(model, value):
        return f"quantization {str(asked)[:40]} of weights that are stored as {model.quantization}"
    shards = read(value)
    if shards is not None and adapters.pool(model, shards, value) is None:
        return "LoRA adapters: `max-lora-rank` and `lora-target-modules` tell their size, of attention and dense layers"
    if not _modelled(value):
        return _other(value)
    if _drafts(model, value) is None:
        return f"a draft model that is not the checkpoint's own (`speculative-algorithm` {_algorithm(value)})"
    if model.kinds.windowed and value("disable_hybrid_swa_memory"):
        return "one KV pool for layers with and without a sliding window"
    return None


def _algorithm(value: Value) -> str:
    return str(value("speculative_algorithm"))[:40]


def _other(value: Value) -> str:
    if value("device") not in (None, "cuda"):
        return f"memory of another device than a GPU (`device` {str(value('device'))[:40]})"
    if value("json_model_override_args") not in (None, "", "{}", {}):
        return "what `json-model-override-args` changes in the model"
    names = [name for name in _UNMODELLED if value(name)]
    names += [name for name in _CONTEXT_PARALLEL if value(name) not in (None, 1)]
    return f"what `{names[0].replace('_', '-')}` moves"


def _share(value: Value) -> float:
    asked = value("swa_full_tokens_ratio")
    known = isinstance(asked, int | float) and not isinstance(asked, bool) and 0 < asked <= 1
    return float(asked) if known else WINDOW_SHARE  # type: ignore[arg-type]


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
    padding = _graph(memory_mib, shards, value) * shards.groups * _PADDING if shards.groups > 1 else 0
    return LEAST_RESERVE + int(padding * MIB)


def _graph(memory_mib: int, shards: Sharding, value: Value) -> int:
    """The largest batch of a CUDA graph of one group, in requests; 0 where there are none.

    No batch is captured that is larger than the requests that a group runs at a time (``get_batch_sizes_to_capture``,
    0.5.11, ``runner/base_cuda_graph_runner.py``, 0.5.23).
    """
    if value("disable_cuda_graph") or value("disable_decode_cuda_graph"):
        return 0
    asked = positive(value("cuda_graph_max_bs")) or positive(value("cuda_graph_max_bs_decode"))
    largest = asked or (_GRAPHS if memory_mib >= _LARGE or shards.tensor >= 4 else _GRAPHS_OF_FEW)
    running = positive(value("max_running_requests"))
    return min(largest, -(-running // shards.groups)) if running else largest
