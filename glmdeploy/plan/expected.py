"""What the engine must really run with: what a container compares with ``/server_info`` before it takes traffic.

Only what the profile and SGLang's known decisions resolve: a value that is SGLang's to decide, and not known here, is
not compared. Where the decisions are known (``sglang.decisions``) that is every effective value; for other models it is
what the profile gives and SGLang takes as it is given. The names are of ``runtime.comparison.COMPARED``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmdeploy.runtime.comparison import CONTEXT, OPTIONS, POOL
from glmdeploy.runtime.purpose import CHAT, purpose_of
from glmdeploy.sglang.decisions.situation import Situation
from glmdeploy.sglang.decisions.table import obstacle
from glmdeploy.sglang.effective import Origin

if TYPE_CHECKING:
    from glmdeploy.rules.facts import Facts

AS_GIVEN = (
    *("kv_cache_dtype", "attention_backend", "moe_runner_backend", "disable_radix_cache", "is_embedding"),
    *("speculative_algorithm", "speculative_num_steps", "speculative_eagle_topk", "speculative_num_draft_tokens"),
)
"""What SGLang takes as the profile gives it, whatever the model, where it is neither ``auto`` nor a switch left off."""

ALWAYS = ("tp_size", "pp_size", "attn_dp_size")
"""What holds for every model, given or not."""

MOVING = ("speculative_num_steps", "speculative_num_draft_tokens")
"""What ``speculative-adaptive`` changes while the engine runs (0.5.12.post1 to 0.5.14, ``eagle_worker_v2.py``)."""

ESTIMATE_SHARE, ESTIMATE_BYTES = 0.02, 2 * 2**30
"""By how much an estimated pool may be off: 0.8 % was measured in five starts of 0.5.11 on an H200, 1 % is in a
published log; and CUDA and NCCL hold 1.5 to 3.7 GiB where :data:`glmdeploy.sizing.memory.OVERHEAD` says 2.5. A KV cache
of another type differs by more."""

LARGEST_PAGE = 256
"""Tokens: a limit of the pool is cut down to whole pages. Of SGLang's pages, 0.5.10 to 0.5.23, none is larger."""

MOST_REQUESTS = 2048
"""Up to so many requests the pool's size does not lower ``max-running-requests`` by SGLang's estimate (0.5.10)."""

SMALLEST_SHARE = 2
"""Tokens of the pool for each running request, below which SGLang lowers their number (from 0.5.14)."""


def expected(facts: Facts) -> dict[str, Any]:
    """By name; the pool as ``[least, most]`` tokens of one data-parallel rank.

    Of several GPUs that a container may have only what is the same on each of them.
    """
    first, *others = map(_expected, facts.each_gpu())
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _expected(facts: Facts) -> dict[str, Any]:
    known = understood(facts)
    found: dict[str, Any] = {}
    for name in OPTIONS:
        value = _option(facts, name, known=known)
        if value is not None and value != "auto":
            found[name] = value
    if (context := facts.setting(CONTEXT)) is not None and isinstance(context.value, int):
        found[CONTEXT] = context.value
    if pool := _pool(facts):
        found[POOL] = list(pool)
    return found


def understood(facts: Facts) -> bool:
    """Whether all that SGLang decides by itself is known for this model, GPU, release and set of options."""
    now = Situation(
        version=facts.catalog.version,
        gpu=facts.gpu,
        quantization=facts.quantization,
        env=facts.env,
        values={name: one.value for name, one in facts.effective.items()},
    )
    return obstacle(now, facts.architecture, facts.catalog.defaults()) is None


def _option(facts: Facts, name: str, *, known: bool) -> Any:
    if name == "attn_dp_size":
        return facts.attention_groups
    if name == "max_running_requests":
        return _requests(facts)
    effective = facts.effective.get(name)
    if effective is None or not effective.known or (name in MOVING and facts.value("speculative_adaptive")):
        return None
    if known or name in ALWAYS:
        return effective.value
    if name == "dp_size":
        return effective.value if facts.attention_groups == 1 else None
    given = name in AS_GIVEN and effective.origin is Origin.PROFILE
    return effective.value if given and effective.value is not False else None


def _requests(facts: Facts) -> int | None:
    """Running requests of one rank: what is given for all, divided."""
    requests, pool = facts.number("max_running_requests"), _pool(facts)
    ranks = max(facts.number("dp_size") or 1, facts.attention_groups)
    if requests is None or requests // ranks < 1 or requests // ranks > MOST_REQUESTS:
        return None
    if pool and pool[0] // SMALLEST_SHARE < requests // ranks:
        return None
    return requests // ranks


def _pool(facts: Facts) -> tuple[int, int] | None:
    """The least and the most tokens that the KV pool may have; None where nothing is known of it."""
    limit, memory = facts.number("max_total_tokens"), facts.memory
    page = facts.number("page_size") if facts.effective.get("page_size") else None
    if limit is not None and limit > 0:
        # A model whose dimensions are not known may have pools of several kinds, of which one is told.
        exact = facts.model is not None
        if exact and page and understood(facts):
            return limit // page * page, limit // page * page
        return (max(limit - LARGEST_PAGE + 1, 1) if exact else 1), limit
    if memory is None or not understood(facts) or not memory.pool.tokens:
        return None
    slack = int(memory.pool.tokens * ESTIMATE_SHARE + ESTIMATE_BYTES / memory.pool.bytes_per_token)
    return max(memory.pool.tokens - slack, 1), memory.pool.tokens + slack


def checks(facts: Facts) -> tuple[str, ...]:
    """The quick checks of a start, by the names of ``runtime.quick_checks``."""
    purpose = purpose_of(facts.command)
    if purpose != CHAT:
        return (purpose,)
    calls = facts.value("tool_call_parser") is not None and facts.value("grammar_backend") != "none"
    return ("chat", "stream", *(("tool_call",) if calls else ()))
