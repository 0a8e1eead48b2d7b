"""What sizing knows of a model: its dimensions, from the checkpoint's ``config.json``, and the size of its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class LatentAttention:
    """MLA: one latent vector a token, the same on every tensor-parallel rank; with DSA also an index key."""

    rank: int
    """``kv_lora_rank``: values a token and layer."""
    rope: int
    """``qk_rope_head_dim``: values a token and layer."""
    index: int | None = None
    """``index_head_dim`` of sparse attention (DSA), None without it."""


@dataclass(frozen=True, kw_only=True)
class GroupedAttention:
    """GQA, multi-head and multi-query attention: keys and values of ``kv_heads`` heads, divided among the ranks."""

    kv_heads: int
    key: int
    """Values a head's key has."""
    value: int
    """Values a head's value has."""


Attention: TypeAlias = LatentAttention | GroupedAttention


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model's dimensions. ``quantization`` is that of :func:`glmdeploy.families.quantization`."""

    architecture: str
    quantization: str
    layers: int
    draft_layers: int
    """Layers of the checkpoint's own draft model (MTP), 0 for none."""
    heads: int
    """Attention heads, which tensor parallelism divides."""
    experts: int
    """Routed experts of a layer, 0 for a dense model."""
    context: int
    """``max_position_embeddings``, in tokens."""
    attention: Attention
    weights: int
    """Size of the checkpoint's files, in bytes: from the safetensors index, else counted from the dimensions."""
    config: Mapping[str, Any]


class UnknownModel(Exception):
    """A configuration that sizing cannot read; the message says why."""


def from_config(config: Mapping[str, Any], *, weights: int | None = None) -> Model:
    """The model of a ``config.json``; ``weights`` is the index's ``total_size`` in bytes. Raises UnknownModel."""
    raise NotImplementedError


def known(repo: str) -> Model | None:
    """A model whose facts ship with glmdeploy (:mod:`glmdeploy.sglang.model_config`), else None. No IO."""
    raise NotImplementedError
