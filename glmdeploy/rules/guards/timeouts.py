"""Rules about the chain of time limits: download, compilation, cold start, and SGLang's watchdog.

Estimates are :mod:`glmdeploy.sizing.timeline`'s, for models whose size ships with glmdeploy. An error says that a limit
is below what was ever measured or reported, a warning that it is below what is likely.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.findings import SetValue, Severity
from glmdeploy.profile import durations
from glmdeploy.profile.fields import MAX_TIMEOUT
from glmdeploy.rules.container import COMPILE_MARGIN, SETTLE
from glmdeploy.rules.rule import ISSUES, Rule, Topic, Violation, example
from glmdeploy.sizing import timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from glmdeploy.findings import Edit, KeyPath
    from glmdeploy.rules.facts import Facts
    from glmdeploy.sizing.timeline import Step

_WATCHDOG = "watchdog_timeout"
FIRST_PASS = 90
"""Seconds for which a first request was seen to stay without an answer while kernels compiled (facts of 0.5.11)."""

_STARTUP: KeyPath = ("server", "startup_timeout")

_SEED = "https://www.quantml.org/guides/glm-5-1-fp8/configuration"
_LARGE_MODELS = "https://modal.com/docs/examples/very_large_models"
_TIMEOUTS = "https://modal.com/docs/guide/timeouts"
_MEASURED = "SGLang 0.5.11 on one H100 (ready 52 to 64 s after its start, first answer up to 60 s later)"


def _watchdog(facts: Facts) -> Iterator[Violation]:
    model, limit = facts.model_loaded, facts.value(_WATCHDOG)
    if facts.value("device") not in (None, "cuda") or not isinstance(limit, int | float) or isinstance(limit, bool):
        return
    slow = model is not None and limit < timeline.weight_load(model)
    if limit < FIRST_PASS or slow:
        default = "" if _WATCHDOG in facts.settings else ", SGLang's default"
        seen = (
            f"no first answer within {FIRST_PASS} s, with cold kernels, was seen"
            if limit < FIRST_PASS
            else ("the first pass of a large model, which compiles kernels, was seen to outlast it")
        )
        yield Violation(
            path=facts.path(_WATCHDOG),
            key=_WATCHDOG not in facts.settings,
            message=f"`watchdog-timeout` is {limit:g} s{default}: SGLang ends a server whose pass takes longer, and "
            f"{seen}",
            edits=facts.put(_WATCHDOG, 1200),
        )


def _start_impossible(facts: Facts) -> Iterator[Violation]:
    steps = facts.cold_start(compiled=True)
    yield from _short_start(facts, steps, [step.least for step in steps], "at the least")


def _start_unlikely(facts: Facts) -> Iterator[Violation]:
    if not any(_start_impossible(facts)):
        steps = facts.cold_start()
        yield from _short_start(facts, steps, [step.seconds for step in steps], "as estimated")


def _short_start(facts: Facts, steps: Iterable[Step], seconds: list[int], how: str) -> Iterator[Violation]:
    limit = facts.profile.server.startup_timeout
    if facts.ready_within < sum(seconds):
        parts = ", ".join(f"{step.name} {time}" for step, time in zip(steps, seconds, strict=True))
        yield Violation(
            path=_STARTUP,
            message=f"`startup_timeout` is {limit} s, of which {SETTLE} are for a clean end, and a cold start takes "
            f"{sum(seconds)} s {how} ({parts})",
            edits=_raised(_STARTUP, sum(step.seconds for step in facts.cold_start()) + SETTLE),
        )


def _download_impossible(facts: Facts) -> Iterator[Violation]:
    yield from _short_download(facts, timeline.VOLUME_RATE, "the fastest that a Modal Volume was reported to be")


def _download_unlikely(facts: Facts) -> Iterator[Violation]:
    if not any(_download_impossible(facts)):
        yield from _short_download(facts, timeline.HUB_RATE, "what the Hub is reported to give")


def _short_download(facts: Facts, rate: int, whose: str) -> Iterator[Violation]:
    model, limit = facts.model_loaded, facts.profile.download.timeout
    if model is not None and limit < (needed := timeline.download(model, rate)):
        path = ("download", "timeout")
        yield Violation(
            path=path,
            message=f"{model.weights / 1e9:.0f} GB in {durations.describe(limit)} means more than "
            f"{rate / 1e6:.0f} MB a second, {whose}: it takes {needed} s at that rate",
            edits=_raised(path, timeline.download(model)),
        )


def _compile_impossible(facts: Facts) -> Iterator[Violation]:
    yield from _short_compile(facts, least=True)


def _compile_unlikely(facts: Facts) -> Iterator[Violation]:
    if not any(_compile_impossible(facts)):
        yield from _short_compile(facts, least=False)


def _short_compile(facts: Facts, *, least: bool) -> Iterator[Violation]:
    model, stage, compiles = facts.model_loaded, facts.profile.compile, facts.compiler_gives_up_after
    if model is None or stage is None or compiles is None or not facts.block_fp8:
        return
    steps = timeline.cold_start(model, compiled=False)
    needed = sum(step.least if least else step.seconds for step in steps)
    if compiles < needed:
        path = ("compile", "timeout")
        yield Violation(
            path=path,
            message=f"the stage may take {durations.describe(stage.timeout)}, of which {stage.timeout - compiles} s "
            f"are for a clean end; loading the weights and compiling the kernels takes {needed} s "
            f"{'at the least' if least else 'as estimated'}",
            edits=_raised(path, sum(step.seconds for step in steps) + COMPILE_MARGIN),
        )


def _short_life(facts: Facts) -> Iterator[Violation]:
    server = facts.profile.server
    if server.timeout <= server.startup_timeout:
        yield Violation(
            path=("server", "timeout"),
            message=f"`timeout` {durations.describe(server.timeout)} is not above `startup_timeout` "
            f"{durations.describe(server.startup_timeout)}",
            edits=(SetValue(path=("server", "timeout"), value=MAX_TIMEOUT),),
        )


def _raised(path: KeyPath, seconds: int) -> tuple[Edit, ...]:
    return (SetValue(path=path, value=min(_roomy(seconds), MAX_TIMEOUT)),)


def _roomy(seconds: int) -> int:
    """A round limit with a quarter to spare, in seconds: a multiple of five minutes."""
    return -(-seconds * 5 // 4 // 300) * 300


WATCHDOG = Rule(
    id="GLM009",
    title="watchdog that may end a slow first pass",
    severity=Severity.WARNING,
    topic=Topic.KNOWN_ISSUE,
    why="SGLang's scheduler starts its watchdog after the weights are loaded, and it ends a server whose batch makes "
    "no progress for so long (0.5.10 to 0.5.23). What takes minutes there is a first batch that compiles kernels: on "
    "a B200 the default of 300 s ended a server at its first request (#9064), and on an H100 a model of a few "
    "megabytes had not answered after 90 s with cold kernels (measured, 0.5.11). The configuration page that this "
    "deployment follows sets 1200 s for a model that loads in 5 to 7 minutes; the load itself is not what is timed. A "
    "longer limit costs only that a real hang is noticed later, and the container's own health watch notices it "
    "sooner.",
    fix="write `watchdog-timeout: 1200` under `sglang.args`",
    sources=(_SEED, "sglang/srt/managers/scheduler.py (0.5.10 to 0.5.23)", f"{ISSUES}9064", f"{ISSUES}9867"),
    check=_watchdog,
    fails=(
        example("sglang.args.watchdog-timeout=null"),
        example("sglang.args.watchdog-timeout=300"),
        example("sglang.args.watchdog-timeout=null", profile="b200-eagle-bf16kv-0.5.23"),
        example("sglang.args.watchdog-timeout=60", profile="h100-glm45-air-fp8"),
        example("sglang.args.watchdog-timeout=60", "model.repo=acme/other"),
    ),
    passes=(
        example(),
        example("sglang.args.watchdog-timeout=400"),
        example("sglang.args.watchdog-timeout=null", profile="h100-glm45-air-fp8"),
        example("sglang.args.watchdog-timeout=null", "model.repo=acme/other"),
        example(profile="local-cpu"),
    ),
)

START_IMPOSSIBLE = Rule(
    id="GLM040",
    title="start-up limit below any cold start",
    severity=Severity.ERROR,
    topic=Topic.TIME,
    why="Modal ends a container that is not ready within `startup_timeout`, and starts the next one: the GPUs are "
    "paid for, and nothing is ever served. SGLang alone needs 52 to 64 s for a model of a few megabytes (measured "
    "with 0.5.11 on an H100), and GLM-5.1-FP8 was reported to load in 5 to 7 minutes from a Modal Volume. Modal's own "
    "defaults are worse: `timeout` stands in for a start-up limit that is left out, and with `@app.server` it is 30 s.",
    fix="raise `server.startup_timeout`",
    sources=(_TIMEOUTS, _LARGE_MODELS, _SEED, _MEASURED),
    check=_start_impossible,
    fails=(
        example("server.startup_timeout=5m"),
        example("server.startup_timeout=60", "model.repo=acme/other"),
        example("server.startup_timeout=1m", profile="h100-glm45-air-fp8"),
    ),
    passes=(
        example(),
        example("server.startup_timeout=10m"),
        example("server.startup_timeout=70", "model.repo=acme/other"),
        example("server.startup_timeout=2m", profile="local-cpu"),
    ),
)

START_UNLIKELY = Rule(
    id="GLM041",
    title="start-up limit below a likely cold start",
    severity=Severity.WARNING,
    topic=Topic.TIME,
    why="The estimate adds what was measured and reported: 30 s of imports, the weights at 2.1 GB a second, 10 to 15 "
    "minutes for DeepGEMM's kernels where no stage has compiled them, 25 s for KV pool and CUDA graphs, and up to 60 "
    "s until the first answer on a fresh machine. Where the limit is shorter, Modal ends the container and starts "
    "another, which pays for the same again.",
    fix="raise `server.startup_timeout`, and have the kernels compiled beforehand by the stage `compile`",
    sources=(_TIMEOUTS, _LARGE_MODELS, _SEED, _MEASURED),
    check=_start_unlikely,
    fails=(
        example("server.startup_timeout=450"),
        example("compile=null"),
        example("compile=null", profile="h200-eagle-bf16kv"),
    ),
    passes=(
        example(),
        example("compile=null", "server.startup_timeout=30m"),
        example("compile=null", 'sglang.env.SGLANG_ENABLE_JIT_DEEPGEMM="0"'),
    ),
)

DOWNLOAD_IMPOSSIBLE = Rule(
    id="GLM042",
    title="download limit that no network meets",
    severity=Severity.ERROR,
    topic=Topic.TIME,
    why="The stage `download` writes the checkpoint into a Modal Volume, for which Modal tells one to three gigabytes "
    "a second. A limit below the files' size at three gigabytes a second ends every run of the stage. What was "
    "fetched stays in the volume, so that a later run goes on from there.",
    fix="raise `download.timeout`",
    sources=(_LARGE_MODELS,),
    check=_download_impossible,
    fails=(example("download.timeout=4m"), example("download.timeout=30s", profile="h100-glm45-air-fp8")),
    passes=(
        example(),
        example("download.timeout=5m"),
        example("download.timeout=1m", profile="h100-glm45-air-fp8"),
        example("download.timeout=1m", "model.repo=acme/other"),
    ),
)

DOWNLOAD_UNLIKELY = Rule(
    id="GLM043",
    title="download limit that needs a fast network",
    severity=Severity.WARNING,
    topic=Topic.TIME,
    why='The Hub gives "a few hundred megabytes a second" by Modal\'s own experience with large models; the estimate '
    "takes 300. hf-xet's high-performance mode can be faster. What was fetched stays in the volume, so that a run that "
    "is cut off is no loss, but `apply` has to be run again.",
    fix="raise `download.timeout`",
    sources=(_LARGE_MODELS, "https://huggingface.co/docs/hub/xet"),
    check=_download_unlikely,
    fails=(example("download.timeout=30m"), example("download.timeout=5m", profile="h100-glm45-air-fp8")),
    passes=(example(), example("download.timeout=45m"), example("download.timeout=30m", "model.repo=acme/other")),
)

COMPILE_IMPOSSIBLE = Rule(
    id="GLM044",
    title="compile limit below any compilation",
    severity=Severity.ERROR,
    topic=Topic.TIME,
    why="The stage `compile` starts the server, weights and all, and lets it compile DeepGEMM's kernels: 10 to 15 "
    "minutes on top of a load of 5 to 7, as reported (SGLang's log says 10 to 20). When the limit passes, the GPUs "
    "have been paid for and no completion mark is written, so that the next `apply` runs the stage again.",
    fix="raise `compile.timeout`",
    sources=(_SEED, "sglang/compile_deep_gemm.py (0.5.11)", _LARGE_MODELS),
    check=_compile_impossible,
    fails=(example("compile.timeout=10m"), example("compile.timeout=15m", profile="h200-eagle-bf16kv")),
    passes=(
        example(),
        example("compile.timeout=18m"),
        example("compile.timeout=10m", "model.repo=acme/other"),
    ),
)

COMPILE_UNLIKELY = Rule(
    id="GLM045",
    title="compile limit below a likely compilation",
    severity=Severity.WARNING,
    topic=Topic.TIME,
    why="The estimate is 12.5 minutes for DeepGEMM's kernels, the middle of the reported 10 to 15, and the weights at "
    "2.1 GB a second. When the limit passes, the GPUs have been paid for, and the next `apply` runs the stage again.",
    fix="raise `compile.timeout`",
    sources=(_SEED, "sglang/compile_deep_gemm.py (0.5.11)", _LARGE_MODELS),
    check=_compile_unlikely,
    fails=(example("compile.timeout=20m"),),
    passes=(example(), example("compile.timeout=25m")),
)

SHORT_LIFE = Rule(
    id="GLM046",
    title="timeout not above startup_timeout",
    severity=Severity.WARNING,
    topic=Topic.TIME,
    why="`timeout` bounds one input, here one request with its answer, and not the life of a container, as the "
    "configuration page that this deployment follows says; the start has a limit of its own. A value as short as the "
    "start-up limit looks like the two mistaken for each other, and cuts long answers off.",
    fix="raise `server.timeout`; 24h is the most that Modal allows",
    sources=(_TIMEOUTS, _SEED),
    check=_short_life,
    fails=(example("server.timeout=10m"), example("server.timeout=900")),
    passes=(example(), example("server.timeout=16m")),
)

RULES = (
    *(WATCHDOG, START_IMPOSSIBLE, START_UNLIKELY, DOWNLOAD_IMPOSSIBLE, DOWNLOAD_UNLIKELY),
    *(COMPILE_IMPOSSIBLE, COMPILE_UNLIKELY, SHORT_LIFE),
)
