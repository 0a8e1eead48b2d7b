"""What a plan needs of the volumes: the folder of its weights, the keys of its kernels, and its own body.

Works on plans' JSON data, as :mod:`glmdeploy.plan.diff` does, so that it can also read what another release deployed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glmdeploy.plan.plan import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Of several plans together, each by the name of the volume.

    ``whole`` are volumes of which all may be needed: a release of glmdeploy that knew no folders of versions, or no
    keys, uses them, or a further volume is one of them.
    """

    weights: frozenset[tuple[str, str]] = frozenset()
    """Volume and folder in it."""
    kernels: frozenset[tuple[str, str]] = frozenset()
    """Volume and key."""
    bodies: frozenset[str] = frozenset()
    """Whole digests of plans."""
    runtimes: frozenset[str] = frozenset()
    """Digests of container sides."""
    whole: frozenset[str] = frozenset()
    volumes: frozenset[str] = field(default=frozenset())
    """The volumes of weights and kernels."""


def needs(plans: Iterable[Mapping[str, Any]]) -> Needs:
    """What plans' data need together."""
    weights, kernels, bodies, runtimes, whole, volumes = (set[Any]() for _ in range(6))
    for data in plans:
        bodies.add(digest(data))
        if isinstance(runtime := data.get("runtime"), str):
            runtimes.add(runtime)
        volume, sub_path = data["weights"]["name"], data["weights"].get("sub_path")
        volumes.add(volume)
        if isinstance(sub_path, str):
            weights.add((volume, sub_path))
        else:
            whole.add(volume)
        if kept := data.get("kernels"):
            volumes.add(kept["name"])
            keys = data.get("compile", {}).get("keys")
            if isinstance(keys, dict):
                kernels |= {(kept["name"], key) for key in keys.values()}
            elif "compile" in data:
                whole.add(kept["name"])
        whole |= {further["name"] for further in data.get("volumes", ())}
    return Needs(
        weights=frozenset(weights),
        kernels=frozenset(kernels),
        bodies=frozenset(bodies),
        runtimes=frozenset(runtimes),
        whole=frozenset(whole),
        volumes=frozenset(volumes),
    )
