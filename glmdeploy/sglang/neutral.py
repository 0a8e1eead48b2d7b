"""Names for what SGLang renamed or reshaped between releases, so that one name holds for all.

=====================  ==============================================================================================
name                   in SGLang
=====================  ==============================================================================================
dsa_prefill_backend,   ``nsa_prefill_backend`` and ``nsa_decode_backend`` until 0.5.12
dsa_decode_backend
allreduce_fusion       ``enable_flashinfer_allreduce_fusion`` (``off``, ``on``) until 0.5.13, from 0.5.14 on
                       ``flashinfer_allreduce_fusion_backend`` (``off`` for none, ``auto``, ``trtllm``, ``mnnvl``...)
prefill_cuda_graph     ``disable_piecewise_cuda_graph`` (``disabled``, ``piecewise``) until 0.5.13, from 0.5.14 on
                       ``cuda_graph_config`` of the prefill (``disabled``, ``breakable``, ``full``, and ``piecewise``
                       for its ``tc_piecewise``)
=====================  ==============================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Values = Mapping[str, Any]

RAW: Mapping[str, tuple[str, ...]] = {
    "dsa_prefill_backend": ("nsa_prefill_backend", "dsa_prefill_backend"),
    "dsa_decode_backend": ("nsa_decode_backend", "dsa_decode_backend"),
    "allreduce_fusion": ("enable_flashinfer_allreduce_fusion", "flashinfer_allreduce_fusion_backend"),
    "prefill_cuda_graph": (
        "enforce_piecewise_cuda_graph",
        "disable_piecewise_cuda_graph",
        "cuda_graph_backend_prefill",
        "disable_prefill_cuda_graph",
        "disable_cuda_graph",
        "cuda_graph_config",
    ),
}
"""The options that each name stands for, in any release."""


def asked(values: Values) -> dict[str, Any]:
    """The value of each name when options have ``values`` and SGLang has decided nothing yet; None for undecided."""
    return {
        "dsa_prefill_backend": _first(values, RAW["dsa_prefill_backend"]),
        "dsa_decode_backend": _first(values, RAW["dsa_decode_backend"]),
        "allreduce_fusion": _allreduce_fusion(values),
        "prefill_cuda_graph": _asked_graph(values),
    }


def resolved(values: Values) -> dict[str, Any]:
    """The value of each name in the fields of a resolved ``ServerArgs``."""
    return {name: value for name, value in asked(values).items() if name != "prefill_cuda_graph"} | {
        "prefill_cuda_graph": _resolved_graph(values)
    }


def _first(values: Values, names: tuple[str, ...]) -> Any:
    return next((values[name] for name in names if values.get(name) is not None), None)


def _allreduce_fusion(values: Values) -> str:
    enabled = values.get("enable_flashinfer_allreduce_fusion")
    if "flashinfer_allreduce_fusion_backend" not in values:
        return "on" if enabled else "off"
    backend: str | None = values["flashinfer_allreduce_fusion_backend"]
    return backend or ("auto" if enabled else "off")


def _asked_graph(values: Values) -> str | None:
    explicit = values.get("cuda_graph_config")
    if isinstance(explicit, dict) and (backend := explicit.get("prefill", {}).get("backend")):
        return _backend(backend)
    if values.get("enforce_piecewise_cuda_graph"):
        return "piecewise"
    if backend := values.get("cuda_graph_backend_prefill"):
        return _backend(backend)
    off = {"disable_piecewise_cuda_graph", "disable_prefill_cuda_graph"}
    if "cuda_graph_backend_prefill" in values:
        off.add("disable_cuda_graph")
    return "disabled" if any(values.get(name) for name in off) else None


def _resolved_graph(values: Values) -> str:
    if "disable_piecewise_cuda_graph" in values:
        return "disabled" if values["disable_piecewise_cuda_graph"] else "piecewise"
    return _backend(values["cuda_graph_config"]["prefill"]["backend"])


def _backend(name: str) -> str:
    return name.removeprefix("tc_")
