"""Rules about the KV cache's data type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.families import GLM_DSA
from glmdeploy.findings import Severity
from glmdeploy.rules.base import Rule, Scope, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.subject import Subject

_ISSUES = "https://github.com/sgl-project/sglang/issues/"
_KV = "kv_cache_dtype"


def _is_fp8(value: object) -> bool:
    return isinstance(value, str) and value.startswith("fp8")


def _fp8_with_eagle(subject: Subject) -> Iterator[Violation]:
    kv = subject.settings.get(_KV)
    if kv and _is_fp8(kv.value) and subject.speculates:
        yield Violation(
            path=subject.path(_KV),
            message=f"the KV cache is {kv.value} and speculative decoding is "
            f"{subject.value('speculative_algorithm')}: SGLang's FP8 KV cache and EAGLE do not go together",
            edits=subject.put(_KV, "bfloat16"),
        )


def _implicit_fp8(subject: Subject) -> Iterator[Violation]:
    kv = subject.settings.get(_KV)
    if (kv is None or kv.value == "auto") and _is_fp8(subject.value(_KV)):
        how = "`kv-cache-dtype: auto`" if kv else "`kv-cache-dtype` is left out, and then"
        verb = "makes" if kv else "SGLang makes"
        pair = ", which together with EAGLE is known to fail" if subject.speculates else ""
        yield Violation(
            path=subject.path(_KV),
            key=kv is None,
            message=f"{how} {verb} the KV cache {subject.value(_KV)} on {subject.gpu.type}{pair}",
            edits=subject.put(_KV, "bfloat16"),
        )


def _fp8_slower(subject: Subject) -> Iterator[Violation]:
    kv = subject.settings.get(_KV)
    if kv and _is_fp8(kv.value):
        yield Violation(
            path=subject.path(_KV),
            message=f"a KV cache of {kv.value} was reported slower than BF16 for GLM: quantising costs more",
        )


FP8_WITH_EAGLE = Rule(
    id="GLM001",
    title="FP8 KV cache together with EAGLE",
    severity=Severity.ERROR,
    why="With EAGLE the verify step runs several query tokens per sequence, and SGLang's attention kernels for an FP8 "
    "KV cache were reported to stop the server at CUDA graph capture (#22359, GLM-5.1-FP8 on eight H200, probably "
    "mended in 0.5.11 by #22372). Reports of accuracy loss with an FP8 KV cache (#22671) and of hangs in EAGLE's "
    "verification (#26399) leave newer releases on Blackwell unsettled. The pair did answer on one H100 with 0.5.11; "
    "a deployment that has measured it can waive this rule.",
    fix="write `kv-cache-dtype: bfloat16` under `sglang.args`, or remove the `speculative-*` options",
    sources=(f"{_ISSUES}22359", f"{_ISSUES}22671", f"{_ISSUES}26399"),
    check=_fp8_with_eagle,
    fails=(example("sglang.args.kv-cache-dtype=fp8_e4m3"),),
    passes=(example(), example("sglang.args.kv-cache-dtype=fp8_e4m3", profile="b200-nospec-bf16kv")),
)

IMPLICIT_FP8 = Rule(
    id="GLM002",
    title="KV cache dtype left to SGLang, which picks FP8",
    severity=Severity.ERROR,
    why="For models with DeepSeek's sparse attention SGLang decides an `auto` KV cache from the GPU: FP8 on Blackwell, "
    "BF16 on Hopper (the same in all releases from 0.5.10 to 0.5.23, read from the real argument resolution). Who "
    "leaves the option out to get BF16 gets FP8 on a B200.",
    fix="write `kv-cache-dtype: bfloat16` (or `fp8_e4m3`, if that is what you want) under `sglang.args`",
    sources=(f"{_ISSUES}22359", f"{_ISSUES}21291", "sglang/srt/server_args.py"),
    check=_implicit_fp8,
    fails=(example("sglang.args.kv-cache-dtype=null"), example("sglang.args.kv-cache-dtype=auto")),
    passes=(example(), example("sglang.args.kv-cache-dtype=null", profile="h200-eagle-bf16kv")),
    scope=Scope(architectures=(GLM_DSA,)),
)

FP8_SLOWER = Rule(
    id="GLM004",
    title="FP8 KV cache slower than BF16",
    severity=Severity.WARNING,
    why="The performance tracker of GLM on Blackwell (#17526) lists the overhead of quantising the KV cache; for the "
    "first users' traffic BF16 was faster. FP8 does hold about 1.6 times the tokens (1,284 against 788 bytes per "
    "token and layer, measured with 0.5.11), so it can still win where the cache is the limit: measure, then waive.",
    fix="write `kv-cache-dtype: bfloat16`, or waive the rule with what you measured",
    sources=(f"{_ISSUES}17526",),
    check=_fp8_slower,
    fails=(example("sglang.args.kv-cache-dtype=fp8_e4m3", profile="b200-nospec-bf16kv"),),
    passes=(example(),),
    scope=Scope(architectures=(GLM_DSA,)),
)

RULES = (FP8_WITH_EAGLE, IMPLICIT_FP8, FP8_SLOWER)
