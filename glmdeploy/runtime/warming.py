"""The warm-up of a start: requests of the shapes that traffic has, since kernels are compiled by shape.

By default one long prompt, which is prefilled in whole chunks, and one batch of as many requests as may run at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glmdeploy.runtime.purpose import EMBEDDINGS, ROUTES

WARM_PROMPT = 8192
"""Tokens of the long prompt where the engine does not tell its chunk."""

WARM_OUTPUT = 16
"""Tokens that each request of the warm-up generates, by default."""

SHORT_PROMPT = 32
"""Tokens of each prompt of the batch."""

POOL_SHARE = 0.9
"""Of the KV pool, what a warm-up may take."""

WARM_TOKENS = range(10, 250)
"""Tokens that every vocabulary has."""


@dataclass(frozen=True)
class WarmUp:
    """``requests`` are sent one after the other; each is a path, a body, and how many answers it must get."""

    requests: tuple[tuple[str, Mapping[str, Any], int], ...]
    prompt_tokens: int
    batch: int

    @property
    def words(self) -> str:
        return f"a prompt of {self.prompt_tokens} tokens, then {self.batch} requests at a time"


def warm_up(settings: Mapping[str, int], info: Mapping[str, Any], *, served_name: str, route: str) -> WarmUp:
    """The warm-up for an engine that says ``info`` in ``/server_info``.

    ``settings`` may have ``prompt_tokens``, ``batch`` and ``output_tokens``; they are cut down to what the context and
    the KV pool hold. ``route`` is where they go: ``/generate``, ``/v1/embeddings`` or ``/classify``.
    """
    states = info.get("internal_states")
    ranks = [state for state in states if isinstance(state, Mapping)] if isinstance(states, list) else []
    state = ranks[0] if ranks else {}
    output = 0 if route != "/generate" else settings.get("output_tokens", WARM_OUTPUT)
    page = _number(state.get("page_size")) or 1
    pool = _number(info.get("max_total_num_tokens"))
    longest = _number(info.get("max_req_input_len")) or _number(info.get("context_length"))
    prompt = settings.get("prompt_tokens") or _number(state.get("chunked_prefill_size")) or WARM_PROMPT
    if longest:
        prompt = min(prompt, longest - output - 1)
    if pool:
        prompt = min(prompt, int(pool * POOL_SHARE) - output - page)
    prompt = max(prompt, 1)
    short = min(SHORT_PROMPT, prompt)
    batch = settings.get("batch") or (_number(state.get("effective_max_running_requests_per_dp")) or 1) * len(ranks)
    if pool:
        each = -(-(short + output) // page) * page + page
        batch = min(batch, int(pool * POOL_SHARE) // each * max(len(ranks), 1))
    batch = max(batch, 1)
    prompts = [[_tokens(prompt, 0)], [_tokens(short, number) for number in range(1, batch + 1)]]
    requests = tuple((route, _body(route, served_name, some, output), len(some)) for some in prompts)
    return WarmUp(requests=requests, prompt_tokens=prompt, batch=batch)


def answers_in(found: Any) -> int:
    """How many answers there are in the JSON that a request of the warm-up was answered."""
    if isinstance(found, Mapping) and isinstance(found.get("data"), list):
        found = found["data"]
    return len(found) if isinstance(found, list) else 1


def _body(route: str, served_name: str, prompts: list[list[int]], output: int) -> dict[str, Any]:
    """One request for several prompts, which are given as tokens so that their length is known."""
    if route == "/generate":
        sampling = {"max_new_tokens": output, "temperature": 0, "ignore_eos": True}
        return {"input_ids": prompts, "sampling_params": sampling}
    return {"model": served_name, "input" if route == ROUTES[EMBEDDINGS] else "input_ids": prompts}


def _tokens(count: int, number: int) -> list[int]:
    """A prompt that begins as no other does, so that nothing of it is in the cache."""
    first = [WARM_TOKENS[number // len(WARM_TOKENS) ** power % len(WARM_TOKENS)] for power in range(2)]
    return [*first, *(WARM_TOKENS[(number + place) % len(WARM_TOKENS)] for place in range(2, count))][:count]


def _number(value: Any) -> int | None:
    """The value if it is a positive integer, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
