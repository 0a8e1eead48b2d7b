"""Rules about numbers that SGLang's parser takes and its engine does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.families import GLM_DSA
from glmdeploy.findings import Severity
from glmdeploy.rules.rule import AIR, AT_0_5_23, Rule, Violation, example
from glmdeploy.sglang.catalog import version_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

_CHUNK, _PAGE, _REQUESTS, _POOL = "chunked_prefill_size", "page_size", "max_running_requests", "max_total_tokens"
_DENSE = "moe_dense_tp_size"

_SPARSE_PAGE = 64
"""Tokens of a page with sparse attention, also where other options hide what SGLang decides (0.5.10 to 0.5.23)."""

_LEAST = {"schedule_conservativeness": 0, "tokenizer_worker_num": 1, "context_length": 2}
"""What ``check_server_args`` and, for the context, the engine's worker assert at least."""


def _numbers(facts: Facts) -> Iterator[Violation]:
    for dest, message in (
        *((dest, _too_low(facts, dest, least)) for dest, least in _LEAST.items()),
        (_CHUNK, _uneven_chunk(facts)),
        (_REQUESTS, _no_request(facts)),
        (_POOL, _no_page(facts)),
        ("swa_full_tokens_ratio", _no_ratio(facts)),
        (_DENSE, _dense(facts)),
    ):
        if message and facts.setting(dest):
            yield Violation(path=facts.path(dest), message=f"`{facts.path(dest)[-1]}` is {message}")


def _too_low(facts: Facts, dest: str, least: float) -> str | None:
    value = facts.value(dest)
    return f"{value:g}, and {least} is the least" if isinstance(value, int | float) and value < least else None


def _uneven_chunk(facts: Facts) -> str | None:
    chunk, page, groups = facts.number(_CHUNK), facts.number(_PAGE), facts.attention_groups
    if page is None and groups == 1 and facts.architecture == GLM_DSA:
        page = _SPARSE_PAGE
    if chunk is None or chunk < 1 or not page or chunk % page == 0:
        return None
    in_group = f" in each of {groups} attention groups" if groups > 1 else ""
    return f"{chunk:,}{in_group}, which is not made of pages of {page} tokens"


def _no_request(facts: Facts) -> str | None:
    requests, groups = facts.number(_REQUESTS), facts.attention_groups
    # From 0.5.23 on each group runs one request at least.
    if requests is None or requests >= groups or version_key(facts.catalog.version) >= version_key("0.5.23"):
        return None
    return f"{requests}, which leaves none to each of {groups} attention groups" if groups > 1 else f"{requests}"


def _no_page(facts: Facts) -> str | None:
    pool, page = facts.number(_POOL), facts.number(_PAGE) or 1
    return f"{pool}, less than two tokens or a page of {page}" if pool is not None and pool < max(page, 2) else None


def _no_ratio(facts: Facts) -> str | None:
    ratio = facts.value("swa_full_tokens_ratio")
    return f"{ratio:g}, and no share between 0 and 1" if isinstance(ratio, float) and not 0 < ratio <= 1 else None


def _dense(facts: Facts) -> str | None:
    size, tp = facts.number(_DENSE), facts.number("tp_size")
    allowed = {1, *((tp,) if version_key("0.5.13.post1") <= version_key(facts.catalog.version) else ())}
    return (
        f"{size}, and may only be {' or '.join(map(str, sorted(allowed - {None})))}"
        if size not in {None, *allowed}
        else None
    )


NUMBERS = Rule(
    id="GLM032",
    title="number that SGLang cannot work with",
    severity=Severity.ERROR,
    why="SGLang's parser checks that a number is one. What it may be is asserted later: a prefill chunk must be made "
    "of whole pages (64 tokens with sparse attention), also after data-parallel attention has divided it; at least one "
    "request must run in each attention group (until 0.5.22); the KV pool must hold a page. Some of this is found when "
    "the options are resolved (tried on SGLang's own), some only after the weights have been loaded.",
    fix="write a number within the bound that the message names, or leave the option out",
    sources=(
        "sglang/srt/server_args.py, check_server_args (0.5.10, 0.5.16)",
        "sglang/srt/arg_groups/validation_hook.py, check_server_args (0.5.23)",
        "sglang/srt/managers/tp_worker.py (0.5.10, 0.5.23)",
        "sglang/srt/mem_cache/kv_cache_configurator.py, resolve_max_num_reqs (0.5.22, 0.5.23)",
    ),
    check=_numbers,
    fails=(
        example("sglang.args.chunked-prefill-size=1000"),
        example("sglang.args.chunked-prefill-size=1000", "sglang.args.moe-a2a-backend=deepep"),
        example(
            *("sglang.args.dp=8", "sglang.args.enable-dp-attention=true", "sglang.args.chunked-prefill-size=4032"),
        ),
        example("sglang.args.chunked-prefill-size=1000", "sglang.args.page-size=16", profile=AIR),
        example("sglang.args.max-running-requests=0"),
        example("sglang.args.dp=8", "sglang.args.enable-dp-attention=true", "sglang.args.max-running-requests=4"),
        example("sglang.args.max-total-tokens=1", profile=AIR),
        example("sglang.args.context-length=0"),
        example("sglang.args.schedule-conservativeness=-1"),
        example("sglang.args.tokenizer-worker-num=0"),
        example("sglang.args.swa-full-tokens-ratio=1.5"),
        example("sglang.args.moe-dense-tp-size=8"),
        example("sglang.args.moe-dense-tp-size=4", profile=AT_0_5_23),
    ),
    passes=(
        example("sglang.args.chunked-prefill-size=-1"),
        example("sglang.args.chunked-prefill-size=1024"),
        example("sglang.args.chunked-prefill-size=1000", profile=AIR),
        example("sglang.args.max-running-requests=1"),
        example("sglang.args.max-total-tokens=64"),
        example("sglang.args.attn-dp-size=8", "sglang.args.max-running-requests=4", profile=AT_0_5_23),
        example("sglang.args.moe-dense-tp-size=1"),
        example("sglang.args.moe-dense-tp-size=8", profile=AT_0_5_23),
        example("sglang.args.schedule-conservativeness=0.3"),
    ),
)

RULES = (NUMBERS,)
