"""Rules about the KV cache: its data type, and its size for EAGLE."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from glmdeploy.families import GLM_DSA
from glmdeploy.findings import Severity
from glmdeploy.rules.rule import ISSUES, Rule, Scope, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

_OVERRIDES = "sglang/srt/arg_groups/overrides.py (0.5.15.post1 to 0.5.23)"
_KV = "kv_cache_dtype"

FULL = 0.92
"""How full the KV pool was when EAGLE's verification hung (#26399)."""


def _is_fp8(value: object) -> bool:
    return isinstance(value, str) and value.startswith("fp8")


def _fp8_with_eagle(facts: Facts) -> Iterator[Violation]:
    kv = facts.settings.get(_KV)
    if kv and _is_fp8(kv.value) and facts.speculates:
        yield Violation(
            path=facts.path(_KV),
            message=f"the KV cache is {kv.value} and speculative decoding is "
            f"{facts.value('speculative_algorithm')}, a pair that was reported to fail for GLM-5",
            edits=facts.put(_KV, "bfloat16"),
        )


def _implicit_fp8(facts: Facts) -> Iterator[Violation]:
    kv = facts.settings.get(_KV)
    if (kv is None or kv.value == "auto") and _is_fp8(facts.value(_KV)):
        how = "`kv-cache-dtype: auto`" if kv else "`kv-cache-dtype` is left out, and then"
        verb = "makes" if kv else "SGLang makes"
        pair = ", which was reported to fail together with EAGLE" if facts.speculates else ""
        yield Violation(
            path=facts.path(_KV),
            key=kv is None,
            message=f"{how} {verb} the KV cache {facts.value(_KV)} on {facts.gpu.type}{pair}",
            edits=facts.put(_KV, "bfloat16"),
        )


def _fp8_slower(facts: Facts) -> Iterator[Violation]:
    kv = facts.settings.get(_KV)
    if kv and _is_fp8(kv.value):
        yield Violation(
            path=facts.path(_KV),
            message=f"a KV cache of {kv.value} was reported slower than BF16 for GLM, because it has to be quantised",
        )


def _nearly_full(facts: Facts) -> Iterator[Violation]:
    pool, running = facts.number("max_total_tokens"), facts.number("max_running_requests")
    chunk = facts.number("chunked_prefill_size")
    # With data parallelism each group has a pool and a share of the requests.
    alone = facts.number("dp_size") == 1 and facts.attention_groups == 1
    if not (facts.speculates and pool and running and chunk and alone):
        return
    if pool // running < chunk:
        yield Violation(
            path=facts.path("max_total_tokens"),
            message=f"the KV pool of {pool:,} tokens is {FULL:.0%} full when {running} requests hold "
            f"{int(FULL * pool / running):,} tokens each, or after {ceil(FULL * pool / chunk)} prefill chunks of "
            f"{chunk:,}",
        )


FP8_WITH_EAGLE = Rule(
    id="GLM001",
    title="FP8 KV cache together with EAGLE",
    severity=Severity.ERROR,
    why="The pair is known for three troubles. GLM-5.1-FP8 on eight H200 stopped at CUDA graph capture (#22359, "
    "probably mended in 0.5.11 by #22372, which shows the pair completing GSM8K on Hopper; the first users' page "
    "places it on Blackwell). On B300 the model lost accuracy with an FP8 KV cache (#22671, without EAGLE), and "
    "EAGLE's verification hung in a nearly full KV pool (#26399); both were closed without a fix that is named, which "
    "leaves Blackwell unsettled. The pair did answer on one H100 with 0.5.11 (measured, random weights), and a "
    "published benchmark ran it on B200 and B300. Who has measured it on the own traffic can waive this rule.",
    fix="write `kv-cache-dtype: bfloat16` under `sglang.args`, or remove the `speculative-*` options",
    sources=(
        f"{ISSUES}22359",
        "https://github.com/sgl-project/sglang/pull/22372",
        f"{ISSUES}22671",
        f"{ISSUES}26399",
    ),
    check=_fp8_with_eagle,
    fails=(
        example("sglang.args.kv-cache-dtype=fp8_e4m3"),
        example("sglang.args.kv-cache-dtype=fp8_e4m3", "sglang.args.speculative-algorithm=NEXTN"),
        example("sglang.args.kv-cache-dtype=fp8_e4m3", profile="h200-eagle-bf16kv"),
    ),
    passes=(
        example(),
        example("sglang.args.kv-cache-dtype=fp8_e4m3", profile="b200-nospec-bf16kv"),
        example("sglang.args.kv-cache-dtype=fp8_e4m3", profile="h100-glm45-air-fp8"),
    ),
    scope=Scope(architectures=(GLM_DSA,)),
)

IMPLICIT_FP8 = Rule(
    id="GLM002",
    title="KV cache dtype left to SGLang, which picks FP8",
    severity=Severity.ERROR,
    why="For models with DeepSeek's sparse attention SGLang decides an `auto` KV cache from the GPU: FP8 on Blackwell, "
    "BF16 on Hopper (the same in all releases from 0.5.10 to 0.5.23, read from the real argument resolution). Who "
    "leaves the option out to get BF16, as the first users' page does, gets FP8 on a B200, with EAGLE the pair of "
    "GLM001. SGLang's cookbook left the option out of its B200 command because the checkpoint has no calibrated "
    "scales, which has the same effect. FP8 may be what is wanted; then it should be said.",
    fix="write `kv-cache-dtype: bfloat16` (or `fp8_e4m3`, if that is what you want) under `sglang.args`",
    sources=(f"{ISSUES}22359", f"{ISSUES}21291", "sglang/srt/server_args.py (0.5.10 to 0.5.14)", _OVERRIDES),
    check=_implicit_fp8,
    fails=(
        example("sglang.args.kv-cache-dtype=null"),
        example("sglang.args.kv-cache-dtype=auto"),
        example("sglang.args.kv-cache-dtype=null", profile="b200-nospec-bf16kv"),
        example("sglang.args.kv-cache-dtype=null", profile="b200-eagle-bf16kv-0.5.23"),
    ),
    passes=(
        example(),
        example("sglang.args.kv-cache-dtype=null", profile="h200-eagle-bf16kv"),
        example("sglang.args.kv-cache-dtype=fp8_e4m3", profile="b200-nospec-bf16kv"),
    ),
    scope=Scope(architectures=(GLM_DSA,)),
)

FP8_SLOWER = Rule(
    id="GLM004",
    title="FP8 KV cache slower than BF16",
    severity=Severity.WARNING,
    why="For the first users' traffic BF16 was faster, because FP8 has to be quantised first. The issue that they "
    "name, #17526, is a tracker of GLM-4.5 to 4.7 on Blackwell, which expects about 3 % from a faster kernel for that "
    "step. For another model, GLM-5.3-Flash on GB300, SGLang's cookbook measured FP8 2 to 5 % faster (#36519). And "
    "FP8 holds about 1.6 times the tokens (788 against 1,284 bytes per token and layer, measured with 0.5.11), so it "
    "can win where the cache is the limit: measure, then waive.",
    fix="write `kv-cache-dtype: bfloat16`, or waive the rule with what you measured",
    sources=(f"{ISSUES}17526", "https://github.com/sgl-project/sglang/pull/36519"),
    check=_fp8_slower,
    fails=(
        example("sglang.args.kv-cache-dtype=fp8_e4m3", profile="b200-nospec-bf16kv"),
        example("sglang.args.kv-cache-dtype=fp8_e4m3", "gpu=B200+:8", profile="b200-nospec-bf16kv"),
    ),
    passes=(
        example(),
        example("sglang.args.kv-cache-dtype=bf16", profile="b200-nospec-bf16kv"),
        example("sglang.args.kv-cache-dtype=fp8_e4m3", profile="h100-glm45-air-fp8"),
    ),
    scope=Scope(architectures=(GLM_DSA,)),
)

NEARLY_FULL = Rule(
    id="GLM014",
    title="KV pool so small that EAGLE will often meet it nearly full",
    severity=Severity.WARNING,
    why="GLM-5.1 with tensor parallelism 8 hung in EAGLE's verification when its KV pool was about 92 % full, until "
    "the watchdog ended the server (#26399; closed as inactive, no fix named, a second report is of another model with "
    "0.5.10). `max-total-tokens` is the size of the whole pool. This rule speaks when the share of one running request "
    "is less than one prefill chunk, so that a few prompts are enough to fill it. Whether the hang needs more than a "
    "full pool is not known.",
    fix="remove `max-total-tokens`, so that the pool takes what the memory holds, or lower `max-running-requests`",
    sources=(f"{ISSUES}26399",),
    check=_nearly_full,
    fails=(
        example(),
        example("sglang.args.max-total-tokens=786431"),
        example(profile="h200-eagle-bf16kv"),
    ),
    passes=(
        example("sglang.args.max-total-tokens=786432"),
        example("sglang.args.max-total-tokens=null"),
        example("sglang.args.max-running-requests=4"),
        example(profile="b200-nospec-bf16kv"),
        example(profile="b200-longcontext-bf16kv"),
    ),
    scope=Scope(architectures=(GLM_DSA,)),
)

RULES = (FP8_WITH_EAGLE, IMPLICIT_FP8, FP8_SLOWER, NEARLY_FULL)
