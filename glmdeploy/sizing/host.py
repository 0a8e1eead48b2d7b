"""The memory of the machine that a hierarchical cache (HiCache) takes, in all of a container's ranks together.

Sources: ``sglang/srt/mem_cache/memory_pool_host.py`` (0.5.11) and ``mem_cache/pool_host`` (0.5.23): each rank takes
``hicache-size`` billion bytes, else ``hicache-ratio`` times its own KV pool, and where the model has an index of sparse
attention, that index's keys on top of a size (PR #29263, #14282).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.sizing.model import LatentAttention
from glmdeploy.sizing.sharding import positive, ratio, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.sizing.memory import Memory
    from glmdeploy.sizing.model import Model

    Value = Callable[[str], object]

_RATIO = 2.0
"""What ``hicache-ratio`` is where nothing sets it."""

_GB = 10**9


def taken(model: Model | None, memory: Memory | None, value: Value, *, nodes: int = 1) -> int | None:
    """Bytes of one machine's memory; 0 without such a cache, None where its size is not known.

    ``nodes`` are the machines that serve together, among which the ranks are divided.
    """
    if not value("enable_hierarchical_cache"):
        return 0
    shards = read(value)
    if shards is None:
        return None
    ranks = shards.tensor * shards.stages // nodes
    size = positive(value("hicache_size"))
    if size is not None:
        return round(size * _GB * (1 + _index(model))) * ranks
    times = ratio(value("hicache_ratio"), _RATIO)
    return round(times * memory.pool.bytes) * ranks if memory is not None else None


def _index(model: Model | None) -> float:
    """The bytes of a token's index key in those of its latent vector, in BF16; 0 without sparse attention."""
    attention = model.attention if model else None
    if not isinstance(attention, LatentAttention) or attention.index is None:
        return 0
    return (attention.index + attention.index // 128 * 4) / (2 * (attention.rank + attention.rope))
