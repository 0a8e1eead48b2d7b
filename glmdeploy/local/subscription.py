"""What the workspace may do, which on Modal is a matter of money: so that every answer can be rehearsed."""

from __future__ import annotations

import os
from dataclasses import dataclass

from glmdeploy.errors import LocalCloudError

VARIABLE = "GLMDEPLOY_LOCAL_PLAN"
"""``team``, the default, or ``starter``: without rollbacks and billing reports."""
GPUS_VARIABLE = "GLMDEPLOY_LOCAL_MAX_GPUS"
"""How many GPUs each Environment may have at once; without it there is no limit."""


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """``max_gpus`` is of each Environment; None is no limit."""

    paid: bool = True
    max_gpus: int | None = None


def subscription() -> Subscription:
    """As the environment asks for it.

    :raises LocalCloudError: for what is neither of the plans, or no number.
    """
    name, number = os.environ.get(VARIABLE) or "team", os.environ.get(GPUS_VARIABLE, "")
    if name not in {"team", "starter"}:
        raise LocalCloudError(f"{VARIABLE} must be team or starter, and not {name!r}")
    if number and not (number.isascii() and number.isdecimal()):
        raise LocalCloudError(f"{GPUS_VARIABLE} must be a number of GPUs, and not {number!r}")
    return Subscription(paid=name == "team", max_gpus=int(number) if number else None)
