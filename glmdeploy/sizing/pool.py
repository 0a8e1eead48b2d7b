"""How many bytes a token takes in the KV pool of one GPU, and how many SGLang reckons with when it sizes the pool.

Sources: ``sglang/srt/model_executor/pool_configurator.py`` (0.5.10: ``model_runner_kv_cache_mixin.py``),
``sglang/srt/mem_cache/memory_pool.py``. Measured on an H100 with 0.5.11: 1,284 bytes a token and layer for GLM-5.1 in
BF16, 788 in FP8, and for the draft layer a pool of its own of as many tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
