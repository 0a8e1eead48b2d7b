"""How many GPUs a model needs, in one container or in several that serve together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.gpus import RDMA, TYPES
from glmdeploy.records import record
from glmdeploy.sizing.blocks import uneven
from glmdeploy.sizing.memory import MIB, loaded

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.sizing.model import Model

    Value = Callable[[str], object]

_COUNTS = (1, 2, 4, 8)
_NODES = (2, 4)

MOST = 0.8
"""The share of a GPU that weights may take at most, where what SGLang leaves for them is not known."""


@record
class Enough:
    """``gpus`` of a type, of which ``nodes`` containers have equal parts."""

    type: str
    gpus: int
    nodes: int

    def __str__(self) -> str:
        """What to write for more than one container."""
        each = f"{self.type}:{self.gpus // self.nodes}"
        return f"`cluster: {{nodes: {self.nodes}}}` with `gpu: {each}` and `tp: {self.gpus}`"


def enough(gpu: str, model: Model, value: Value, fits: Callable[[int], bool], *, beyond: int = 1) -> Enough | None:
    """The fewest GPUs among which tensor parallelism divides the model so that it ``fits``; None where Modal has none.

    ``gpu`` is their type. Several containers are whole hosts that RDMA joins, more of them than ``beyond``, and the
    ranks must come out even.
    """
    whole = TYPES[gpu].most
    if beyond == 1 and (alone := next((count for count in _COUNTS if count <= whole and fits(count)), None)):
        return Enough(type=gpu, gpus=alone, nodes=1)
    if weights_fit(gpu, model, value)(beyond * whole):  # more hosts are not what it lacks
        return None
    for nodes in _NODES if gpu in RDMA else ():
        tensor = nodes * whole
        if (
            nodes > beyond
            and model.heads % tensor == 0
            and fits(tensor)
            and uneven(model, among(value, tensor)) is None
        ):
            return Enough(type=gpu, gpus=tensor, nodes=nodes)
    return None


def among(value: Value, tensor: int) -> Value:
    """The options' values with another number of tensor-parallel ranks, in one stage."""
    return lambda name: {"tp_size": tensor, "pp_size": 1}.get(name) or value(name)


def weights_fit(gpu: str, model: Model, value: Value) -> Callable[[int], bool]:
    """Whether the weights alone leave room, where nothing else of the memory is known; never where the GPU's is not."""
    there = (TYPES[gpu].memory_mib or 0) * MIB
    return lambda tensor: loaded(model, among(value, tensor)) < there * MOST
