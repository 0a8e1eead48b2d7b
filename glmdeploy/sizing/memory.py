"""Bytes on one GPU: weights, KV pool, and what is left for activations and CUDA graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from glmdeploy.gpus import Gpu
    from glmdeploy.sizing.model import Model


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A KV pool on one GPU, the draft layers' included."""

    bytes_per_token: int
    tokens: int

    @property
    def bytes(self) -> int:
        return self.bytes_per_token * self.tokens


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on one GPU (of one data-parallel replica, where there are several)."""

    total: int
    """What the driver leaves to SGLang."""
    weights: int
    static: int
    """``mem-fraction-static`` of the total: weights and KV pool must fit in it."""
    kv_dtype: str
    pool: Pool
    """What SGLang allocates: capped by ``max-total-tokens``; 0 tokens where the weights leave nothing."""
    possible: Mapping[str, Pool]
    """What the memory could hold, uncapped, for ``bfloat16`` and ``fp8_e4m3``."""
    working: int
    """Estimate of what activations and CUDA graphs take at most; it must fit in total - static."""


def memory(model: Model, gpu: Gpu, value: Callable[[str], object]) -> Memory | None:
    """The memory of a deployment; ``value`` gives the effective value of an option by destination.

    None where something that it depends on is not known: the GPU's memory, or a value that SGLang decides.
    """
    raise NotImplementedError
