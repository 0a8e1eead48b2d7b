"""Rules about parts of a profile that contradict each other, and options that SGLang overrules or ignores."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from glmdeploy import cron
from glmdeploy.findings import Remove, Severity
from glmdeploy.profile.serving import SERVER, of_one_kind
from glmdeploy.rules.facts import ALGORITHM, SPEC_V2, STEPS, TOKENS, TOPK
from glmdeploy.rules.rule import (
    AIR,
    AS_SERVER,
    AT_0_5_10,
    AT_0_5_23,
    NOSPEC,
    Rule,
    Topic,
    Violation,
    as_written,
    example,
)
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.effective import REPORTED, Origin
from glmdeploy.sglang.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.rules.facts import Facts

_OVERLAP, _MIXED, _DP_ATTENTION = "disable_overlap_schedule", "enable_mixed_chunk", "enable_dp_attention"
_PRIORITIES = ("disable_priority_preemption", "default_priority_value")
"""What only counts with ``enable-priority-scheduling``; SGLang itself logs that it has no effect."""

_TOLD_ELSEWHERE = ("chunked_prefill_size", "kv_cache_dtype", ALGORITHM, TOKENS, _OVERLAP)
"""Decisions over a written value that another name for the same, a rule of their own, or the rest of this one tells."""


def _kernels_volume(facts: Facts) -> Iterator[Violation]:
    # Of a cluster the stage is refused (GLM231), with a volume too.
    if facts.profile.compile and facts.profile.volumes.kernels is None and facts.profile.cluster is None:
        yield Violation(
            path=("compile",),
            key=True,
            message="the stage `compile` has no volume to keep its kernels in",
        )


def _mounts(facts: Facts) -> Iterator[Violation]:
    for (_, first), (path, second) in combinations(facts.volumes.items(), 2):
        one, other = f"{first.mount}/", f"{second.mount}/"
        if one.startswith(other) or other.startswith(one):
            yield Violation(path=(*path, "mount"), message=f"the mounts {first.mount} and {second.mount} overlap")
        if first.name == second.name:
            yield Violation(
                path=(*path, "name"),
                message=f"two volumes are `{first.name}`; Modal mounts a volume once in a container",
            )


def _scaling(facts: Facts) -> Iterator[Violation]:
    server = facts.profile.server
    if server.min_containers > server.max_containers:
        yield Violation(
            path=("server", "min_containers"),
            message=f"`min_containers` {server.min_containers} is above `max_containers` {server.max_containers}",
        )


def _inputs(facts: Facts) -> Iterator[Violation]:
    server = facts.profile.server
    for target, most in (("target_inputs", "max_inputs"), ("target_concurrency", "max_concurrency")):
        wanted, limit = getattr(server, target), getattr(server, most)
        if server.kind != of_one_kind()[target] or wanted is None or limit is None:
            continue
        if wanted > limit:
            # Of two that Modal would refuse the one that is written is shown.
            written = target if target in server.given else most
            yield Violation(path=("server", written), message=f"`{target}` {wanted:g} is above `{most}` {limit}")
    if server.kind == SERVER and server.max_concurrency is not None and "max_concurrency" in _experiments(facts):
        yield Violation(
            path=("server", "experimental_options", "max_concurrency"),
            key=True,
            message="`max_concurrency` stands here and in `server`: Modal takes one of them",
            edits=(Remove(path=("server", "experimental_options", "max_concurrency")),),
        )


def _experiments(facts: Facts) -> Mapping[str, str]:
    return facts.profile.server.experimental_options or {}


def _schedule(facts: Facts) -> Iterator[Violation]:
    keepalive = facts.profile.keepalive
    try:
        cron.parse(keepalive.schedule)
    except cron.CronError as error:
        yield Violation(path=("keepalive", "schedule"), message=f"the schedule is no cron expression: {error}")
    # The list is asked for last: to make it takes a look into each of its 600 files.
    if keepalive.timezone != "UTC" and not _is_zone(keepalive.timezone) and (known := available_timezones()):
        near = nearest(keepalive.timezone, sorted(known), most=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        yield Violation(path=("keepalive", "timezone"), message=f"there is no time zone {keepalive.timezone}{hint}")


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _overruled(facts: Facts) -> Iterator[Violation]:
    yield from _decided(facts)
    yield from _draft_tokens(facts)
    yield from _overlap(facts)
    yield from _without_algorithm(facts)
    yield from _idle_switches(facts)


def _decided(facts: Facts) -> Iterator[Violation]:
    """Written values that SGLang replaces, as far as its decisions are known."""
    for dest, setting in facts.settings.items():
        known = facts.effective.get(dest)
        if known is None or not known.known or known.origin is not Origin.SGLANG:
            continue
        if dest in _TOLD_ELSEWHERE or dest not in REPORTED:
            continue
        if setting.value not in (None, "auto", known.value):
            yield Violation(
                path=facts.path(dest),
                message=f"`{setting.key}` is {as_written(setting.value)}, and SGLang makes it "
                f"{as_written(known.value)}: {known.why}",
                edits=facts.drop(dest),
            )


def _draft_tokens(facts: Facts) -> Iterator[Violation]:
    steps, tokens = (facts.setting(dest) for dest in (STEPS, TOKENS))
    if not facts.builds_trees or not steps or not tokens or facts.number(TOPK) != 1:
        return
    if tokens.value != steps.value + 1:
        yield Violation(
            path=facts.path(TOKENS),
            message=f"{steps.value} steps with top-k 1 draft {steps.value + 1} tokens, and SGLang makes "
            f"`{tokens.key}` {tokens.value} that",
            edits=facts.put(TOKENS, steps.value + 1),
        )


def _overlap(facts: Facts) -> Iterator[Violation]:
    switch = facts.setting(_OVERLAP)
    old = version_key(facts.catalog.version) < version_key("0.5.11")
    if switch and switch.value and old and facts.builds_trees and facts.env_flag(SPEC_V2):
        yield Violation(
            path=facts.path(_OVERLAP),
            message=f"`{switch.key}` is overruled by `{SPEC_V2}` in SGLang {facts.catalog.version}",
        )


def _without_algorithm(facts: Facts) -> Iterator[Violation]:
    idle = [dest for dest in facts.settings if dest.startswith("speculative_") and dest != ALGORITHM]
    if idle and facts.effective[ALGORITHM].known and facts.algorithm is None:
        names = ", ".join(f"`{facts.path(dest)[-1]}`" for dest in idle)
        yield Violation(
            path=facts.path(idle[0]),
            key=True,
            message=f"{names} {'does' if len(idle) == 1 else 'do'} nothing without `speculative-algorithm`",
        )


def _idle_switches(facts: Facts) -> Iterator[Violation]:
    def idle(dest: str, message: str) -> Violation:
        return Violation(path=facts.path(dest), message=f"`{facts.path(dest)[-1]}` {message}")

    if _on(facts, _DP_ATTENTION) and facts.attention_groups == 1:
        yield idle(_DP_ATTENTION, "does nothing with one group: `dp` is 1")
    if not facts.value("enable_priority_scheduling"):
        for dest in _PRIORITIES:
            if _on(facts, dest):
                yield idle(dest, "does nothing without `enable-priority-scheduling`")
    if _on(facts, _MIXED) and _drafts_unmixed(facts):
        yield idle(_MIXED, f"is switched off by speculative decoding with {facts.algorithm}")


def _on(facts: Facts, dest: str) -> bool:
    setting = facts.setting(dest)
    return setting is not None and setting.value is not None and setting.value is not False


def _drafts_unmixed(facts: Facts) -> bool:
    until = version_key(facts.catalog.version) <= version_key("0.5.18")
    return facts.algorithm == "NGRAM" or (until and facts.builds_trees)


KERNELS_VOLUME = Rule(
    id="GLM021",
    title="compile stage without a kernels volume",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="Kernels that are compiled into the container's own disk are lost when it ends, and every cold start compiles "
    "them again for 10 to 15 minutes.",
    fix="add `volumes.kernels` with a name and a mount, or remove `compile`",
    sources=("https://modal.com/docs/guide/volumes",),
    check=_kernels_volume,
    fails=(example("volumes.kernels=null", "sglang.env.SGLANG_DG_CACHE_DIR=null"),),
    passes=(example(),),
    waivable=False,
)

MOUNTS = Rule(
    id="GLM022",
    title="volumes that collide",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="Modal mounts each volume once in a container, and one mount cannot lie inside another.",
    fix="give each volume a name and a mount of its own",
    sources=("https://modal.com/docs/guide/volumes",),
    check=_mounts,
    fails=(
        example("volumes.kernels.mount=/model-cache/kernels", "sglang.env.SGLANG_DG_CACHE_DIR=/model-cache/kernels"),
        example("volumes.kernels.name=glm51-model-weights"),
    ),
    passes=(example(),),
    waivable=False,
)

SCALING = Rule(
    id="GLM023",
    title="min_containers above max_containers",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="Modal refuses an autoscaler whose lower bound is above its upper bound.",
    fix="lower `min_containers` or raise `max_containers`",
    sources=("https://modal.com/docs/guide/scale",),
    check=_scaling,
    fails=(example("server.min_containers=4"),),
    passes=(example("server.min_containers=1"),),
    waivable=False,
)

INPUTS = Rule(
    id="GLM125",
    title="target above the most that a container is given",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="Modal adds a container before the others have more requests than the target (`target_inputs` of a web "
    "function, `target_concurrency` of a Server), and gives none more than the limit (`max_inputs`, "
    "`max_concurrency`): its SDK refuses a target that is never reached.",
    fix="lower the target, or raise the limit; `target_inputs` left out is `max_inputs`",
    sources=("modal/_partial_function.py, concurrent (modal 1.6.4)", "modal/app.py, server (modal 1.6.4)"),
    check=_inputs,
    fails=(
        example("server.target_inputs=21"),
        example(*AS_SERVER, "server.max_concurrency=10"),
        example(*AS_SERVER, "server.target_concurrency=64", "server.max_concurrency=48"),
        example(*AS_SERVER, "server.max_concurrency=64", "server.experimental_options={max_concurrency: 48}"),
    ),
    passes=(
        example("server.target_inputs=20"),
        example("server.target_inputs=30", "server.max_inputs=40"),
        example(*AS_SERVER, "server.max_concurrency=20"),
    ),
    waivable=False,
)

SCHEDULE = Rule(
    id="GLM024",
    title="keep-alive at a time that is none",
    severity=Severity.ERROR,
    topic=Topic.CONSISTENCY,
    why="Modal takes five cron fields and the IANA name of a time zone, and refuses anything else at deployment.",
    fix='write five fields, for instance "*/10 9-18 * * 1-5": every ten minutes in business hours; and a `timezone` '
    "such as Europe/Berlin",
    sources=("https://modal.com/docs/guide/cron",),
    check=_schedule,
    fails=(example("keepalive.schedule=every ten minutes"), example("keepalive.timezone=Europe/Berlim")),
    passes=(example(), example("keepalive.timezone=America/New_York")),
    waivable=False,
)

OVERRULED = Rule(
    id="GLM031",
    title="option that SGLang overrules or ignores",
    severity=Severity.WARNING,
    topic=Topic.CONSISTENCY,
    why="SGLang replaces some values with a line in its log, or with none: sparse attention has pages of 64 tokens "
    "whatever is asked for; with top-k 1 the draft tokens are always the steps and one; 0.5.10 with "
    "SGLANG_ENABLE_SPEC_V2=1 overlaps even with `disable-overlap-schedule`; until 0.5.18 EAGLE switches mixed chunks "
    "off. Others do nothing without the option that they belong to. The profile then says something that is not so. "
    "All of it was tried on SGLang's own argument resolution.",
    fix="remove the option, or add the one that it needs",
    sources=(
        "sglang/srt/server_args.py (0.5.10, 0.5.16)",
        "sglang/srt/arg_groups/speculative_hook.py (0.5.23)",
        "sglang/srt/arg_groups/parallel_hook.py (0.5.23)",
        "sglang/srt/arg_groups/validation_hook.py (0.5.23)",
    ),
    check=_overruled,
    fails=(
        example("sglang.args.page-size=1"),
        example("sglang.args.speculative-num-draft-tokens=8"),
        example("sglang.args.speculative-num-draft-tokens=8", profile=AIR),
        example(*AT_0_5_10, "sglang.args.disable-overlap-schedule=true"),
        example("sglang.args.speculative-algorithm=null"),
        example("sglang.args.speculative-num-steps=3", profile=NOSPEC),
        example("sglang.args.enable-dp-attention=true", profile=NOSPEC),
        example("sglang.args.disable-priority-preemption=true"),
        example("sglang.args.default-priority-value=0"),
        example("sglang.args.enable-mixed-chunk=true"),
    ),
    passes=(
        example("sglang.args.page-size=64"),
        example("sglang.args.speculative-num-steps=2", "sglang.args.speculative-num-draft-tokens=3"),
        example("sglang.args.disable-overlap-schedule=true"),
        example(*AT_0_5_10, f"sglang.env.{SPEC_V2}=null", "sglang.args.disable-overlap-schedule=true"),
        example("sglang.args.enable-priority-scheduling=true", "sglang.args.default-priority-value=0"),
        example("sglang.args.enable-mixed-chunk=true", profile=AT_0_5_23),
        example("sglang.args.enable-mixed-chunk=true", profile=NOSPEC),
        example(profile="local-cpu"),
    ),
)

RULES = (
    KERNELS_VOLUME,
    MOUNTS,
    SCALING,
    INPUTS,
    SCHEDULE,
    OVERRULED,
)
