"""How a model's layers look back: over everything, through a sliding window, or with a state of fixed size.

Sources: ``get_hybrid_layer_ids`` in ``sglang/srt/configs/model_config.py``, ``sglang/srt/configs/qwen3_next.py``,
``qwen3_5.py`` and ``mamba_utils.py`` (0.5.11 to 0.5.23).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.records import record
from glmdeploy.sizing.checkpoint import UnknownModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.sizing.checkpoint import Fields

_FULL = ("full_attention", "attention")
_LINEAR, _SLIDING = "linear_attention", "sliding_attention"

_LINEAR_TYPES = ("qwen3_next", "qwen3_5", "qwen3_5_moe", "qwen3_5_text", "qwen3_5_moe_text")
"""Those of which the linear layers are Gated DeltaNet, as they are counted here."""

_WINDOWED = ("GptOssForCausalLM",)
"""Classes whose layers with a sliding window have a KV pool of their own, by ``layer_types``.

Llama 4 has one too: three layers of four, whose attention is in chunks.
"""

_CHUNKED = "Llama4ForConditionalGeneration"

_WHOLE = ("Gemma3ForCausalLM", "Gemma3ForConditionalGeneration", "Gemma2ForCausalLM", "MistralForCausalLM")
"""Classes that look through windows and have one KV pool of the full length for all layers nevertheless."""

_SIZES = {"float32": 4, "bfloat16": 2, "float16": 2}


@record
class LinearAttention:
    """Layers of Gated DeltaNet: a state for each request instead of keys and values for each token."""

    layers: int
    heads: int
    """Value heads, which tensor parallelism divides."""
    key: int
    value: int
    """Values that a head's key and a head's value have."""
    channels: int
    """Of the short convolution, which tensor parallelism divides."""
    kernel: int
    state: int
    """Bytes of a value of the recurrent state, unless ``mamba-ssm-dtype`` says otherwise."""

    def bytes(self, tensor: int, state: int | None = None) -> int:
        """Of one request's state on one of ``tensor`` GPUs; ``state`` is the width of a value."""
        convolution = self.channels // tensor * (self.kernel - 1) * _SIZES["bfloat16"]
        return self.layers * (convolution + self.heads // tensor * self.value * self.key * (state or self.state))


@record
class Layers:
    """How many layers of each kind a model has, its draft layers not counted."""

    full: int
    windowed: int = 0
    """With a KV pool of their own, whose length is a share of the others' (``swa-full-tokens-ratio``)."""
    linear: LinearAttention | None = None


def kinds_of(fields: Fields, layers: int) -> Layers:
    """The kinds of a model's ``layers``.

    :raises UnknownModel: for a kind that is not counted.
    """
    names = fields.items("architectures")
    name = names[0] if names else None
    if name == _CHUNKED:
        windowed = sum((layer + 1) % 4 != 0 for layer in range(layers))
        return Layers(full=layers - windowed, windowed=windowed)
    if fields.has("attention_chunk_size"):
        raise UnknownModel("`attention_chunk_size` means attention in chunks, which sizing does not count")
    for key in ("full_attention_interval", "linear_num_key_heads"):
        if fields.has(key) and fields.text("model_type") not in _LINEAR_TYPES:
            raise UnknownModel(f"`{key}` means linear attention, which sizing does not count for this model")
    kinds = _kinds(fields, layers)
    linear = kinds.count(_LINEAR)
    windowed = kinds.count(_SLIDING)
    if windowed and name not in (*_WINDOWED, *_WHOLE):
        raise UnknownModel(f"`layer_types` has {_SLIDING}, which sizing does not count for {str(name)[:60]}")
    if kinds and len(kinds) != layers:
        raise UnknownModel(f"`layer_types` has {len(kinds)} entries for {layers} layers")
    if linear:
        return Layers(full=layers - linear, linear=_linear(fields, linear))
    return Layers(full=layers - windowed, windowed=windowed) if name in _WINDOWED else Layers(full=layers)


def _kinds(fields: Fields, layers: int) -> Sequence[str]:
    kinds = [str(kind) for kind in fields.items("layer_types")]
    if not kinds and fields.text("model_type") in _LINEAR_TYPES:
        every = fields.count("full_attention_interval", default=4)
        return [_LINEAR if (layer + 1) % every else _FULL[0] for layer in range(layers)]
    if strange := set(kinds) - {*_FULL, _LINEAR, _SLIDING}:
        raise UnknownModel(f"`layer_types` has {min(strange)[:40]}, which sizing does not count")
    return kinds


def _linear(fields: Fields, layers: int) -> LinearAttention:
    if fields.text("model_type") not in _LINEAR_TYPES:
        raise UnknownModel(f"`layer_types` has {_LINEAR}, which sizing does not count for this model")
    keys, key = fields.count("linear_num_key_heads"), fields.count("linear_key_head_dim")
    heads, value = fields.count("linear_num_value_heads"), fields.count("linear_value_head_dim")
    return LinearAttention(
        layers=layers,
        heads=heads,
        key=key,
        value=value,
        channels=2 * keys * key + heads * value,
        kernel=fields.count("linear_conv_kernel_dim"),
        state=_SIZES.get(fields.text("mamba_ssm_dtype"), 4),
    )
