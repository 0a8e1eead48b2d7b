"""How long the stages and a cold start take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glmdeploy.sizing.model import Model


@dataclass(frozen=True, kw_only=True)
class Step:
    """A part of a cold start: ``seconds`` are an estimate, ``basis`` tells from what."""

    name: str
    seconds: int
    basis: str


def weight_load(model: Model) -> int:
    """Seconds to load the checkpoint from a volume onto the GPUs."""
    raise NotImplementedError


def cold_start(model: Model | None, *, compiled: bool) -> tuple[Step, ...]:
    """The steps from a container's start to its first answer; ``compiled`` tells whether kernels are cached."""
    raise NotImplementedError
