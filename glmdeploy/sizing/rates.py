"""Modal's billing rates as prices of GPUs.

``Workspace.billing.rates()`` of the SDK (modal 1.6.4) passes on what the service answers: a mapping of names to
decimal dollars, whose names the SDK does not tell. Those of GPUs, in dollars for one GPU and hour, were read in
published answers of ``modal billing rates --json`` (August and September 2026).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, SupportsFloat

from glmdeploy.sizing.cost import Price

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "T4": "gpu_hour_cost_t4",
    "L4": "gpu_hour_cost_l4",
    "A10": "gpu_hour_cost_a10g",
    "L40S": "gpu_hour_cost_l40s",
    "A100": "gpu_hour_cost_a100_40gb",
    "A100-40GB": "gpu_hour_cost_a100_40gb",
    "A100-80GB": "gpu_hour_cost_a100_80gb",
    "RTX-PRO-6000": "gpu_hour_cost_rtx6000",
    "H100": "gpu_hour_cost_h100",
    "H100!": "gpu_hour_cost_h100",
    "H200": "gpu_hour_cost_h200",
    "B200": "gpu_hour_cost_b200",
    "B200+": "gpu_hour_cost_b200",
}
"""What Modal calls the rate of a GPU, by the name that a profile gives it."""


def prices(rates: Mapping[str, SupportsFloat], *, source: str, date: str) -> dict[str, Price]:
    """The prices in a workspace's rates, by Modal's GPU name; without those that it does not list.

    ``date`` is the day on which they were read, YYYY-MM-DD.
    """
    listed = {gpu: float(rates[name]) for gpu, name in NAMES.items() if name in rates}
    return {
        gpu: Price(dollars=dollars, date=date, source=source)
        for gpu, dollars in listed.items()
        if math.isfinite(dollars) and dollars >= 0
    }
