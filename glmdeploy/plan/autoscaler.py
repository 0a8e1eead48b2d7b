"""The plan's fields that Modal's autoscaler takes while containers run: no deployment is needed to change them.

Works on plans' JSON data, as :mod:`glmdeploy.plan.diff` does. What Modal can override of a function and of a Server:
``autoscaler.update`` of each (modal 1.6.4, ``_functions.py`` and ``_server.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.plan.plan import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS = ("min_containers", "max_containers", "buffer_containers", "scaledown_window")
"""Of a web function's autoscaler; containers, and seconds."""
COUNTS = ("min_containers", "max_containers", "buffer_containers")
"""Those that count replicas in a plan, and containers at Modal: of a cluster several are one replica."""
OF_A_SERVER = (*FIELDS, "target_concurrency", "scaleup_window")


def nodes(data: Mapping[str, Any]) -> int:
    """The containers of one replica."""
    return int(data.get("cluster", {}).get("nodes", 1))


def fields(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields that can be changed while the plan's containers run."""
    return OF_A_SERVER if data["server"].get("kind") == "server" else FIELDS


def wanted(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the plan says of each field; None where it leaves it to Modal."""
    return {name: data["server"].get(name) for name in fields(data)}


def without(data: Mapping[str, Any]) -> dict[str, Any]:
    """The plan's data without these fields: what only a deployment can change."""
    live = fields(data)
    return {**data, "server": {name: value for name, value in data["server"].items() if name not in live}}


def deployment_digest(data: Mapping[str, Any]) -> str:
    """Digest of what only a deployment can change: where two plans agree in it, there is nothing to deploy."""
    return digest(without(data))
