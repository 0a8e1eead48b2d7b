"""What GPUs cost on Modal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.gpus import Gpu


@dataclass(frozen=True, kw_only=True)
class Price:
    """Dollars for one GPU and hour, as read from ``source`` on ``date`` (YYYY-MM-DD)."""

    dollars: float
    date: str
    source: str


PRICES: Mapping[str, Price] = {}
"""By Modal's GPU name."""


def hourly(gpu: Gpu, prices: Mapping[str, Price] = PRICES) -> float | None:
    """Dollars that one container's GPUs cost an hour; None where the price is not known."""
    raise NotImplementedError
