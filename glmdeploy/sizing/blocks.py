"""FP8 in blocks: whether each GPU's part of a matrix is made of whole blocks, without which SGLang does not start.

Source: ``validate_block_quant_shapes`` and ``Fp8MoEMethod.create_weights`` of
``sglang/srt/layers/quantization/fp8.py`` (0.5.10 to 0.5.23), which raise ValueError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.records import record
from glmdeploy.sizing.checkpoint import Fields, UnknownModel
from glmdeploy.sizing.sharding import positive, read
from glmdeploy.sizing.tensors import dense_size, expert_size, shared_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from glmdeploy.sizing.model import Model

    Value = Callable[[str], object]


@record
class Uneven:
    """A size that is cut into ``parts`` which are no multiple of the ``block``."""

    what: str
    size: int
    parts: int
    block: int
    expert: bool = False
    """Whether expert parallelism would leave it whole."""

    def __str__(self) -> str:
        part = f"{self.size / self.parts:g}"
        return (
            f"{self.what} of {self.size:,} are cut into {self.parts} parts of {part}, which is no multiple of the "
            f"{self.block} of the checkpoint's FP8 blocks"
        )


def uneven(model: Model, value: Value) -> Uneven | None:
    """The first matrix whose parts are not whole blocks; None where all are, or the weights are not FP8 in blocks."""
    side, shards = block(model), read(value)
    asked = value("quantization")
    if side is None or shards is None or asked not in (None, "fp8"):
        return None
    experts = positive(value("ep_size")) or 1
    experts = shards.tensor if shards.exchange else min(experts, shards.tensor)
    for what, size, parts, of_experts in _cut(model, shards.tensor // experts, shards.dense):
        # What the ranks do not divide at all is refused for that, before SGLang looks at blocks.
        if size % parts == 0 and size // parts % side:
            return Uneven(what=what, size=size, parts=parts, block=side, expert=of_experts)
    return None


def block(model: Model) -> int | None:
    """The side of the blocks of a checkpoint in FP8, None without them."""
    if model.quantization != "fp8":
        return None
    inner = model.config.get("text_config") or {}
    config = model.config.get("quantization_config") or inner.get("quantization_config") or {}
    sides = config.get("weight_block_size")
    whole = isinstance(sides, list) and len(sides) == 2 and all(positive(side) for side in sides)
    return max(sides) if whole and isinstance(sides, list) else None


def _cut(model: Model, expert_parts: int, dense_parts: int) -> Iterator[tuple[str, int, int, bool]]:
    fields = Fields(data={**model.config, **(model.config.get("text_config") or {})})
    try:
        if model.experts:
            yield "the experts' matrices", expert_size(fields), expert_parts, True
        if size := dense_size(fields, model.layers):
            yield "the dense layers' matrices", size, dense_parts, False
        if model.experts and (size := shared_size(fields)) and expert_parts > 1:
            yield "the shared experts' matrices", size, expert_parts, True
    except UnknownModel:
        return
