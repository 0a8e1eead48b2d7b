"""What SGLang will really run with: the profile's value, SGLang's default, or SGLang's own decision.

The decisions are data (:mod:`glmdeploy.sglang.decisions`). Where they do not hold, a value that is left to SGLang is
not known, and said to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from glmdeploy.sglang import neutral
from glmdeploy.sglang.decisions import DECISIONS, UNKNOWN, Situation, obstacle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.gpus import Gpu
    from glmdeploy.sglang.catalog import Catalog
    from glmdeploy.sglang.command import Setting


class Origin(StrEnum):
    PROFILE = "profile"
    DEFAULT = "default"
    SGLANG = "sglang"


@dataclass(frozen=True, kw_only=True)
class Effective:
    """A value and who decided it.

    ``why`` explains a decision of SGLang's, ``file`` is the upstream file that takes it. Where ``known`` is False the
    value is SGLang's to decide, ``value`` is None, and ``why`` tells why it is not known.
    """

    value: Any
    origin: Origin
    why: str | None = None
    file: str | None = None
    known: bool = True


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
    """The effective value of every option, by destination or by its name of :mod:`glmdeploy.sglang.neutral`.

    ``quantization`` is the checkpoint's (:func:`glmdeploy.families.quantization`), ``env`` the environment of the
    server, ``own`` the values of options that no profile sets (``model_path``).
    """
    given = {dest: setting.value for dest, setting in settings.items()} | dict(own or {})
    defaults = catalog.defaults()
    values = defaults | given
    asked = neutral.asked(values)
    by_profile = set(given) | {name for name, value in neutral.asked(defaults).items() if asked[name] != value}
    values |= asked
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
            _unknown(row.why)
            if value is UNKNOWN
            else Effective(value=value, origin=Origin.SGLANG, why=row.why, file=row.file(catalog.version))
        )
    return table


def _left_open(name: str, table: Mapping[str, Effective]) -> bool:
    """Whether SGLang may decide. It does not speculate unless told to."""
    if name == "speculative_algorithm" and table[name].value is None:
        return False
    return table[name].origin is Origin.DEFAULT or table[name].value == "auto"


def _unknown(why: str) -> Effective:
    return Effective(value=None, origin=Origin.SGLANG, why=why, known=False)
