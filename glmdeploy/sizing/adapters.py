"""The pool of LoRA adapters: what SGLang holds ready for those of one batch.

Source: ``sglang/srt/lora/mem_pool.py`` and ``lora/utils.py`` (0.5.11 to 0.5.23): for each slot, layer and target two
matrices of the largest rank, in the model's type, sharded as the matrices that they stand beside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.sizing.model import GroupedAttention
from glmdeploy.sizing.sharding import positive

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.sizing.model import Model
    from glmdeploy.sizing.sharding import Sharding

    Value = Callable[[str], object]

_SLOTS = 8
"""What ``max-loras-per-batch`` is where nothing sets it."""

_STACKED = {"q_proj": "qkv_proj", "k_proj": "qkv_proj", "v_proj": "qkv_proj"} | dict.fromkeys(
    ("gate_proj", "up_proj"), "gate_up_proj"
)
"""Targets that SGLang holds together."""

_ALL = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")


def wanted(value: Value) -> bool:
    """Whether SGLang serves adapters."""
    return bool(value("enable_lora") or value("lora_paths"))


def pool(model: Model, sharding: Sharding, value: Value) -> int | None:
    """Bytes on one GPU; 0 without adapters, None where rank or targets are not known, or have experts among them."""
    if not wanted(value):
        return 0
    rank, targets = positive(value("max_lora_rank")), _targets(value("lora_target_modules"))
    shapes = _shapes(model, sharding)
    if rank is None or targets is None or shapes is None or sharding.stages > 1 or not targets <= set(shapes):
        return None
    slots = positive(value("max_loras_per_batch")) or _SLOTS
    numbers = sum(stacked * read + written for stacked, read, written in map(shapes.__getitem__, targets))
    return slots * rank * numbers * model.layers * 2


def _targets(value: object) -> set[str] | None:
    if not isinstance(value, list | tuple) or not value:
        return None
    named = {str(each) for each in value}
    return set(_ALL) if "all" in named else {_STACKED.get(each, each) for each in named}


def _shapes(model: Model, sharding: Sharding) -> dict[str, tuple[int, int, int]] | None:
    """By target: how many matrices stand together, and the numbers that a rank reads and writes on one GPU."""
    config = model.config.get("text_config") or model.config
    hidden, inner = config.get("hidden_size"), config.get("intermediate_size")
    attention, parts = model.attention, sharding.attention
    if not isinstance(attention, GroupedAttention) or model.kinds.linear or not isinstance(hidden, int):
        return None
    heads = model.heads // parts
    keys = max(1, attention.kv_heads // parts)
    found = {
        "qkv_proj": (3, hidden, heads * attention.key + keys * (attention.key + attention.value)),
        "o_proj": (1, heads * attention.value, hidden),
    }
    if not model.experts and isinstance(inner, int):
        found["gate_up_proj"] = (2, hidden, 2 * inner // sharding.dense)
        found["down_proj"] = (1, inner // sharding.dense, hidden)
    return found
