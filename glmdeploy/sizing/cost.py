"""What GPUs cost on Modal. CPU, host memory and storage come on top, and are small beside eight GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.gpus import Gpu

HOUR = 3600
DAY = 24 * HOUR


@dataclass(frozen=True, kw_only=True)
class Price:
    """Dollars for one GPU and hour, as read from ``source`` on ``date`` (YYYY-MM-DD)."""

    dollars: float
    date: str
    source: str


_PER_SECOND = {
    **dict.fromkeys(("B200", "B200+"), 0.001736),
    "H200": 0.001261,
    **dict.fromkeys(("H100", "H100!"), 0.001097),
    "RTX-PRO-6000": 0.000842,
    "A100-80GB": 0.000694,
    **dict.fromkeys(("A100", "A100-40GB"), 0.000583),
    "L40S": 0.000542,
    "A10": 0.000306,
    "L4": 0.000222,
    "T4": 0.000164,
}
"""Base rates in dollars. Modal multiplies them for a chosen region and for containers that must not be preempted.

A plain name may get a larger GPU at the same price: an H200 for ``H100``, a B300 for ``B200+`` (Modal's GPU guide).
"""

PRICES: Mapping[str, Price] = {
    name: Price(
        dollars=round(rate * HOUR, 4),
        date="2026-05-25",
        source="https://modal.com/pricing, as transcribed in https://github.com/api-evangelist/modal-com",
    )
    for name, rate in _PER_SECOND.items()
}
"""By Modal's GPU name."""


def hourly(gpu: Gpu, prices: Mapping[str, Price] = PRICES) -> float | None:
    """Dollars that one container's GPUs cost an hour; None where the price is not known."""
    price = prices.get(gpu.type)
    return price.dollars * gpu.count if price else None


def of(gpu: Gpu, seconds: float, prices: Mapping[str, Price] = PRICES) -> float | None:
    """Dollars that one container's GPUs cost for that long; None where the price is not known."""
    rate = hourly(gpu, prices)
    return None if rate is None else rate * seconds / HOUR
