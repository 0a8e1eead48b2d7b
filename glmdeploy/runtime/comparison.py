"""Compares what the engine says it runs with what the plan resolved. Pure: nothing is asked here.

``/server_info`` has the values of the launcher, and in ``internal_states`` those of each data-parallel rank's
scheduler, which are closer to what runs; ``/v1/models`` has the length of the context (SGLang 0.5.10 to 0.5.23). The
former holds the key among other things: only the values of :data:`COMPARED` are ever shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

READ_AS: Mapping[str, tuple[str, ...]] = {
    "dsa_prefill_backend": ("dsa_prefill_backend", "nsa_prefill_backend"),
    "dsa_decode_backend": ("dsa_decode_backend", "nsa_decode_backend"),
    "max_running_requests": ("effective_max_running_requests_per_dp",),
}
"""What a name of ours is in ``internal_states``, in any release: the first that has a value (``nsa_*`` to 0.5.12)."""

OPTIONS = (
    *("tp_size", "pp_size", "dp_size", "ep_size", "attn_dp_size"),
    *("kv_cache_dtype", "attention_backend", "dsa_prefill_backend", "dsa_decode_backend", "page_size"),
    *("moe_runner_backend", "speculative_algorithm", "speculative_num_steps", "speculative_eagle_topk"),
    *("speculative_num_draft_tokens", "speculative_moe_runner_backend", "chunked_prefill_size"),
    *("disable_radix_cache", "disable_overlap_schedule", "is_embedding", "max_running_requests"),
)
"""What ``internal_states`` is asked for; ``max_running_requests`` is of one data-parallel rank."""

POOL, CONTEXT = "max_total_num_tokens", "context_length"

COMPARED = (*OPTIONS, POOL, CONTEXT)
"""What a plan can expect."""

ALIASES: Mapping[Any, str] = {"bf16": "bfloat16", "nsa": "dsa", "NEXTN": "EAGLE"}
"""Values that mean the same, by the one that stands for both."""

TOLD_CHARACTERS = 80


def differences(
    expected: Mapping[str, Any], tolerated: Iterable[str], info: Mapping[str, Any], cards: Iterable[Any]
) -> list[str]:
    """In what the engine differs from the plan, but for what is tolerated: a sentence each.

    ``info`` is the answer of ``/server_info``, ``cards`` is ``data`` of ``/v1/models``. What is expected is a value, or
    for the pool ``[least, most]`` tokens. A value that the engine does not tell is a difference.
    """
    names = [name for name in COMPARED if name in expected and name not in set(tolerated)]
    states = info.get("internal_states")
    ranks = [state for state in states if isinstance(state, Mapping)] if isinstance(states, list) else []
    found: list[str] = []
    for name in names:
        told = {json.dumps(value, default=str): value for value in _told(name, info, ranks, cards)}
        wanted = expected[name]
        if not told:
            found.append(f"{name} is not told by the engine, the plan says {_words(name, wanted)}")
        found += [
            f"{name} is {_shown(value)}, the plan says {_words(name, wanted)}"
            for value in told.values()
            if not _agrees(name, wanted, value)
        ]
    return found


def _told(
    name: str, info: Mapping[str, Any], ranks: Iterable[Mapping[str, Any]], cards: Iterable[Any]
) -> Iterator[Any]:
    """What the engine says of a name: by each rank, or by the engine; nothing where it says nothing."""
    if name == CONTEXT:
        # An adapter's card has none (0.5.10 to 0.5.23, http_server.py).
        lengths = (card.get("max_model_len") for card in cards if isinstance(card, Mapping))
        yield from (length for length in lengths if length is not None)
    elif name == POOL:
        usages = [usage for state in ranks if isinstance(usage := state.get("memory_usage"), Mapping)]
        sizes = [usage["token_capacity"] for usage in usages if "token_capacity" in usage]
        yield from sizes or ([info[name]] if name in info else [])
    elif name == "attn_dp_size":
        yield from (groups_of(state) for state in ranks if "dp_size" in state or "attn_dp_size" in state)
    else:
        keys = READ_AS.get(name, (name,))
        for state in ranks:
            values = [state[key] for key in keys if key in state]
            if values:
                yield next((value for value in values if value is not None), None)


def groups_of(state: Mapping[str, Any]) -> Any:
    """Groups of ranks with attention of their own: ``attn_dp_size`` from 0.5.22, before what the switch makes of dp."""
    own = state.get("attn_dp_size")
    if own not in (None, 1):
        return own
    return state.get("dp_size") if state.get("enable_dp_attention") else 1


def _agrees(name: str, wanted: Any, told: Any) -> bool:
    if name == POOL:
        least, most = wanted
        return isinstance(told, int) and not isinstance(told, bool) and least <= told <= most
    one, other = _plain(wanted), _plain(told)
    return type(one) is type(other) and bool(one == other)


def _plain(value: Any) -> Any:
    """A value in the one form that stands for all of its spellings: 8 and 8.0, NEXTN and EAGLE."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return ALIASES.get(value, value) if isinstance(value, str) else value


def _words(name: str, wanted: Any) -> str:
    if name != POOL:
        return _shown(wanted)
    least, most = wanted
    return str(most) if least == most else f"{least} to {most}"


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool | int | float | str):
        return (value if isinstance(value, str) else json.dumps(value))[:TOLD_CHARACTERS]
    return f"a {type(value).__name__}"
