"""Rules about the watch of a container over its engine: what blinds it, and what it would take for a hang."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import Remove, SetValue, Severity
from glmdeploy.rules.rule import AT_0_5_23, ISSUES, Look, Rule, Scope, Topic, Violation, example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.findings import KeyPath
    from glmdeploy.rules.facts import Facts

_CHUNK = "chunked_prefill_size"
_LONGEST_CHUNK = 65_536
"""Tokens of one pass up to which passes were seen to end in seconds; longer ones were not measured."""

_WATCHDOG = "watchdog_timeout"
_NOTICED = 600
"""Seconds after which a hang that nothing has noticed is a loss worth a word: two of the watchdog's own default."""

_CHECK_TIMEOUT = "SGLANG_HEALTH_CHECK_TIMEOUT"
_GENERATION = "SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION"
_BYPASS = "SGLANG_DIAG_BYPASS_HEALTH_GENERATE"
"""From 0.5.19 on (``entrypoints/http_server.py``)."""


def _limits(facts: Facts) -> Iterator[Violation]:
    health = facts.profile.server.health
    if health.timeout <= health.limit:
        path: KeyPath = ("server", "health", "timeout")
        yield Violation(
            path=path,
            message=f"`timeout` {health.timeout} s is not above `limit` {health.limit} s: the container gives each "
            "question up before SGLang answers it",
            edits=(SetValue(path=path, value=health.limit + 5),),
        )
    given = facts.env.get(_CHECK_TIMEOUT)
    if given is not None and given.strip() != str(health.limit):
        path = facts.env_path(_CHECK_TIMEOUT)
        yield Violation(
            path=path,
            message=f"`{_CHECK_TIMEOUT}` is `{given}`, and `server.health.limit` is {health.limit}",
            edits=(Remove(path=path),),
        )


def _long_pass(facts: Facts) -> Iterator[Violation]:
    size, limit = facts.number(_CHUNK), facts.profile.server.health.limit
    if size is not None and size <= 0 and (whole := _longest_prompt(facts)) is not None and whole <= _LONGEST_CHUNK:
        return
    if size is not None and (size <= 0 or size > _LONGEST_CHUNK):
        what = "is off, so that one pass takes a whole prompt" if size <= 0 else f"is {size:,} tokens a pass"
        yield Violation(
            path=facts.path(_CHUNK),
            message=f"`chunked-prefill-size` {what}: where a pass takes more than `server.health.limit`, {limit} s, "
            "the container takes a working engine for a hung one and ends it",
        )


def _longest_prompt(facts: Facts) -> int | None:
    """The tokens of the longest prompt, None where they are not known."""
    return facts.number("context_length") or (facts.model.context if facts.model else None)


def _constant(facts: Facts) -> Iterator[Violation]:
    off, on = not facts.env_flag(_GENERATION, default=True), facts.env_flag(_BYPASS)
    for name, state in ((_GENERATION, "off" if off else ""), (_BYPASS, "on" if on else "")):
        if state:
            path = facts.env_path(name)
            yield Violation(
                path=path,
                message=f"`{name}` is {state}: /health answers 200 whatever the engine does, and only a stopped or "
                "dead process is noticed",
                edits=(Remove(path=path),),
            )


def _long_watchdog(facts: Facts) -> Iterator[Violation]:
    limit, health = facts.value(_WATCHDOG), facts.profile.server.health.limit
    blind = next(_constant(facts), None) is not None
    if not isinstance(limit, int | float) or isinstance(limit, bool) or limit <= _NOTICED or facts.gpu.type == "T4":
        return
    if blind or health > _NOTICED:
        why = "the health check says nothing" if blind else f"`server.health.limit` is {health} s"
        yield Violation(
            path=facts.path(_WATCHDOG),
            key=_WATCHDOG not in facts.settings,
            message=f"{why}, so that a hang is left to SGLang's watchdog of {limit:g} s: {facts.gpu} may be paid for "
            f"{limit / 60:.0f} minutes and more without an answer",
        )


def _unseen_rank(facts: Facts) -> Iterator[Violation]:
    ranks = facts.number("dp_size") or 1
    if ranks > 1 and facts.attention_groups == 1:
        yield Violation(
            path=facts.path("dp_size"),
            message=f"of {ranks} data-parallel ranks one that lives is enough for a good /health: a rank that hangs "
            "without having stopped goes unnoticed in this release",
        )


LIMITS = Rule(
    id="GLM126",
    title="limits of the health watch that contradict each other",
    severity=Severity.WARNING,
    topic=Topic.TIME,
    why="A container asks /health all the time. SGLang answers 503 after `SGLANG_HEALTH_CHECK_TIMEOUT` seconds "
    "without a token, which glmdeploy sets to `server.health.limit`; the question itself may take "
    "`server.health.timeout`. Where the question ends first, no answer is ever heard while a long pass runs, and "
    "where SGLang has a limit of its own, a verdict comes earlier or later than the profile says.",
    fix="leave the variable to glmdeploy, and make `server.health.timeout` a few seconds more than the limit",
    sources=(
        "sglang/srt/entrypoints/http_server.py (0.5.10 to 0.5.23)",
        "glmdeploy/runtime/watch.py",
    ),
    check=_limits,
    fails=(
        example("server.health.timeout=60"),
        example("server.health.limit=2m"),
        example('sglang.env.SGLANG_HEALTH_CHECK_TIMEOUT="20"'),
    ),
    passes=(
        example(),
        example("server.health.limit=2m", "server.health.timeout=130"),
        example('sglang.env.SGLANG_HEALTH_CHECK_TIMEOUT="60"'),
    ),
)

LONG_PASS = Rule(
    id="GLM127",
    title="one pass may outlast the health limit",
    severity=Severity.WARNING,
    topic=Topic.TIME,
    why="While a pass runs SGLang answers no health check, and a container whose engine shows no sign of life for "
    "`server.health.limit` seconds ends. In chunks a long prompt shows life at every chunk: 31,000 tokens never took "
    "more than 3.8 s between two signs (0.5.11, two H200). Without chunks, or with very long ones, a pass takes as "
    "long as its tokens do, which was not measured. False 503 of long prompts were reported upstream (#22511).",
    fix="keep `chunked-prefill-size` at 65536 or less, or raise `server.health.limit` (and `timeout`) above the "
    "longest pass that you measured",
    sources=(f"{ISSUES}22511", "sglang/srt/managers/scheduler.py (0.5.10, 0.5.23)"),
    check=_long_pass,
    fails=(
        example("sglang.args.chunked-prefill-size=-1"),
        example("sglang.args.chunked-prefill-size=131072"),
    ),
    passes=(
        example(),
        example("sglang.args.chunked-prefill-size=65536"),
        example("sglang.args.chunked-prefill-size=-1", "sglang.args.context-length=8192"),
    ),
)

CONSTANT = Rule(
    id="GLM128",
    title="health check that says nothing",
    severity=Severity.WARNING,
    topic=Topic.TIME,
    why="By default /health sends one token through scheduler and detokenizer. With "
    "`SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION` off it is a constant 200 of the HTTP process: a hung scheduler or GPU "
    "goes unnoticed, and requests wait for ever. From 0.5.19 on `SGLANG_DIAG_BYPASS_HEALTH_GENERATE` does the same.",
    fix="remove the variable",
    sources=("sglang/srt/entrypoints/http_server.py (0.5.10 to 0.5.23)",),
    check=_constant,
    fails=(
        example('sglang.env.SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION="0"'),
        example('sglang.env.SGLANG_DIAG_BYPASS_HEALTH_GENERATE="1"', profile=AT_0_5_23),
    ),
    passes=(example(), example('sglang.env.SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION="1"')),
)

LONG_WATCHDOG = Rule(
    id="GLM175",
    title="hang that is left to a long watchdog",
    severity=Severity.WARNING,
    topic=Topic.TIME,
    why="A container ends an engine that shows no sign of life for `server.health.limit` seconds, a minute unless "
    "told otherwise. Where that watch is blinded, or so patient that it comes late, only SGLang's own watchdog is "
    "left. With one of two ranks stopped in mid-decode, a watchdog of 60 s ended the engine after 92 s (measured with "
    "0.5.11 on two H200), so the 1,200 s of the page that this deployment follows mean twenty minutes and more; and "
    "it sees neither a stopped process nor a hang while idle.",
    fix="leave `server.health.limit` at a minute or a few, and SGLang's health check as it is; or lower "
    "`watchdog-timeout` to what the longest pass takes",
    sources=("sglang/srt/utils/watchdog.py (0.5.23)", "glmdeploy/runtime/watch.py", f"{ISSUES}30209"),
    check=_long_watchdog,
    fails=(
        example('sglang.env.SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION="0"'),
        example("server.health.limit=30m", "server.health.timeout=1805"),
    ),
    passes=(
        example(),
        example('sglang.env.SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION="0"', "sglang.args.watchdog-timeout=400"),
        example("server.health.limit=2m", "server.health.timeout=125"),
    ),
    looked=Look(date="2026-11-29", release="0.5.23"),
)

UNSEEN_RANK = Rule(
    id="GLM131",
    title="data-parallel rank that can hang unnoticed",
    severity=Severity.INFO,
    topic=Topic.TIME,
    why="Without attention's data parallelism each rank is an engine of its own, and /health answers 200 when any of "
    "them does. From 0.5.13.post1 on the container looks at each rank's own time in /v1/loads; before, that is a "
    "message through the ranks themselves, and tells nothing of one that hangs.",
    fix="use 0.5.13.post1 or newer, or one rank a container",
    sources=(
        "sglang/srt/entrypoints/http_server.py (0.5.10 to 0.5.23)",
        "sglang/srt/managers/load_snapshot.py (0.5.23)",
    ),
    check=_unseen_rank,
    scope=Scope(until="0.5.12.post1"),
    fails=(example("sglang.args.dp=2", "sglang.args.tp=4", "model.repo=acme/other"),),
    passes=(example(), example("sglang.args.dp=2", "sglang.args.tp=4", "model.repo=acme/other", profile=AT_0_5_23)),
)

RULES = (LIMITS, LONG_PASS, CONSTANT, LONG_WATCHDOG, UNSEEN_RANK)
