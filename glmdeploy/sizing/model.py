"""What sizing knows of a model: its dimensions, from the checkpoint's ``config.json``, and the size of its files."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from glmdeploy.records import record
from glmdeploy.sglang import models
from glmdeploy.sglang.architectures import ARCHITECTURES
from glmdeploy.sizing import checkpoint, tensors, towers
from glmdeploy.sizing.checkpoint import Fields, UnknownModel
from glmdeploy.sizing.layers import Layers, kinds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Attention", "GroupedAttention", "LatentAttention", "Model", "UnknownModel", "from_config", "known"]

_OTHERS: Mapping[str, str] = {
    "index_topk_pattern": "layers that share the index of sparse attention by a pattern",
    "index_kpool": "an index of sparse attention that is pooled",
    "compress_ratios": "compressed attention",
    "linear_attn_config": "linear attention",
    "hybrid_override_pattern": "state-space layers",
    "mamba_d_state": "state-space layers",
    "block_configs": "layers that differ from each other",
    "sparse_attention_config": "another sparse attention",
    "loop_num": "layers that are run several times",
}
"""Keys of models whose KV cache or layers are not what this module counts, and what they mean."""


@record
class LatentAttention:
    """MLA: one latent vector a token, the same on every tensor-parallel rank; with DSA also an index key."""

    rank: int
    """``kv_lora_rank``: values a token and layer."""
    rope: int
    """``qk_rope_head_dim``: values a token and layer."""
    index: int | None = None
    """``index_head_dim`` of sparse attention (DSA), None without it."""
    indexed: int | None = None
    """Layers with index keys of their own where the others use those of the layer before, None where all have them."""


@record
class GroupedAttention:
    """GQA, multi-head and multi-query attention: keys and values of ``kv_heads`` heads, divided among the ranks."""

    kv_heads: int
    key: int
    """Values a head's key has."""
    value: int
    """Values a head's value has."""


Attention: TypeAlias = LatentAttention | GroupedAttention


@record
class Model:
    """A model's dimensions."""

    architecture: str
    quantization: str
    """``fp8``, ``modelopt_fp4``, ``compressed-tensors`` and the like; ``none`` for none."""
    layers: int
    kinds: Layers
    """How many of the layers have a full KV cache, a windowed one, or a state instead."""
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
    tensors: tuple[tensors.Tensors, ...]
    """What the dimensions say that the files hold, and what SGLang makes of it."""
    uncounted: str | None = None
    """A part whose size is not known, so that less than the whole is counted; None where all is."""

    @property
    def parameters(self) -> int:
        """Numbers in the checkpoint, the draft model's included; counted from the dimensions."""
        return sum(group.values for group in self.tensors if group.stored)

    @property
    def counted(self) -> int:
        """What ``weights`` should be by the dimensions, in bytes. Compare the two before you trust either."""
        return sum(group.stored for group in self.tensors)


def from_config(config: Mapping[str, Any], *, weights: int | None = None) -> Model:
    """The model of a ``config.json``; ``weights`` is the index's ``total_size`` in bytes.

    :raises UnknownModel:
    """
    fields = _language_model(Fields(data=config))
    _refuse_others(fields)
    count = tensors.layer_count(fields)
    kinds = kinds_of(fields, count)
    groups = tensors.count(fields, form := checkpoint.read(fields), kinds)
    name = _architecture(fields)
    tower, uncounted = _tower(fields, name, form, weights, sum(group.stored for group in groups))
    groups += tower
    return Model(
        architecture=name,
        quantization=models.method_of(fields.data.get("quantization_config")) or form.method,
        layers=count,
        kinds=kinds,
        draft_layers=tensors.draft_layers(fields),
        heads=fields.count("num_attention_heads"),
        experts=tensors.experts(fields),
        context=fields.count("max_position_embeddings"),
        attention=_attention(fields, count),
        weights=sum(group.stored for group in groups) if weights is None else weights,
        config=config,
        tensors=groups,
        uncounted=uncounted,
    )


def _tower(
    fields: Fields, name: str, form: checkpoint.Format, weights: int | None, counted: int
) -> tuple[tuple[tensors.Tensors, ...], str | None]:
    """What a model that sees has beside its language model, and what of it is not counted."""
    kind = ARCHITECTURES.get(name)
    if not (fields.has("vision_config") or (kind and kind.sees)):
        return (), None
    found = towers.count(fields)
    if found is None and weights is None:
        return (), "a vision tower whose size is not known without the checkpoint's index"
    # SGLang shards the blocks with the attention; what is only known by the files' size is taken for whole.
    rest = found.rest if found else max(0, (weights or 0) - counted) // form.plain
    parts = [(found.blocks if found else 0, tensors.Spread.ATTENTION), (rest, tensors.Spread.REPLICATED)]
    return tuple(
        tensors.Tensors(name="vision_tower", values=values, stored=values * form.plain, quantised=False, spread=spread)
        for values, spread in parts
        if values
    ), None


@cache
def known(repo: str) -> Model | None:
    """A model whose facts ship with glmdeploy (:mod:`glmdeploy.sglang.models`) and can be counted, else None. No IO."""
    config = models.known(repo)
    try:
        return from_config(config) if config else None
    except UnknownModel:
        return None


def _language_model(fields: Fields) -> Fields:
    """Of a model that sees or hears, the language model, with what is said of the whole."""
    inner = fields.inner("text_config")
    if inner is None:
        return fields
    whole = {key: fields.data[key] for key in ("architectures",) if fields.has(key)}
    return Fields(data={**fields.data, **inner.data, **whole})


def _refuse_others(fields: Fields) -> None:
    for key, meaning in _OTHERS.items():
        # A frequency or a number of 1 means that nothing is special.
        if fields.has(key) and fields.data[key] not in (1, [], {}):
            raise UnknownModel(f"`{key}` means {meaning}, which sizing does not count")


def _architecture(fields: Fields) -> str:
    names = fields.items("architectures")
    if not names or not isinstance(names[0], str) or not names[0]:
        raise UnknownModel("`architectures` names no class")
    return names[0]


def _attention(fields: Fields, count: int) -> Attention:
    if fields.has("kv_lora_rank"):
        return LatentAttention(
            rank=fields.count("kv_lora_rank"),
            rope=fields.count("qk_rope_head_dim"),
            index=fields.count("index_head_dim") if fields.has("index_head_dim") else None,
            indexed=_indexed(fields, count),
        )
    heads = fields.count("num_attention_heads")
    key = fields.count("head_dim", default=max(1, fields.count("hidden_size") // heads))
    return GroupedAttention(
        kv_heads=fields.count("num_key_value_heads", default=heads),
        key=key,
        value=fields.count("v_head_dim", default=key),
    )


def _indexed(fields: Fields, count: int) -> int | None:
    """Layers with index keys of their own; None where all have them (``dsa_layer_skips_topk``, 0.5.23)."""
    every = fields.count("index_topk_freq", default=1)
    if every == 1:
        return None
    before = fields.count("index_skip_topk_offset", default=2)
    return sum(max(layer - before + 1, 0) % every == 0 for layer in range(count))
