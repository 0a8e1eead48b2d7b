"""Rules about sparse attention (DSA; ``nsa`` in the options until 0.5.12): backends that cannot do what is asked.

One backend prefills and one decodes; the latter also verifies what EAGLE drafts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.gpus import BLACKWELL, HOPPER
from glmdeploy.rules.facts import SPARSE
from glmdeploy.rules.rule import AT_0_5_10, ISSUES, PULLS, Rule, Scope, Topic, Violation, example
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.models import GLM_DSA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

_BACKEND = "sglang/srt/layers/attention"
_KV = "kv_cache_dtype"
_PREFILL, _DECODE = PHASES = ("dsa_prefill_backend", "dsa_decode_backend")

FLASHMLA_HEADS = (64, 128)
"""Numbers of query heads on one GPU for which FlashMLA decodes (#22372)."""

_NO_EAGLE = (
    *("sglang.args.speculative-algorithm=null", "sglang.args.speculative-num-steps=null"),
    *("sglang.args.speculative-eagle-topk=null", "sglang.args.speculative-num-draft-tokens=null"),
)


def _too_few_heads(facts: Facts) -> Iterator[Violation]:
    tp = facts.number("tp_size")
    if "flashmla_kv" not in {facts.value(phase) for phase in PHASES} or not (facts.model and tp):
        return
    heads = facts.model.heads * facts.attention_groups // tp
    if heads in FLASHMLA_HEADS:
        return
    asked = next((phase for phase in PHASES if _asks(facts, phase, "flashmla_kv")), _KV)
    yield Violation(
        path=facts.path(asked),
        key=facts.setting(asked) is None,
        message=f"flashmla_kv reads the {facts.value(_KV)} KV cache for 64 or 128 query heads, and `tp` {tp} leaves "
        f"{heads} to each GPU",
    )


def _asks(facts: Facts, option: str, value: str) -> bool:
    setting = facts.setting(option)
    return setting is not None and setting.value == value


def _cannot_serve(facts: Facts) -> Iterator[Violation]:
    if found := _obstacle(facts):
        phase, message = found
        asked = next((name for name in (phase, *PHASES) if facts.setting(name)), _KV)
        yield Violation(
            path=facts.path(asked),
            key=facts.setting(asked) is None,
            message=message,
            edits=facts.drop(*PHASES),
        )


def _obstacle(facts: Facts) -> tuple[str, str] | None:
    """The phase that fails, and why: what cannot decode, what cannot read the cache, or two that cannot share it."""
    prefill, decode = facts.value(_PREFILL), facts.value(_DECODE)
    if decode in ("flashmla_auto", "flashmla_sparse_q8"):
        return _DECODE, f"`{decode}` prefills only, and would have to decode"
    if facts.value(_KV) != "fp8_e4m3":
        return None
    only_bf16 = {"fa3"} if _reads_fp8_with_tilelang(facts) else {"fa3", "tilelang"}
    if decode in only_bf16 | {"flashmla_sparse"}:
        return _DECODE, f"`{decode}` cannot decode from a KV cache in FP8"
    if prefill in only_bf16:
        return _PREFILL, f"`{prefill}` cannot read a KV cache in FP8"
    if None not in (prefill, decode) and (prefill == "trtllm") != (decode == "trtllm"):
        return _PREFILL, f"`{prefill}` for prefill and `{decode}` for decode lay a KV cache in FP8 out differently"
    return None


def _reads_fp8_with_tilelang(facts: Facts) -> bool:
    release = version_key(facts.catalog.version)
    return facts.value(_PREFILL) == facts.value(_DECODE) and version_key("0.5.22") <= release


def _overridden(facts: Facts) -> Iterator[Violation]:
    for phase in PHASES:
        setting, runs = facts.setting(phase), facts.value(phase)
        if setting and facts.value(_KV) == "fp8_e4m3" and isinstance(runs, str) and setting.value != runs:
            yield Violation(
                path=facts.path(phase),
                message=f"`{setting.key}: {setting.value}` is ignored: with a KV cache in FP8 SGLang "
                f"{facts.catalog.version} runs {runs}",
                edits=facts.put(phase, runs),
            )


TOO_FEW_HEADS = Rule(
    id="GLM005",
    title="too few query heads on a GPU for FlashMLA",
    severity=Severity.ERROR,
    topic=Topic.KNOWN_ISSUE,
    why="FlashMLA decodes for 64 or 128 query heads on a GPU, and tensor parallelism on eight leaves eight of GLM-5's "
    "64. GLM-5.1-FP8 on eight H200 stopped at CUDA graph capture in flash_mla_with_kvcache (#22359), which an FP8 KV "
    "cache selects on Hopper, with EAGLE or without. #22372, first in 0.5.11, pads the heads, and shows the model on "
    "eight GPUs with an FP8 KV cache and EAGLE completing GSM8K; that it mends #22359 is inferred. The first users' "
    "page speaks of `Unsupported h_q` on Blackwell, where these releases take trtllm for FP8 whatever is asked for.",
    fix="use 0.5.11 or later, write `kv-cache-dtype: bfloat16`, or give each data-parallel group its whole attention "
    "with `enable-dp-attention`",
    sources=(f"{ISSUES}22359", f"{PULLS}22372", f"{_BACKEND}/nsa_backend.py (0.5.10.post1, 0.5.11)"),
    check=_too_few_heads,
    fails=(
        example(*AT_0_5_10, *_NO_EAGLE, "sglang.args.kv-cache-dtype=fp8_e4m3", profile="h200-eagle-bf16kv"),
        example(*AT_0_5_10, "sglang.args.nsa-decode-backend=flashmla_kv", profile="h200-eagle-bf16kv"),
    ),
    passes=(
        example(*AT_0_5_10, profile="h200-eagle-bf16kv"),
        example(*_NO_EAGLE, "sglang.args.kv-cache-dtype=fp8_e4m3", profile="h200-eagle-bf16kv"),
        example(
            *AT_0_5_10,
            *_NO_EAGLE,
            "sglang.args.kv-cache-dtype=fp8_e4m3",
            "sglang.args.dp=8",
            "sglang.args.enable-dp-attention=true",
            profile="h200-eagle-bf16kv",
        ),
    ),
    scope=Scope(gpu_majors=(HOPPER,), architectures=(GLM_DSA,), since="0.5.10", until="0.5.10.post1"),
)

CANNOT_SERVE = Rule(
    id="GLM007",
    title="sparse-attention backend that cannot decode or read the KV cache",
    severity=Severity.ERROR,
    topic=Topic.KNOWN_ISSUE,
    why="SGLang lists the same backends for prefill and decode and accepts combinations that fail at the first step. "
    "flashmla_auto chooses for prefill only: as a decode backend it started and stopped at the first token (#31344; "
    "read in all releases). An FP8 KV cache is packed for flashmla_kv and raw for trtllm, so that one cannot read what "
    "the other wrote; flashmla_sparse unpacks it for prefill but not for decode (seen to crash on Blackwell, "
    "radixark/miles 1477), fa3 never does, and tilelang was seen to fail on H100 until 0.5.16 (#31346), is refused "
    "until 0.5.21, and then wants both phases. fa3 and the mixture of layouts were read in the sources, not tried.",
    fix="leave both backends out, and SGLang takes a pair that fits the GPU and the KV cache",
    sources=(
        f"{PULLS}31344",
        f"{PULLS}31346",
        f"{PULLS}21011",
        "https://github.com/radixark/miles/pull/1477",
        f"{_BACKEND}/nsa_backend.py (0.5.11)",
        f"{_BACKEND}/dsa_backend.py (0.5.16, 0.5.23)",
        "sglang/srt/model_executor/model_runner_kv_cache_mixin.py (0.5.11)",
        "sglang/srt/arg_groups/overrides.py (0.5.17 to 0.5.23)",
    ),
    check=_cannot_serve,
    fails=(
        example("sglang.args.nsa-decode-backend=flashmla_auto"),
        example("sglang.args.dsa-decode-backend=flashmla_auto", profile="b200-eagle-bf16kv-0.5.23"),
        example(
            "sglang.args.kv-cache-dtype=fp8_e4m3",
            "sglang.args.nsa-prefill-backend=flashmla_kv",
            profile="b200-nospec-bf16kv",
        ),
        example(
            "sglang.args.kv-cache-dtype=fp8_e4m3",
            "sglang.args.nsa-prefill-backend=flashmla_sparse",
            "sglang.args.nsa-decode-backend=flashmla_sparse",
            profile="b200-nospec-bf16kv",
        ),
        example(
            *_NO_EAGLE,
            "sglang.args.kv-cache-dtype=fp8_e4m3",
            "sglang.args.nsa-decode-backend=fa3",
            profile="h200-eagle-bf16kv",
        ),
        example(
            *_NO_EAGLE,
            "sglang.args.kv-cache-dtype=fp8_e4m3",
            "sglang.args.nsa-prefill-backend=fa3",
            profile="h200-eagle-bf16kv",
        ),
        example(
            *_NO_EAGLE,
            "sglang.args.kv-cache-dtype=fp8_e4m3",
            "sglang.args.nsa-prefill-backend=tilelang",
            "sglang.args.nsa-decode-backend=tilelang",
            profile="h200-eagle-bf16kv",
        ),
    ),
    passes=(
        example(),
        example("sglang.args.nsa-prefill-backend=flashmla_auto"),
        example("sglang.args.nsa-prefill-backend=flashmla_sparse"),
        example("sglang.args.kv-cache-dtype=fp8_e4m3", profile="b200-nospec-bf16kv"),
        example(
            "sglang.args.kv-cache-dtype=fp8_e4m3",
            "sglang.args.nsa-prefill-backend=flashmla_sparse",
            "sglang.args.nsa-decode-backend=flashmla_kv",
            profile="b200-nospec-bf16kv",
        ),
        example(
            *_NO_EAGLE,
            "sglang.args.kv-cache-dtype=fp8_e4m3",
            "sglang.args.dsa-prefill-backend=tilelang",
            "sglang.args.dsa-decode-backend=tilelang",
            profile="b200-eagle-bf16kv-0.5.23",
        ),
    ),
    scope=Scope(architectures=SPARSE),
)

OVERRIDDEN = Rule(
    id="GLM100",
    title="sparse-attention backends that SGLang 0.5.10 overrides",
    severity=Severity.WARNING,
    topic=Topic.KNOWN_ISSUE,
    why="On Blackwell with an FP8 KV cache 0.5.10 and its post release run trtllm for prefill and decode, whatever the "
    "profile says, and tell so in one line of the log (the real argument resolution, on a simulated GPU). From 0.5.11 "
    "on the choice is honoured: a profile that ran well by this accident runs something else after an upgrade.",
    fix="write `trtllm`, or use 0.5.11 or later",
    sources=("sglang/srt/server_args.py (0.5.10.post1, 0.5.11)",),
    check=_overridden,
    fails=(
        example(
            *AT_0_5_10,
            "sglang.args.kv-cache-dtype=fp8_e4m3",
            "sglang.args.nsa-decode-backend=flashmla_kv",
            profile="b200-nospec-bf16kv",
        ),
    ),
    passes=(
        example(*AT_0_5_10, "sglang.args.kv-cache-dtype=fp8_e4m3", profile="b200-nospec-bf16kv"),
        example(*AT_0_5_10, "sglang.args.nsa-prefill-backend=flashmla_sparse", profile="b200-nospec-bf16kv"),
    ),
    scope=Scope(gpu_majors=(BLACKWELL,), architectures=SPARSE, since="0.5.10", until="0.5.10.post1"),
)

RULES = (TOO_FEW_HEADS, CANNOT_SERVE, OVERRIDDEN)
