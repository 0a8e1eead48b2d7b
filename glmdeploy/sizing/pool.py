"""The KV pool: bytes of a token in a model's layers, and what SGLang reckons with when it sizes the pool.

Sources: ``sglang/srt/model_executor/pool_configurator.py`` and ``model_runner_kv_cache_mixin.py`` (0.5.11),
``sglang/srt/mem_cache/kv_cache_configurator.py`` (0.5.23).
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from glmdeploy.records import record
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sizing.model import LatentAttention

if TYPE_CHECKING:
    from glmdeploy.sizing.model import Model
    from glmdeploy.sizing.sharding import Sharding

BF16, FP8 = "bfloat16", "fp8_e4m3"

BYTES = {"bfloat16": 2, "bf16": 2, "float16": 2, "float32": 4, "fp8_e4m3": 1, "fp8_e5m2": 1}
"""Bytes of a value in a KV cache of that type. Types of four bits have scales beside them and are not counted here."""

_BLOCK, _SCALE = 128, 4
"""Values of a latent vector or of an index key that share a scale, and its bytes."""

SCALES_COUNTED, DRAFT_COUNTED, INDEX_SHARED = "0.5.17", "0.5.14", "0.5.18"
"""The first releases that reckon with the scales of FP8, with the draft model, and that keep index keys only in the
layers which have some of their own, when they size the pool."""

WINDOW_SHARE = 0.8
"""What ``swa-full-tokens-ratio`` is where nothing sets it (0.5.10 to 0.5.23)."""


@record
class Cell:
    """Bytes of one token on one GPU, in all layers: what it ``takes``, and what SGLang divides the free memory by."""

    takes: int
    counts: int


@record
class Kind:
    """What the bytes of a KV cache depend on, beside the model and its type.

    ``trtllm`` tells whether a ``trtllm`` kernel reads it, ``share`` is the length of the pool of windowed layers in
    that of the others, ``version`` is the SGLang release, None for the newest.
    """

    sharding: Sharding
    drafts: int
    trtllm: bool
    version: str | None
    share: float = WINDOW_SHARE

    def since(self, version: str) -> bool:
        return self.version is None or version_key(version) <= version_key(self.version)


def cell(model: Model, dtype: str, kind: Kind) -> Cell:
    """The cell of a KV cache of ``dtype``, a key of BYTES."""
    takes, counts = _layer(model, dtype, kind)
    full, windowed = (ceil(number / kind.sharding.stages) for number in (model.kinds.full, model.kinds.windowed))
    length = full + kind.share * windowed
    index, indexed = _index(model), full
    if isinstance(model.attention, LatentAttention) and model.attention.indexed is not None:
        indexed = ceil(model.attention.indexed / kind.sharding.stages) if kind.since(INDEX_SHARED) else full
    # Beside linear attention SGLang does not find how many layers the draft model has, and counts none (0.5.23).
    counted = kind.drafts if kind.since(DRAFT_COUNTED) and model.kinds.linear is None else 0
    return Cell(
        takes=int(takes * (length + kind.drafts)) + index * (indexed + kind.drafts),
        counts=int(counts * (length + counted)) + index * (indexed + counted),
    )


def _index(model: Model) -> int:
    """Bytes of one token's index key in one layer, with its scales; 0 without sparse attention."""
    attention = model.attention
    if not isinstance(attention, LatentAttention) or attention.index is None:
        return 0
    return attention.index + attention.index // _BLOCK * _SCALE


def _layer(model: Model, dtype: str, kind: Kind) -> tuple[int, int]:
    """Bytes of one token in one layer without its index key: taken, and counted."""
    size, attention = BYTES[dtype], model.attention
    if not isinstance(attention, LatentAttention):
        heads = max(1, attention.kv_heads // kind.sharding.attention)
        plain = heads * (attention.key + attention.value) * size
        return plain, plain
    plain = (attention.rank + attention.rope) * size
    if attention.index is None or dtype != FP8 or kind.trtllm:
        return plain, plain
    # A scale for each block of the latent vector, and its rotary part in BF16.
    scaled = attention.rank + attention.rank // _BLOCK * _SCALE + attention.rope * BYTES[BF16]
    return scaled, scaled if kind.since(SCALES_COUNTED) else plain
