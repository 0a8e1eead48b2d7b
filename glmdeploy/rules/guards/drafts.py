"""Rules about where drafts come from, and what else must not run beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.rules.facts import ALGORITHM, SPARSE
from glmdeploy.rules.rule import AIR, AT_0_5_23, ISSUES, PULLS, Look, Rule, Scope, Topic, Violation, example
from glmdeploy.sglang.architectures import Attention

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

LOOKED = Look(date="2026-11-29", release="0.5.23")

_DRAFT = "speculative_draft_model_path"
_HOOK = "sglang/srt/arg_groups/speculative_hook.py, _handle_eagle_family (0.5.23)"

BUNDLED = (
    *("DeepseekV32ForCausalLM", "DeepseekV3ForCausalLM", "DeepseekV4ForCausalLM"),
    *("Glm4MoeForCausalLM", "Glm4MoeLiteForCausalLM", "GlmMoeDsaForCausalLM", "MistralLarge3ForCausalLM"),
)
"""Architectures whose own checkpoint SGLang takes for the draft where none is named."""

_PREFILL_CP = ("enable_prefill_cp", "enable_nsa_prefill_context_parallel", "enable_dsa_prefill_context_parallel")


def _no_draft(facts: Facts) -> Iterator[Violation]:
    name = facts.algorithm
    if name not in ("EAGLE3", "STANDALONE") or facts.setting(_DRAFT):
        return
    if name == "STANDALONE" and facts.attention_groups > 1:
        return  # SGLang refuses that before it looks for a draft (GLM120).
    kind = facts.kind
    if name == "EAGLE3" and kind and (kind.name in BUNDLED or kind.attention is Attention.HYBRID):
        return
    yield Violation(
        path=facts.path(ALGORITHM),
        message=f"{name} without `speculative-draft-model-path` takes {facts.profile.model.repo} itself for its draft",
        severity=None if kind or name == "STANDALONE" else Severity.WARNING,
    )


def _context_parallel(facts: Facts) -> Iterator[Violation]:
    if facts.algorithm is None:
        return
    for dest in _PREFILL_CP:
        if facts.setting(dest) and facts.value(dest):
            yield Violation(
                path=facts.path(dest),
                message=f"`{facts.path(dest)[-1]}` together with {facts.algorithm} was reported to fail for this model",
            )


def _divided(facts: Facts) -> Iterator[Violation]:
    tp, groups = facts.number("tp_size"), facts.attention_groups
    if facts.speculates and tp and 1 < groups < tp:
        yield Violation(
            path=facts.path("attn_dp_size" if facts.setting("attn_dp_size") else "dp_size"),
            message=f"{facts.algorithm} with {groups} attention groups in `tp` {tp}, so that {tp // groups} ranks "
            "share one, was reported to end the server",
        )


NO_DRAFT = Rule(
    id="GLM176",
    title="EAGLE3 or STANDALONE without a draft model",
    severity=Severity.ERROR,
    topic=Topic.KNOWN_ISSUE,
    why="Where no draft is named, SGLang takes the target's own checkpoint, which only models with an MTP layer have "
    "one in. An EAGLE3 draft is a model of its own: Qwen2.5-0.5B-Instruct and a Llama ended the start with an "
    "AttributeError after the weights had been loaded twice (#36528, open; 36593 would refuse it before). With "
    "STANDALONE the target drafts for itself, which costs more than it can save. SGLang's argument resolution takes "
    "both (tried with 0.5.11 and 0.5.23). Where the model is not known, it is a warning.",
    fix="name a draft that was trained for the model as `speculative-draft-model-path`, or remove the `speculative-*` "
    "options",
    sources=(f"{ISSUES}36528", f"{PULLS}36593", _HOOK, "sglang/srt/managers/tp_worker.py (0.5.11, 0.5.23)"),
    check=_no_draft,
    fails=(
        example("sglang.args.speculative-algorithm=STANDALONE", profile=AIR),
        example("sglang.args.speculative-algorithm=STANDALONE", "model.repo=acme/other", profile=AIR),
        example("sglang.args.speculative-algorithm=EAGLE3", "model.repo=openai/gpt-oss-20b", profile=AIR),
        example("sglang.args.speculative-algorithm=EAGLE3", "model.repo=acme/other", profile=AIR),
    ),
    passes=(
        example(profile=AIR),
        example(
            *("sglang.args.speculative-algorithm=EAGLE3", "model.repo=acme/other"),
            "sglang.args.speculative-draft-model-path=/model-cache/draft",
            profile=AIR,
        ),
        example("sglang.args.speculative-algorithm=EAGLE3", profile=AIR),
    ),
    looked=LOOKED,
)

CONTEXT_PARALLEL = Rule(
    id="GLM177",
    title="context parallelism in prefill together with drafts",
    severity=Severity.INFO,
    topic=Topic.KNOWN_ISSUE,
    why="GLM-5-FP8 with context parallelism in prefill and its MTP layer was reported to fail (#18830, on a prefill "
    "server of eight GPUs). SGLang's argument resolution takes the two together for GLM-5.1 (tried with 0.5.11, "
    "0.5.16 and 0.5.23), and no release is known whose notes say that it is mended.",
    fix="remove the `speculative-*` options, or the context parallelism",
    sources=(f"{ISSUES}18830", "sglang/srt/arg_groups/model_hook.py (0.5.23)"),
    check=_context_parallel,
    fails=(example("sglang.args.enable-nsa-prefill-context-parallel=true"),),
    passes=(
        example(),
        example("sglang.args.enable-nsa-prefill-context-parallel=true", profile="b200-nospec-bf16kv"),
    ),
    scope=Scope(architectures=SPARSE),
    looked=LOOKED,
)

DIVIDED = Rule(
    id="GLM178",
    title="drafts where several ranks share an attention group",
    severity=Severity.WARNING,
    topic=Topic.KNOWN_ISSUE,
    why="With data-parallel attention of fewer groups than ranks, GLM-5.2-FP8 with EAGLE ended at a decode step: its "
    "batch of queries and that of the cache did not agree (#30296 with 0.5.14, tp 32 dp 8 and dp 4; #31384 with "
    "0.5.15, tp 16 dp 2). One group a rank worked, and so did no speculation. A fix is proposed and not merged "
    "(30642).",
    fix="make `dp` (or `attn-dp-size`) what `tp` is, or remove the `speculative-*` options",
    sources=(f"{ISSUES}30296", f"{ISSUES}31384", f"{PULLS}30642"),
    check=_divided,
    fails=(example("sglang.args.attn-dp-size=2", profile=AT_0_5_23),),
    passes=(
        example(profile=AT_0_5_23),
        example("sglang.args.attn-dp-size=8", profile=AT_0_5_23),
        example("sglang.args.dp=2", "sglang.args.enable-dp-attention=true"),
    ),
    scope=Scope(architectures=SPARSE, since="0.5.14"),
    looked=LOOKED,
)

RULES = (NO_DRAFT, CONTEXT_PARALLEL, DIVIDED)
