"""Rules about the memory of a GPU: weights, KV pool, and what must stay free beside them.

The figures are estimates (:mod:`glmdeploy.sizing.memory`): weights agree with published logs of SGLang to within 1 %,
what CUDA and NCCL take before them differs by up to 2 GiB between machines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.rules.rule import AT_0_5_23, Look, Rule, Scope, Topic, Violation, example
from glmdeploy.sizing.enough import among, enough, weights_fit
from glmdeploy.sizing.memory import GIB, MIB, loaded, memory
from glmdeploy.sizing.pool import FP8

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from glmdeploy.rules.facts import Facts
    from glmdeploy.sizing.model import Model

_FRACTION, _CAP, _CONTEXT = "mem_fraction_static", "max_total_tokens", "context_length"
_CONFIGURATOR = "sglang/srt/model_executor/pool_configurator.py (0.5.11)"
_PROFILE = "sglang/srt/model_executor/model_runner_kv_cache_mixin.py (0.5.10, 0.5.11)"
_LATER = "sglang/srt/mem_cache/kv_cache_configurator.py (0.5.23)"
_TOO_LITTLE = "https://github.com/SemiAnalysisAI/InferenceX/issues/2128"

_SPECULATION = ("algorithm", "num-steps", "eagle-topk", "num-draft-tokens")
_LEFT_OUT = ("mem-fraction-static", *(f"speculative-{name}" for name in _SPECULATION))
_LLAMA = "model.repo=meta-llama/Llama-3.1-70B-Instruct"
_ALONE = ("sglang.args.tp=1", *(f"sglang.args.{name}=null" for name in _LEFT_OUT))

_LOOK = Look(date="2026-11-29", release="0.5.23")


def _fraction(facts: Facts) -> float | None:
    value = facts.value(_FRACTION)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _impossible_fraction(facts: Facts) -> Iterator[Violation]:
    fraction = _fraction(facts)
    if fraction is not None and not 0 < fraction < 1:
        yield Violation(
            path=facts.path(_FRACTION),
            message=f"`mem-fraction-static` is {fraction:g}, and must be a share of the memory between 0 and 1",
        )


def _does_not_fit(facts: Facts) -> Iterator[Violation]:
    sized, fraction = facts.memory, _fraction(facts)
    if sized is None:
        yield from _weights_alone(facts)
        return
    if fraction is None or sized.pool.tokens or not _all_used(facts):
        return
    advice = _advice(facts, "it", lambda tensor: _fits(facts, tensor))
    yield Violation(
        path=("gpu",),
        message=f"the weights take about {_gib(sized.weights)} GiB of each {facts.gpu.type}, and "
        f"`mem-fraction-static` {fraction:g} leaves {_gib(sized.static)} GiB for them and the KV pool{advice}",
    )


def _weights_alone(facts: Facts) -> Iterator[Violation]:
    """Where something of the memory is not known: weights that are more than all of it do not fit in any case."""
    model, memory_mib = facts.model, facts.gpu.memory_mib
    if model is None or memory_mib is None or not _stored_as_loaded(facts, model) or not _all_used(facts):
        return
    taken, there = loaded(model, facts.value), memory_mib * MIB
    if taken < there:
        return
    advice = _advice(facts, "them", weights_fit(facts.gpu.type, model, facts.value))
    yield Violation(
        path=("gpu",),
        message=f"the weights take about {_gib(taken)} GiB of each {facts.gpu.type}, which has "
        f"{_gib(there)} GiB{advice}",
    )


def _stored_as_loaded(facts: Facts, model: Model) -> bool:
    """Whether a GPU holds its part of the weights as the checkpoint has them."""
    quantised = facts.value("quantization") not in (None, model.quantization)
    moved = facts.value("cpu_offload_gb") or facts.value("kt_weight_path")
    elsewhere = facts.value("device") not in (None, "cuda") or moved
    changed = facts.value("json_model_override_args") not in (None, "", "{}", {})
    return not (quantised or elsewhere or changed)


def _all_used(facts: Facts) -> bool:
    """Whether the model is divided among all GPUs; if not, GLM020 has its say first."""
    ranks = (facts.number("tp_size") or 1) * (facts.number("pp_size") or 1)
    return facts.gpu_count % ranks == 0 and (ranks == facts.gpu_count or (facts.number("dp_size") or 1) > 1)


def _advice(facts: Facts, what: str, fits: Callable[[int], bool]) -> str:
    """How many GPUs would be enough, in words; nothing where no number that Modal rents is."""
    found = facts.model and enough(facts.gpu.type, facts.model, facts.value, fits, beyond=facts.nodes)
    if not found:
        return ""
    return f"; {found.gpus} GPUs would hold {what}" + (f": {found}" if found.nodes > 1 else "")


def _fits(facts: Facts, tensor: int) -> bool:
    value, model = among(facts.value, tensor), facts.model
    sized = memory(model, facts.gpu, value, version=facts.catalog.version) if model else None
    return sized is not None and sized.pool.tokens > 0


def _short_pool(facts: Facts) -> Iterator[Violation]:
    sized, model = facts.memory, facts.model
    if sized is None or model is None or not sized.pool.tokens:
        return
    asked = facts.number(_CONTEXT)
    context, uncapped = asked or model.context, sized.possible.get(sized.kv_dtype)
    if uncapped is None or uncapped.tokens >= context:
        return
    whose = f"`context-length` {context:,}" if asked else f"the model's whole context of {context:,}"
    yield Violation(
        path=facts.path(_CONTEXT) if asked else facts.path(_FRACTION),
        key=not asked and _FRACTION not in facts.settings,
        message=f"all the memory that is left holds {uncapped.tokens:,} tokens of KV cache, less than one request of "
        f"{whose}",
    )


def _cap_above(facts: Facts) -> Iterator[Violation]:
    sized, cap = facts.memory, facts.number(_CAP)
    if sized is None or cap is None or _CAP not in facts.settings or not sized.pool.tokens:
        return
    possible = sized.possible.get(sized.kv_dtype)
    if possible and cap > possible.tokens:
        yield Violation(
            path=facts.path(_CAP),
            message=f"`max-total-tokens` is {cap:,}, and the memory of {facts.gpu} holds about {possible.tokens:,}",
            edits=facts.drop(_CAP),
        )


def _little_left(facts: Facts) -> Iterator[Violation]:
    sized, fraction = facts.memory, _fraction(facts)
    if sized is None or fraction is None or not sized.fits or sized.left >= sized.working:
        return
    yield Violation(
        path=facts.path(_FRACTION),
        key=_FRACTION not in facts.settings,
        message=f"weights and KV pool leave {_gib(sized.left)} GiB of each {facts.gpu.type} free, and SGLang itself "
        f"would leave {_gib(sized.working)} for activations and CUDA graphs",
    )


def _overcommitted(facts: Facts) -> Iterator[Violation]:
    sized = facts.memory
    if sized is None or not sized.overcommitted:
        return
    yield Violation(
        path=facts.path(_FRACTION),
        key=_FRACTION not in facts.settings,
        message=f"weights take {_gib(sized.weights)} GiB of each {facts.gpu.type}, and SGLang {facts.catalog.version} "
        f"sizes the KV pool to {_gib(sized.pool.bytes)}: {_gib(-sized.left)} more than is there",
    )


def _uncounted_scales(facts: Facts) -> Iterator[Violation]:
    sized = facts.memory
    trtllm = "trtllm" in (facts.value("dsa_prefill_backend"), facts.value("dsa_decode_backend"))
    if sized is None or sized.kv_dtype != FP8 or trtllm or facts.speculates:
        return
    if (over := -sized.spare) > GIB // 10 and sized.pool.tokens:
        yield Violation(
            path=facts.path("kv_cache_dtype"),
            key="kv_cache_dtype" not in facts.settings,
            message=f"SGLang {facts.catalog.version} takes about {_gib(over)} GiB more of each {facts.gpu.type} "
            "than `mem-fraction-static` says: it sizes an FP8 KV pool without its scales",
        )


def _uncounted_draft(facts: Facts) -> Iterator[Violation]:
    sized = facts.memory
    if sized is None or not sized.pool.tokens or not facts.speculates or (over := -sized.spare) <= GIB:
        return
    yield Violation(
        path=facts.path(_FRACTION),
        key=_FRACTION not in facts.settings,
        message=f"SGLang {facts.catalog.version} takes about {_gib(over)} GiB more of each {facts.gpu.type} than "
        "`mem-fraction-static` says: it sizes the KV pool without the draft model",
    )


_FP8_POOL = (
    "sglang.args.kv-cache-dtype=fp8_e4m3",
    *(f"sglang.args.speculative-{name}=null" for name in ("algorithm", "num-steps", "eagle-topk", "num-draft-tokens")),
    "sglang.args.max-total-tokens=null",
)


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}"


DOES_NOT_FIT = Rule(
    id="GLM080",
    title="model that does not fit",
    severity=Severity.ERROR,
    topic=Topic.MEMORY,
    why="SGLang loads the weights and then gives the KV pool what `mem-fraction-static` leaves; when that is nothing, "
    'the start ends with "Not enough memory" after minutes of loading on rented GPUs (reported for eight H200 in '
    "InferenceX 2128, and for GLM-5.2-FP8 on eight RTX PRO 6000). The weights are counted from the model's dimensions "
    "and the way in which SGLang divides each tensor: 89.0 GiB a GPU for GLM-5.1-FP8 on eight, where logs of SGLang "
    "show 89.4 to 89.6. Weights that are more than a GPU's whole memory do not fit with any fraction. What does "
    "not fit on the GPUs of one host may fit on those of several, which a `cluster` has.",
    fix="take more or larger GPUs, with `tp` to match, or a `cluster`, or more `nodes` of one; where little is "
    "missing, raise `mem-fraction-static`",
    sources=(_CONFIGURATOR, _PROFILE, _LATER, _TOO_LITTLE),
    check=_does_not_fit,
    fails=(
        example("gpu=H100:8", profile="h200-eagle-bf16kv"),
        example("gpu=B200:4", "sglang.args.tp=4"),
        example("sglang.args.mem-fraction-static=0.5"),
        example(_LLAMA, "gpu=T4", *_ALONE, profile="h100-glm45-air-fp8"),
        example("model.repo=zai-org/GLM-5.1"),
    ),
    passes=(
        example(),
        example("gpu=B200:4", "sglang.args.tp=4", "sglang.args.mem-fraction-static=null", "model.repo=acme/other"),
        example("sglang.args.mem-fraction-static=0.56"),
        example("gpu=H100:2", "sglang.args.tp=2", profile="h100-glm45-air-fp8"),
    ),
)

SHORT_POOL = Rule(
    id="GLM081",
    title="KV pool smaller than one request",
    severity=Severity.WARNING,
    topic=Topic.MEMORY,
    why="A request must fit in the KV pool as a whole, its prompt and its answer. SGLang starts nevertheless, tells "
    "clients the whole context as its limit, and refuses the requests that are longer than the pool. The pool is "
    "estimated from the GPU's memory, the weights, and the bytes that a token takes (1,284 in BF16 and each layer, "
    "measured for GLM-5.1).",
    fix="write a `context-length` that the pool holds, raise `mem-fraction-static`, or take more GPUs",
    sources=(_CONFIGURATOR, "sglang/srt/managers/utils.py (0.5.11)"),
    check=_short_pool,
    fails=(
        example("sglang.args.mem-fraction-static=0.6"),
        example("sglang.args.mem-fraction-static=0.6", profile="b200-longcontext-bf16kv"),
    ),
    passes=(
        example(),
        example(profile="b200-longcontext-bf16kv"),
        example("sglang.args.mem-fraction-static=0.6", "sglang.args.context-length=100000"),
    ),
)

CAP_ABOVE = Rule(
    id="GLM082",
    title="max-total-tokens above what the memory holds",
    severity=Severity.WARNING,
    topic=Topic.MEMORY,
    why="`max-total-tokens` can only make the KV pool smaller. Above what the memory holds, SGLang takes what it holds "
    "and says so in a line of its log (`_apply_token_constraints`); whoever relies on the number gets less.",
    fix="remove it, or write a number that fits",
    sources=(_PROFILE, _LATER),
    check=_cap_above,
    fails=(
        example("sglang.args.max-total-tokens=1000000"),
        example("sglang.args.max-total-tokens=64Ki", "sglang.args.mem-fraction-static=0.52"),
    ),
    passes=(
        example(),
        example("sglang.args.max-total-tokens=700000"),
        example(
            "sglang.args.max-total-tokens=1000000", "sglang.args.mem-fraction-static=null", "model.repo=acme/other"
        ),
    ),
)

LITTLE_LEFT = Rule(
    id="GLM083",
    title="little memory left for activations and CUDA graphs",
    severity=Severity.WARNING,
    topic=Topic.MEMORY,
    why="What weights and KV pool do not take is for activations, CUDA graphs, and until 0.5.13.post1 also for the "
    "draft model, which those releases load after they have sized the pool. Where `mem-fraction-static` is left to "
    "it, SGLang leaves 10 GiB free at least on a GPU of more than 60 GiB, and more for long prefills. Too little shows "
    "late: at the capture of CUDA graphs, or at the first large prefill. How much a deployment needs was not measured; "
    "published commands for GLM-5 on B200 keep 0.9 and less.",
    fix="lower `mem-fraction-static`, or leave it out and let SGLang choose",
    sources=("sglang/srt/server_args.py (0.5.11)", "sglang/srt/arg_groups/memory_hook.py (0.5.23)", _CONFIGURATOR),
    check=_little_left,
    fails=(
        example("sglang.args.mem-fraction-static=0.95", "sglang.args.max-total-tokens=null"),
        example("sglang.args.mem-fraction-static=0.94", profile="b200-longcontext-bf16kv"),
    ),
    passes=(
        example(),
        example("sglang.args.mem-fraction-static=0.95"),
        example("sglang.args.mem-fraction-static=0.9", profile="b200-longcontext-bf16kv"),
        example("sglang.args.mem-fraction-static=null", profile="b200-longcontext-bf16kv"),
    ),
)

FRACTION = Rule(
    id="GLM084",
    title="mem-fraction-static that is no share",
    severity=Severity.ERROR,
    topic=Topic.MEMORY,
    why="`mem-fraction-static` is the share of the GPU's free memory that weights and KV pool may take. SGLang "
    "checks nothing: from 1 on it allocates all memory and has none for its work, at 0 it has none for the pool, and "
    "both show only after the weights have been loaded.",
    fix="write a share such as 0.88, or remove it and let SGLang choose",
    sources=(_PROFILE, _LATER),
    check=_impossible_fraction,
    fails=(
        example("sglang.args.mem-fraction-static=88"),
        example("sglang.args.mem-fraction-static=1"),
        example("sglang.args.mem-fraction-static=0"),
    ),
    passes=(example(), example("sglang.args.mem-fraction-static=null")),
)

UNCOUNTED_SCALES = Rule(
    id="GLM085",
    title="FP8 KV pool larger than mem-fraction-static says",
    severity=Severity.INFO,
    topic=Topic.MEMORY,
    why="With sparse attention an FP8 KV cache has scales and a rotary part in BF16 beside the values, except for the "
    "trtllm kernels: 788 bytes a token and layer for GLM-5.1. Until 0.5.16 SGLang sizes the pool with 708 and "
    "allocates 788, 11 % more (measured with 0.5.11 on an H100: 42.59 GiB where 38.26 were meant). The excess comes "
    "out of the memory for activations and CUDA graphs.",
    fix="lower `mem-fraction-static` by the difference, cap `max-total-tokens`, or use 0.5.17 or later",
    sources=(_CONFIGURATOR, "sglang/srt/model_executor/pool_configurator.py (0.5.17)"),
    check=_uncounted_scales,
    fails=(example(*_FP8_POOL, profile="h200-eagle-bf16kv"),),
    passes=(
        example(),
        example("sglang.args.kv-cache-dtype=fp8_e4m3", profile="b200-nospec-bf16kv"),
        example(profile="b200-longcontext-bf16kv"),
    ),
    scope=Scope(until="0.5.16"),
)

UNCOUNTED_DRAFT = Rule(
    id="GLM212",
    title="draft model on top of mem-fraction-static",
    severity=Severity.INFO,
    topic=Topic.MEMORY,
    why="Until 0.5.13.post1 SGLang sizes the KV pool before it loads the draft model, and gives that model a pool of "
    "as many tokens. Both come out of what `mem-fraction-static` leaves for activations and CUDA graphs. Measured with "
    "0.5.11 on an H200, six layers and 0.85: 0.7 GiB left of 141. SGLang reserves 4 GiB for it where it chooses the "
    "fraction itself.",
    fix="lower `mem-fraction-static` by the difference, cap `max-total-tokens`, or use 0.5.14 or later",
    sources=(_CONFIGURATOR, "sglang/srt/model_executor/pool_configurator.py (0.5.14)"),
    check=_uncounted_draft,
    fails=(example("sglang.args.max-total-tokens=null"),),
    passes=(
        example(),
        example("sglang.args.max-total-tokens=null", profile="b200-nospec-bf16kv"),
        example("sglang.args.max-total-tokens=null", profile=AT_0_5_23),
    ),
    scope=Scope(until="0.5.13.post1"),
    looked=_LOOK,
)

OVERCOMMITTED = Rule(
    id="GLM225",
    title="KV pool that the GPU cannot hold",
    severity=Severity.ERROR,
    topic=Topic.MEMORY,
    why="SGLang sizes the KV pool by `mem-fraction-static`, and until 0.5.13.post1 without the draft model and its "
    "pool, until 0.5.16 without the scales of an FP8 pool of sparse attention. Where all of it is more than the whole "
    "GPU has, the start ends with an out-of-memory error, after the weights were loaded and the CUDA graphs captured. "
    "It did so with 0.5.11 on one H200: GLM-5.1-FP8 with 6 layers and EAGLE, `mem-fraction-static` 0.85 and no cap, "
    "where the estimate lacks 3.4 GiB (measured on 2026-11-29).",
    fix="lower `mem-fraction-static`, or cap `max-total-tokens`",
    sources=(_CONFIGURATOR, "sglang/srt/model_executor/pool_configurator.py (0.5.14, 0.5.17)"),
    check=_overcommitted,
    fails=(example(*_FP8_POOL, "sglang.args.mem-fraction-static=0.99", profile="h200-eagle-bf16kv"),),
    passes=(
        example(),
        example("sglang.args.mem-fraction-static=0.97"),
        example(*_FP8_POOL, "sglang.args.mem-fraction-static=0.85", profile="h200-eagle-bf16kv"),
    ),
    scope=Scope(until="0.5.16"),
)

RULES = (
    *(DOES_NOT_FIT, SHORT_POOL, CAP_ABOVE, LITTLE_LEFT, FRACTION),
    *(UNCOUNTED_SCALES, UNCOUNTED_DRAFT, OVERCOMMITTED),
)
