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

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from glmdeploy.sglang.decisions.situation import AT_START, UNKNOWN, Situation
from glmdeploy.sglang.decisions.table import DECISIONS, obstacle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.gpus import Gpu
    from glmdeploy.sglang.catalog import Catalog
    from glmdeploy.sglang.command import Setting

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


class Origin(StrEnum):
    PROFILE = "profile"
    DEFAULT = "default"
    SGLANG = "sglang"


class Basis(StrEnum):
    """How a value that SGLang decides is known."""

    RECORDED = "recorded"
    """The real resolution was asked in this situation, as far as it decides."""
    DERIVED = "derived"
    """The decisions that were read in the source say so, and no recording contradicts them."""
    AT_START = "at start"
    """SGLang works it out from what it measures when it starts: nobody knows it before."""


@dataclass(frozen=True, kw_only=True)
class Effective:
    """A value and who decided it.

    Of a decision of SGLang's, ``why`` explains it, ``file`` is the upstream file that takes it, and ``basis`` tells how
    it is known. Where ``known`` is False the value is SGLang's to decide, ``value`` is None, and ``why`` tells why it
    is not known.
    """

    value: Any
    origin: Origin
    why: str | None = None
    file: str | None = None
    known: bool = True
    basis: Basis | None = None


REPORTED = (
    *("kv_cache_dtype", "attention_backend", "dsa_prefill_backend", "dsa_decode_backend", "page_size"),
    *("moe_runner_backend", "disable_shared_experts_fusion", "allreduce_fusion"),
    *("speculative_algorithm", "speculative_num_steps", "speculative_eagle_topk", "speculative_num_draft_tokens"),
    *("speculative_draft_model_path", "speculative_moe_runner_backend", "disable_overlap_schedule"),
    *("chunked_prefill_size", "max_running_requests", "prefill_cuda_graph", "mem_fraction_static"),
    "disable_radix_cache",
)
"""What SGLang may decide, as far as it is covered, in the order in which ``explain`` shows it."""


def effective(
    settings: Mapping[str, Setting],
    catalog: Catalog,
    gpu: Gpu,
    architecture: str | None,
    *,
    quantization: str | None = None,
    env: Mapping[str, str] | None = None,
    own: Mapping[str, Any] | None = None,
) -> dict[str, Effective]:
    """The effective value of every option, by destination or by its name in ``RAW``.

    ``quantization`` is the checkpoint's (:func:`glmdeploy.sglang.models.quantization`), ``env`` the environment of the
    server, ``own`` the values of options that no profile sets (``model_path``).
    """
    given = {dest: setting.value for dest, setting in settings.items()} | dict(own or {})
    defaults = catalog.defaults()
    values = defaults | given
    said = asked(values)
    by_profile = set(given) | {name for name, value in asked(defaults).items() if said[name] != value}
    values |= said
    table = {
        name: Effective(value=value, origin=Origin.PROFILE if name in by_profile else Origin.DEFAULT)
        for name, value in values.items()
    }
    now = Situation(version=catalog.version, gpu=gpu, quantization=quantization, env=env or {}, values=values)
    if reason := obstacle(now, architecture, defaults):
        return table | {name: _unknown(reason) for name in REPORTED if _left_open(name, table)}
    for row in DECISIONS:
        if not row.applies(now) or (value := row.decide(now)) == values[row.name]:
            continue
        values[row.name] = value
        table[row.name] = (
            _unknown(row.why, Basis.AT_START if value is AT_START else None)
            if value in (UNKNOWN, AT_START)
            else Effective(value=value, origin=Origin.SGLANG, why=row.why, file=row.file(catalog.version))
        )
    return table


def _left_open(name: str, table: Mapping[str, Effective]) -> bool:
    """Whether SGLang may decide. It does not speculate unless told to."""
    if name == "speculative_algorithm" and table[name].value is None:
        return False
    return table[name].origin is Origin.DEFAULT or table[name].value == "auto"


def _unknown(why: str, basis: Basis | None = None) -> Effective:
    return Effective(value=None, origin=Origin.SGLANG, why=why, known=False, basis=basis)
