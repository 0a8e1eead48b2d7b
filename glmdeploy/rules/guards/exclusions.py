"""Rules about options that SGLang takes one by one, and not together or not for this model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.records import record
from glmdeploy.rules.facts import ALGORITHM, SPARSE
from glmdeploy.rules.rule import AIR, AT_0_5_23, NOSPEC, Rule, Topic, Violation, example

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from glmdeploy.rules.facts import Facts

_PIPELINE_DRAFTS = "sglang.env.SGLANG_ENABLE_PP_SPEC=1"

_QUANTIZATION, _RUNNER, _BACKENDS = "quantization", "moe_runner_backend", ("nsa", "dsa")


@record
class Exclusion:
    """What SGLang refuses from release ``since`` to ``until`` when ``when`` holds, told at the option ``at``."""

    at: str
    message: str
    when: Callable[[Facts], bool]
    since: str | None = None
    until: str | None = None

    def concerns(self, facts: Facts) -> bool:
        return facts.between(self.since, self.until) and self.when(facts)


def _pipeline(facts: Facts) -> bool:
    return (facts.number("pp_size") or 1) > 1


def _pipeline_drafts(facts: Facts) -> bool:
    if not _pipeline(facts) or facts.algorithm is None or facts.value("disaggregation_mode") not in (None, "null"):
        return False
    # From 0.5.21 on a variable lets plain EAGLE pass (``validation_hook.py``, 0.5.21 to 0.5.23); before, none is read.
    asked = facts.between("0.5.21", None) and facts.env_flag("SGLANG_ENABLE_PP_SPEC")
    more = facts.attention_groups > 1 or facts.value("speculative_adaptive") or facts.value("enable_multi_layer_eagle")
    return not asked or facts.algorithm not in ("EAGLE", "NEXTN") or bool(more)


def _lora(facts: Facts) -> bool:
    return bool(facts.value("enable_lora") or facts.value("lora_paths"))


def _no_cache_to_layer(facts: Facts) -> bool:
    # What SGLang switches off by itself, for deterministic inference for instance, comes after this check in 0.5.10.
    asked = facts.setting("disable_radix_cache") is not None
    return bool(asked and facts.value("enable_hierarchical_cache") and facts.value("disable_radix_cache"))


def _experts_alone(facts: Facts) -> bool:
    """Whether nothing but ``ep`` distributes the experts."""
    return facts.value("moe_a2a_backend") in (None, "none")


def _fp8_as_stored(facts: Facts) -> bool:
    return facts.block_fp8 and facts.setting(_QUANTIZATION) is None


EXCLUSIONS = (
    Exclusion(
        at=ALGORITHM,
        message="speculative decoding does not work with pipeline parallelism",
        when=_pipeline_drafts,
    ),
    Exclusion(
        at="enable_mixed_chunk",
        message="`enable-mixed-chunk` does not work with pipeline parallelism",
        when=lambda facts: _pipeline(facts) and bool(facts.value("enable_mixed_chunk")),
        until="0.5.10.post1",
    ),
    Exclusion(
        at=ALGORITHM,
        message="of speculative decoding only NGRAM works with LoRA adapters",
        when=lambda facts: _lora(facts) and facts.algorithm not in (None, "NGRAM"),
        until="0.5.18",
    ),
    Exclusion(
        at="enable_lora",
        message="`enable-lora` needs `lora-paths`, or both `max-lora-rank` and `lora-target-modules`",
        when=lambda facts: (
            bool(facts.value("enable_lora"))
            and not facts.value("lora_paths")
            and not (facts.value("max_lora_rank") and facts.value("lora_target_modules"))
        ),
    ),
    Exclusion(
        at=ALGORITHM,
        message="STANDALONE and NGRAM do not work with data-parallel attention",
        when=lambda facts: facts.algorithm in ("STANDALONE", "NGRAM") and facts.attention_groups > 1,
    ),
    Exclusion(
        at="speculative_moe_runner_backend",
        message="a draft model does not run on `flashinfer_trtllm`",
        when=lambda facts: (
            facts.algorithm is not None and facts.value("speculative_moe_runner_backend") == "flashinfer_trtllm"
        ),
        until="0.5.11",
    ),
    Exclusion(
        at="enable_hierarchical_cache",
        message="`enable-hierarchical-cache` and `disable-radix-cache` exclude each other",
        when=_no_cache_to_layer,
    ),
    Exclusion(
        at="enable_eplb",
        message="`enable-eplb` balances experts between ranks, and `ep` is 1",
        when=lambda facts: bool(facts.value("enable_eplb")) and facts.number("ep_size") == 1 and _experts_alone(facts),
    ),
    Exclusion(
        at="enable_two_batch_overlap",
        message="`enable-two-batch-overlap` needs a `moe-a2a-backend`",
        when=lambda facts: bool(facts.value("enable_two_batch_overlap")) and _experts_alone(facts),
        until="0.5.14",
    ),
    Exclusion(
        at="enable_two_batch_overlap",
        message="`enable-two-batch-overlap` needs a `moe-a2a-backend` or data-parallel attention",
        when=lambda facts: (
            bool(facts.value("enable_two_batch_overlap")) and _experts_alone(facts) and facts.attention_groups == 1
        ),
        since="0.5.15.post1",
    ),
    Exclusion(
        at="schedule_policy",
        message="with `enable-priority-scheduling` the `schedule-policy` is `fcfs` or `lof`",
        when=lambda facts: (
            bool(facts.value("enable_priority_scheduling"))
            and facts.value("schedule_policy") not in (None, "fcfs", "lof")
        ),
    ),
    Exclusion(
        at="dp_size",
        message="`dp` next to `attn-dp-size` means copies of the model, which do not go with attention groups",
        when=lambda facts: (facts.number("dp_size") or 1) > 1 and (facts.number("attn_dp_size") or 1) > 1,
        since="0.5.22",
    ),
    Exclusion(
        at="enable_dp_lm_head",
        message="`enable-dp-lm-head` needs data-parallel attention",
        when=lambda facts: (
            bool(facts.value("enable_dp_lm_head"))
            and (facts.number("dp_size") or 1) > 1
            and facts.attention_groups == 1
        ),
    ),
    Exclusion(
        at="enable_deterministic_inference",
        message="`enable-deterministic-inference` has no kernels for sparse attention (DSA)",
        when=lambda facts: (
            bool(facts.value("enable_deterministic_inference"))
            and facts.architecture in SPARSE
            # Left out, SGLang decides for it before it checks.
            and facts.value("attention_backend") in (None, *_BACKENDS)
        ),
        since="0.5.10",
    ),
    Exclusion(
        at="moe_a2a_backend",
        message="FlashInfer's exchange between experts needs as many attention groups as `tp`",
        when=lambda facts: (
            facts.value("moe_a2a_backend") == "flashinfer" and 1 < facts.attention_groups != facts.number("tp_size")
        ),
        since="0.5.13.post1",
    ),
    Exclusion(
        at=_RUNNER,
        message="`cutlass` runs FP8 experts only with `ep` 1",
        when=lambda facts: (
            facts.value(_RUNNER) == "cutlass" and _fp8_as_stored(facts) and (facts.number("ep_size") or 1) > 1
        ),
        since="0.5.10",
    ),
    Exclusion(
        at=_RUNNER,
        message="`flashinfer_cutlass` does not run FP8 experts in blocks",
        when=lambda facts: facts.value(_RUNNER) == "flashinfer_cutlass" and _fp8_as_stored(facts),
        since="0.5.10",
    ),
    Exclusion(
        at=_RUNNER,
        message="`flashinfer_cutedsl` runs FP4 experts only",
        when=lambda facts: facts.value(_RUNNER) == "flashinfer_cutedsl" and _fp8_as_stored(facts),
        since="0.5.11",
    ),
    Exclusion(
        at="export_metrics_to_file",
        message="`export-metrics-to-file` needs `export-metrics-to-file-dir`",
        when=lambda facts: (
            bool(facts.value("export_metrics_to_file")) and not facts.value("export_metrics_to_file_dir")
        ),
    ),
)


def _exclusions(facts: Facts) -> Iterator[Violation]:
    for exclusion in EXCLUSIONS:
        if exclusion.concerns(facts):
            yield Violation(
                path=facts.path(exclusion.at),
                key=facts.setting(exclusion.at) is None,
                message=f"SGLang {facts.catalog.version} refuses the profile: {exclusion.message}",
            )


EXCLUDED = Rule(
    id="GLM120",
    title="options that SGLang refuses together",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="Each of these options is valid alone. That SGLang refuses them together, or for this model, is found when it "
    "resolves or checks its arguments at start, on a rented GPU: an assertion or a ValueError ends the server. Each "
    "pair was tried on SGLang's own argument resolution, with the releases from 0.5.10 to 0.5.23 that it holds for.",
    fix="remove one of the two, or add what is missing",
    sources=(
        "sglang/srt/server_args.py (0.5.10, 0.5.16)",
        "sglang/srt/arg_groups/validation_hook.py, check_server_args (0.5.23)",
        "sglang/srt/arg_groups/moe_hook.py (0.5.23)",
        "sglang/srt/arg_groups/speculative_hook.py (0.5.23)",
    ),
    check=_exclusions,
    fails=(
        example("sglang.args.tp=4", "sglang.args.pp-size=2"),
        example("sglang.args.tp=4", "sglang.args.pp-size=2", profile=AT_0_5_23),
        example("sglang.args.tp=4", "sglang.args.pp-size=2", _PIPELINE_DRAFTS),
        example(
            *("sglang.args.tp=4", "sglang.args.pp-size=2", _PIPELINE_DRAFTS, "sglang.args.attn-dp-size=4"),
            profile=AT_0_5_23,
        ),
        example(
            *("sglang.args.tp=4", "sglang.args.pp-size=2", _PIPELINE_DRAFTS),
            *(
                "sglang.args.speculative-algorithm=EAGLE3",
                "sglang.args.speculative-draft-model-path=/model-cache/draft",
            ),
            profile=AT_0_5_23,
        ),
        example(
            *("sglang.args.tp=4", "sglang.args.pp-size=2", _PIPELINE_DRAFTS, "sglang.args.speculative-adaptive=true"),
            profile=AT_0_5_23,
        ),
        example("sglang.args.lora-paths=[a=/model-cache/a]"),
        example("sglang.args.enable-lora=true", profile=NOSPEC),
        example(
            *("sglang.args.speculative-algorithm=STANDALONE", "sglang.args.dp=8"),
            "sglang.args.enable-dp-attention=true",
        ),
        example("sglang.args.speculative-moe-runner-backend=flashinfer_trtllm"),
        example("sglang.args.enable-hierarchical-cache=true", "sglang.args.disable-radix-cache=true", profile=NOSPEC),
        example("sglang.args.enable-eplb=true"),
        example("sglang.args.enable-two-batch-overlap=true"),
        example("sglang.args.enable-priority-scheduling=true", "sglang.args.schedule-policy=lpm"),
        example(
            *("sglang.version=0.5.23", "sglang.image=lmsysorg/sglang:v0.5.23-cu130"),
            *("gpu=H100:8", "sglang.args.dp=2", "sglang.args.attn-dp-size=2"),
            profile=AIR,
        ),
        example("sglang.args.dp=2", "sglang.args.tp=2", "sglang.args.enable-dp-lm-head=true", profile=AIR),
        example("sglang.args.enable-deterministic-inference=true", profile=NOSPEC),
        example("sglang.args.moe-runner-backend=cutlass", "sglang.args.ep=8"),
        example("sglang.args.moe-a2a-backend=flashinfer", "sglang.args.attn-dp-size=4", profile=AT_0_5_23),
        example("sglang.args.moe-runner-backend=flashinfer_cutlass"),
        example("sglang.args.moe-runner-backend=flashinfer_cutedsl"),
        example("sglang.args.export-metrics-to-file=true"),
    ),
    passes=(
        example("sglang.args.tp=4", "sglang.args.pp-size=2", profile=NOSPEC),
        example("sglang.args.tp=4", "sglang.args.pp-size=2", _PIPELINE_DRAFTS, profile=AT_0_5_23),
        example("sglang.args.lora-paths=[a=/model-cache/a]", profile=AT_0_5_23),
        example("sglang.args.enable-eplb=true", "sglang.args.ep=8"),
        example("sglang.args.enable-two-batch-overlap=true", "sglang.args.moe-a2a-backend=deepep"),
        example("sglang.args.enable-two-batch-overlap=true", "sglang.args.attn-dp-size=8", profile=AT_0_5_23),
        example("sglang.args.moe-runner-backend=cutlass"),
        example("sglang.args.speculative-moe-runner-backend=flashinfer_trtllm", profile=AT_0_5_23),
    ),
)

RULES = (EXCLUDED,)
