"""The vision towers that are counted: numbers in the blocks, which tensor parallelism divides, and in all the rest.

Sources: ``sglang/srt/models/qwen3_vl.py``, ``kimi_k25.py``, ``pixtral.py`` and ``siglip.py`` (0.5.23).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from glmdeploy.sizing.checkpoint import Fields


class Tower(NamedTuple):
    """``blocks`` numbers in the transformer blocks, ``rest`` in embeddings, mergers and projectors."""

    blocks: int
    rest: int


def count(fields: Fields) -> Tower | None:
    """The tower of a model whose configuration has one that is counted here, else None.

    :raises UnknownModel: for dimensions that make no sense.
    """
    vision = fields.inner("vision_config")
    if vision is None:
        return None
    names = fields.items("architectures")
    kind = _KINDS.get(str(names[0])) if names else None
    return kind(vision, fields.count("hidden_size")) if kind else None


def _qwen(vision: Fields, hidden: int) -> Tower:
    size, out = vision.count("hidden_size"), vision.count("out_hidden_size", default=hidden)
    blocks = vision.count("depth") * _block(size, vision.count("intermediate_size"))
    depth = vision.count("in_channels", default=3) * vision.count("temporal_patch_size")
    patch = depth * vision.count("patch_size") ** 2
    merged = size * vision.count("spatial_merge_size") ** 2
    mergers = 1 + len(vision.items("deepstack_visual_indexes"))
    positions = vision.count("num_position_embeddings", default=0, least=0)
    return Tower(blocks, patch * size + positions * size + mergers * (merged * merged + merged * out))


def _kimi(vision: Fields, hidden: int) -> Tower:
    size = vision.count("vt_hidden_size")
    blocks = vision.count("vt_num_hidden_layers") * _block(size, vision.count("vt_intermediate_size"))
    patch, merged = 3 * vision.count("patch_size") ** 2, 4 * size
    positions = vision.count("init_pos_emb_height") * vision.count("init_pos_emb_width")
    return Tower(blocks, (patch + positions) * size + merged * merged + merged * vision.count("text_hidden_size"))


def _pixtral(vision: Fields, hidden: int) -> Tower:
    size, layers = vision.count("hidden_size"), vision.count("num_hidden_layers")
    blocks = layers * (4 * size * size + 3 * size * vision.count("intermediate_size"))
    patch = 3 * vision.count("patch_size") ** 2 * size
    return Tower(blocks, patch + 4 * size * size + size * hidden + hidden * hidden)


def _siglip(vision: Fields, hidden: int) -> Tower:
    size, patch = vision.count("hidden_size"), vision.count("patch_size")
    blocks = vision.count("num_hidden_layers") * _block(size, vision.count("intermediate_size"))
    positions = (vision.count("image_size") // patch) ** 2
    return Tower(blocks, (3 * patch**2 + positions) * size + size * hidden)


def _block(size: int, inner: int) -> int:
    """A block with biases: attention, two matrices, two norms."""
    return 4 * size * size + 2 * size * inner + 9 * size + inner


_KINDS: Mapping[str, Callable[[Fields, int], Tower]] = {
    "Qwen3VLForConditionalGeneration": _qwen,
    "Qwen3VLMoeForConditionalGeneration": _qwen,
    "Qwen3_5ForConditionalGeneration": _qwen,
    "Qwen3_5MoeForConditionalGeneration": _qwen,
    "KimiK25ForConditionalGeneration": _kimi,
    "Mistral3ForConditionalGeneration": _pixtral,
    "Gemma3ForConditionalGeneration": _siglip,
}
