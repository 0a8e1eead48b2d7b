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
cuda_graph_max_bs      the largest batch that decoding captures: ``cuda_graph_max_bs_decode`` from 0.5.14 on, where the
                       resolved one is in ``cuda_graph_config``
=====================  ==============================================================================================
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from glmdeploy.records import record
from glmdeploy.sglang.decisions import nodes, recorded, trees
from glmdeploy.sglang.decisions.situation import AT_START, BY_MEMORY_LEFT, UNKNOWN, Situation
from glmdeploy.sglang.decisions.table import DECISIONS, obstacle
from glmdeploy.sglang.decisions.watched import Watched, questions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from glmdeploy.gpus import Gpu
    from glmdeploy.sglang.catalog import Catalog
    from glmdeploy.sglang.command import Setting

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
    "cuda_graph_max_bs": ("cuda_graph_max_bs_decode", "cuda_graph_max_bs"),
}
"""The options that each name stands for, in any release."""


def asked(values: Values) -> dict[str, Any]:
    """The value of each name when options have ``values`` and SGLang has decided nothing yet; None for undecided."""
    return {
        "dsa_prefill_backend": _first(values, RAW["dsa_prefill_backend"]),
        "dsa_decode_backend": _first(values, RAW["dsa_decode_backend"]),
        "allreduce_fusion": _allreduce_fusion(values),
        "prefill_cuda_graph": _asked_graph(values),
        "cuda_graph_max_bs": _first(values, RAW["cuda_graph_max_bs"]),
    }


def resolved(values: Values) -> dict[str, Any]:
    """The value of each name in the fields of a resolved ``ServerArgs``."""
    return asked(values) | {
        "prefill_cuda_graph": _resolved_graph(values),
        "cuda_graph_max_bs": _resolved_largest(values),
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


def _resolved_largest(values: Values) -> int | None:
    config = values.get("cuda_graph_config")
    largest: int | None = config["decode"]["max_bs"] if config else values.get("cuda_graph_max_bs")
    return largest


def _backend(name: str) -> str:
    return name.removeprefix("tc_")


class Origin(StrEnum):
    PROFILE = "profile"
    DEFAULT = "default"
    SGLANG = "sglang"
    CONTAINER = "container"
    """The container's own start sets it."""


class Basis(StrEnum):
    """How a value that SGLang decides is known."""

    RECORDED = "recorded"
    """The real resolution was asked in this situation, as far as it decides."""
    DERIVED = "derived"
    """The decisions that were read in the source say so, and no recording contradicts them."""
    AT_START = "at start"
    """SGLang works it out from what it measures when it starts: nobody knows it before."""
    REFUSED = "refused"
    """It is, or depends on, a value that is refused: until that is mended nobody knows it."""


@record
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


CONTAINER = {"host": "0.0.0.0"}
"""What the container's start sets, whatever a profile says (:func:`glmdeploy.sglang.command.server_command`)."""

OF_A_CLUSTER = ("nnodes", "node_rank", "dist_init_addr")
"""What it sets where several containers serve together (:mod:`glmdeploy.runtime.cluster`). Of a profile only the first
follows: the others are each container's own."""


def effective(
    settings: Mapping[str, Setting],
    catalog: Catalog,
    gpu: Gpu,
    architecture: str | None,
    *,
    quantization: str | None = None,
    env: Mapping[str, str] | None = None,
    own: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    refused: Collection[str] = (),
    settled: bool = True,
) -> dict[str, Effective]:
    """The effective value of every option, by destination or by its name in ``RAW``.

    ``quantization`` is the checkpoint's (:func:`glmdeploy.sglang.models.quantization`), ``env`` the environment of the
    server, ``own`` the values of options that no profile sets (``model_path``), and ``config`` the checkpoint's
    ``config.json`` where it is known: it tells of a vision tower, and of quantization where nothing else does. Of
    ``own``, what the container's start sets by itself (:data:`CONTAINER`, :data:`OF_A_CLUSTER`) is told as such.

    ``refused`` are destinations whose value is not known because what the profile says of them is refused; what
    depends on one is not known either. Where the GPU, the model or the environment is refused, nothing is ``settled``.
    """
    given = {dest: setting.value for dest, setting in settings.items()} | dict(own or {})
    defaults, unsaid, usual = _usual(catalog)
    values = {**defaults, **given}
    said = asked(values)
    by_profile = set(given) | {name for name, value in unsaid.items() if said[name] != value}
    values |= said
    table = {
        name: Effective(value=value, origin=Origin.PROFILE) if name in by_profile else usual[name]
        for name, value in values.items()
    }
    for name in (own or {}).keys() - settings.keys():
        if name in OF_A_CLUSTER or CONTAINER.get(name) == given[name]:
            table[name] = Effective(value=given[name], origin=Origin.CONTAINER)
    now = Situation(
        version=catalog.version,
        gpu=gpu,
        quantization=quantization or recorded.stored(config),
        env=env or {},
        values=dict(values),
        vision=recorded.vision(config),
    )
    if refused or not settled:
        gone = {*refused, *(name for name, raws in RAW.items() if not set(refused).isdisjoint(raws))}
        return _partly(now, table, gone, architecture, defaults, settled=settled)
    table |= _groups(now)
    recordings = trees.load(architecture) if architecture else None
    by_rows = obstacle(now, architecture, defaults) is None
    told = _rows(now, table) if by_rows else set()
    reason = recorded.obstacle(now, architecture, recordings, defaults)
    if recordings is None or reason:
        open_ = (name for name in recorded.names() if name in table and name not in told and _left_open(name, table))
        return table | {name: _unknown(reason or "") for name in open_ if not by_rows or name not in REPORTED}
    for name, one in nodes.decided(now, recordings.decide(now, values), values).items():
        if name not in told or not table[name].known:
            table[name] = _recorded(name, one, table[name], now)
        elif table[name].origin is Origin.SGLANG and one.recorded and one.value == table[name].value:
            table[name] = replace(table[name], basis=Basis.RECORDED)
    return table


@lru_cache(maxsize=32)
def _usual(catalog: Catalog) -> tuple[Values, Values, Mapping[str, Effective]]:
    """The release's defaults, what they make of the names in ``RAW``, and the table where a profile says nothing."""
    defaults = catalog.defaults()
    unsaid = asked(defaults)
    table = {name: Effective(value=value, origin=Origin.DEFAULT) for name, value in (defaults | unsaid).items()}
    return defaults, unsaid, table


def _partly(
    now: Situation,
    table: dict[str, Effective],
    refused: Collection[str],
    architecture: str | None,
    defaults: Mapping[str, Any],
    *,
    settled: bool,
) -> dict[str, Effective]:
    """The table where values are refused: what is left of it without them."""
    names = " and ".join(f"`{name.replace('_', '-')}`" for name in sorted(refused) if name not in RAW)
    lost = _unknown(f"it depends on {names or 'a value'}, which is refused", Basis.REFUSED)
    values = Watched(now.values, refused)
    now = replace(now, values=values)
    decided = {name for name in {*recorded.names(), *REPORTED} if name in table and _left_open(name, table)}
    gone = dict.fromkeys(set(refused) & table.keys(), lost)
    everything = table | dict.fromkeys(decided, lost) | gone
    recordings = trees.load(architecture) if architecture else None
    by_rows = obstacle(now, architecture, defaults) is None
    reason = recorded.obstacle(now, architecture, recordings, defaults)
    groups = _groups(now)
    if not settled or questions(values):
        return everything
    table |= groups
    told = _rows(now, table, lost) if by_rows else set()
    if recordings is None or reason:
        open_ = (name for name in decided - told if not by_rows or name not in REPORTED)
        return table | {name: _unknown(reason or "") for name in open_} | gone
    for name, one in nodes.decided(now, recordings.decide(now, values), values).items():
        if one.lost and (name not in told or table[name].basis is not Basis.REFUSED):
            table[name] = lost
        elif not one.lost and (name not in told or not table[name].known):
            table[name] = _recorded(name, one, table[name], now)
    return table | gone


def _groups(now: Situation) -> dict[str, Effective]:
    """What becomes of ``dp_size`` where it was to mean the groups of attention.

    Beside groups that have a number of their own it means replicas (and is refused). Source:
    ``arg_groups/parallel_hook.py`` of 0.5.22 and 0.5.23, and all recordings of them.
    """
    if not now.since("0.5.22") or not now["enable_dp_attention"] or now["attn_dp_size"] not in (None, 1):
        return {}
    if now["dp_size"] in (None, 1):
        return {}
    moved = {"dp_size": 1, "attn_dp_size": now["dp_size"]}
    return {
        name: Effective(
            value=value,
            origin=Origin.SGLANG,
            why="data-parallel attention has its groups in `attn-dp-size`, and `dp-size` means replicas",
            file=recorded.file("dp_size", now.version),
            basis=Basis.RECORDED,
        )
        for name, value in moved.items()
    }


def _rows(now: Situation, table: dict[str, Effective], lost: Effective | None = None) -> set[str]:
    """Put what the rows decide into the table; the names that they tell of. ``lost`` is for what cannot be decided."""
    values = Watched(now.values, now.values.lost) if isinstance(now.values, Watched) else dict(now.values)
    now = replace(now, values=values)
    for row in DECISIONS:
        before = questions(values)
        try:
            value = row.decide(now) if row.applies(now) else now.values.get(row.name)
        except TypeError:
            # It counts with a value that nobody knows, of which None is the stand-in.
            if questions(values) == before:
                raise
            value = UNKNOWN
        if lost is not None and isinstance(values, Watched) and questions(values) > before:
            values.lost.add(row.name)
            table[row.name] = lost
            continue
        if value == values[row.name]:
            continue
        values[row.name] = value
        table[row.name] = (
            _unknown(row.why, Basis.AT_START if value is AT_START else None)
            if value in (UNKNOWN, AT_START)
            else Effective(
                value=value, origin=Origin.SGLANG, why=row.why, file=row.file(now.version), basis=Basis.DERIVED
            )
        )
    return {row.name for row in DECISIONS}


def _recorded(name: str, one: trees.Decided, before: Effective, now: Situation) -> Effective:
    """What the recordings say of a name."""
    if name == "max_running_requests" and one.value is None:
        return _unknown(BY_MEMORY_LEFT, Basis.AT_START)
    if one.value is trees.OPEN:
        return _unknown(recorded.unsettled(one))
    if one.value == before.value and isinstance(one.value, bool) == isinstance(before.value, bool):
        return before
    return Effective(
        value=one.value,
        origin=Origin.SGLANG,
        why=recorded.reason(one, now),
        file=recorded.file(name, now.version),
        basis=Basis.RECORDED if one.recorded else Basis.DERIVED,
    )


def _left_open(name: str, table: Mapping[str, Effective]) -> bool:
    """Whether SGLang may decide. It does not speculate unless told to."""
    if name == "speculative_algorithm" and table[name].value is None:
        return False
    return table[name].origin is Origin.DEFAULT or table[name].value == "auto"


def _unknown(why: str, basis: Basis | None = None) -> Effective:
    return Effective(value=None, origin=Origin.SGLANG, why=why, known=False, basis=basis)
