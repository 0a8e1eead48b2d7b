"""The pool of states that linear attention keeps, one for each request, and what SGLang gives it.

Source: ``handle_max_mamba_cache`` of ``sglang/srt/model_executor/model_runner_kv_cache_mixin.py`` (0.5.11) and of
``sglang/srt/mem_cache/kv_cache_configurator.py`` (0.5.23).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.sizing.sharding import positive, ratio

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.sizing.layers import LinearAttention
    from glmdeploy.sizing.sharding import Sharding

    Value = Callable[[str], object]

SHARE = 0.9
"""What ``mamba-full-memory-ratio`` is where nothing sets it (0.5.10 to 0.5.23)."""

_SLOTS, _SLOTS_OF_BUFFER = 3, 2
"""States for each request with a prefix cache, and further ones with an extra buffer and the overlap schedule."""

_RUNNING = 48
"""Requests at a time with speculation, where nothing says how many (``_handle_speculative_decoding``)."""

_WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}

_BUFFERED = ("extra_buffer",)


def pool(linear: LinearAttention, sharding: Sharding, room: int, value: Value) -> int | None:
    """Bytes on one GPU of the states, of the ``room`` that they share with the KV pool; None where not known.

    With speculation the states between a request's draft tokens are counted too.
    """
    each = linear.bytes(sharding.attention, _WIDTHS.get(str(value("mamba_ssm_dtype"))))
    each = -(-each // sharding.stages)
    fixed, running = positive(value("max_mamba_cache_size")), positive(value("max_running_requests"))
    between = _between(value)
    if between is None or any(value(name) for name in ("enable_linear_replayssm", "enable_linear_replayssm_spec")):
        return None
    if fixed is not None:
        slots = fixed // sharding.groups
    elif value("disable_radix_cache") and running is not None:
        slots = max(1, running // sharding.groups)
    else:
        share = ratio(value("mamba_full_memory_ratio"), SHARE)
        budget = room * share / (1 + share)
        # Each request's slots share what it has between its draft tokens.
        slots = max(0, int((budget - each * (1 + between)) // (each * (1 + between / _slots(value)))))
    requests = min(max(1, (running or _RUNNING) // sharding.groups), slots // _slots(value)) + 1 if between else 0
    return each * (slots + 1 + requests * between)


def _between(value: Value) -> int | None:
    """Draft tokens that have states of their own: 0 without speculation, None where their number is not known."""
    algorithm = value("speculative_algorithm")
    if algorithm is None:
        return 0
    return positive(value("speculative_num_draft_tokens"))


def _slots(value: Value) -> int:
    if value("disable_radix_cache"):
        return 1
    strategy = value("mamba_radix_cache_strategy") or value("mamba_scheduler_strategy")
    return _SLOTS + (_SLOTS_OF_BUFFER if strategy in _BUFFERED and not value("disable_overlap_schedule") else 0)
