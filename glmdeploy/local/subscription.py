"""What the workspace may do, which on Modal is a matter of money: so that every answer can be rehearsed."""

from __future__ import annotations

import os
from dataclasses import dataclass

from glmdeploy.errors import LocalCloudError

VARIABLE = "GLMDEPLOY_LOCAL_PLAN"
"""``team``, the default, or ``starter``: without rollbacks and billing reports."""
GPUS_VARIABLE = "GLMDEPLOY_LOCAL_MAX_GPUS"
"""How many GPUs each Environment may have at once; without it there is no limit."""

SPEND_VARIABLE = "GLMDEPLOY_LOCAL_SPEND_LIMIT"
"""Whole dollars that each Environment may cost in a month; without it there is no limit. It stops nothing."""


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """``max_gpus`` and ``spend_limit`` (dollars a month) are of each Environment; None is no limit."""

    paid: bool = True
    max_gpus: int | None = None
    spend_limit: int | None = None


def subscription() -> Subscription:
    """As the environment asks for it.

    :raises LocalCloudError: for what is neither of the plans, or no number.
    """
    name = os.environ.get(VARIABLE) or "team"
    if name not in {"team", "starter"}:
        raise LocalCloudError(f"{VARIABLE} must be team or starter, and not {name!r}")
    return Subscription(paid=name == "team", max_gpus=_number(GPUS_VARIABLE), spend_limit=_number(SPEND_VARIABLE))


def _number(variable: str) -> int | None:
    given = os.environ.get(variable, "")
    if given and not (given.isascii() and given.isdecimal() and len(given) < 10):
        raise LocalCloudError(f"{variable} must be a whole number, and not {given!r}")
    return int(given) if given else None
