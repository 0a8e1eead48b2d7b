"""Rules about a container's start: what its proof forgives, what its warm-up asks for, what no snapshot can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Remove, Severity
from glmdeploy.rules.rule import Rule, Topic, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.rules.facts import Facts

_ANSWERS = ("chat", "stream", "embeddings", "rerank", "reward")
"""Checks that show that the engine answers at all."""

_SNAPSHOT = "enable_gpu_snapshot"
"""Among ``experimental_options``: Modal's name of it (its guide, memory-snapshot)."""


def _forgiven(facts: Facts) -> Iterator[Violation]:
    for number, name in enumerate(facts.profile.server.tolerate):
        if name in _ANSWERS:
            yield Violation(
                path=("server", "tolerate", number),
                message=f"a container takes traffic although its engine failed the check `{name}`",
            )


def _too_long(facts: Facts) -> Iterator[Violation]:
    warmup = facts.profile.server.warmup
    if isinstance(warmup, str) or warmup.prompt_tokens is None:
        return
    for name in ("context_length", "max_total_tokens"):
        limit = facts.number(name)
        if limit is not None and warmup.prompt_tokens > limit:
            yield Violation(
                path=("server", "warmup", "prompt_tokens"),
                message=f"no prompt of {warmup.prompt_tokens} tokens fits into `{name.replace('_', '-')}` {limit}: the "
                "warm-up's is cut down to what fits",
            )
            return


def _snapshot(facts: Facts) -> Iterator[Violation]:
    if _SNAPSHOT not in (facts.profile.server.experimental_options or {}):
        return
    several = facts.gpu.count > 1
    yield Violation(
        path=("server", "experimental_options", _SNAPSHOT),
        message=f"Modal cannot take a snapshot of the {facts.gpu.count} GPUs of {facts.gpu}"
        if several
        else "SGLang starts after the moment of a snapshot, which would hold nothing of it",
        edits=(Remove(path=("server", "experimental_options", _SNAPSHOT)),),
    )


FORGIVEN = Rule(
    id="GLM153",
    title="start that may fail to answer",
    severity=Severity.WARNING,
    topic=Topic.CONSISTENCY,
    why="`server.tolerate` lets a container serve in spite of what its start was found to lack. A value in which "
    "SGLang differs may be known and wanted; an engine that answers no request, or not in the form that clients read, "
    "serves nobody, and is billed for it.",
    fix="remove the check from `server.tolerate`",
    sources=("glmdeploy/runtime/quick_checks.py",),
    check=_forgiven,
    fails=(example("server.tolerate=[tp_size, chat]"), example("server.tolerate=[stream]")),
    passes=(example(), example("server.tolerate=[max_total_num_tokens, tool_call]")),
)

TOO_LONG = Rule(
    id="GLM154",
    title="warm-up longer than any request",
    severity=Severity.INFO,
    topic=Topic.CONSISTENCY,
    why="A prompt must fit into the model's context and, with its answer, into the KV pool. The container cuts the "
    "warm-up's prompt down to what fits, so that kernels for prompts of the length that was asked for are not compiled "
    "before traffic; nobody can send one either.",
    fix="lower `server.warmup.prompt_tokens`, or leave it out",
    sources=("sglang/srt/managers/tokenizer_manager.py (0.5.10 to 0.5.23)",),
    check=_too_long,
    fails=(
        example("server.warmup.prompt_tokens=70000"),
        example("server.warmup.prompt_tokens=5000", "sglang.args.context-length=4096"),
    ),
    passes=(example(), example("server.warmup.prompt_tokens=60000"), example("server.warmup=off")),
)

SNAPSHOT = Rule(
    id="GLM155",
    title="GPU snapshot that cannot help",
    severity=Severity.ERROR,
    topic=Topic.SECURITY,
    why="Modal's GPU snapshots are of one GPU: with several, NCCL was reported to hang. For a model of 1 GiB on one "
    "GPU a start of 83.7 s became one of 17.5 s. A snapshot is taken after `enter(snap=True)`; containers here start "
    "SGLang, and see it prove itself, in an `enter` that comes later: with one GPU, too, nothing would be won.",
    fix="remove the option; weights that are read ahead and kernels of the stage `compile` shorten a cold start",
    sources=("https://modal.com/docs/guide/memory-snapshot", "modal/app.py, server and cls (modal 1.6.4)"),
    check=_snapshot,
    fails=(
        example('server.experimental_options={enable_gpu_snapshot: "True"}'),
        example('server.experimental_options={enable_gpu_snapshot: "True"}', profile="local-cpu"),
    ),
    passes=(example(), example('server.experimental_options={other: "1"}')),
)

RULES = (FORGIVEN, TOO_LONG, SNAPSHOT)
