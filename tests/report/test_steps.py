"""The steps of a change, as they are told: recorded events, rendered at three widths, on a terminal and without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from looked_at import URL, plan

from glmdeploy.errors import DeployError
from glmdeploy.operate import events
from glmdeploy.operate.preflight import Preflight
from glmdeploy.operate.proof import Healthy, Starting
from glmdeploy.report.progress import endpoint_text, event_data, headline
from glmdeploy.report.rows import coming_line, live_lines, plain_progress, told_lines
from glmdeploy.report.steps import Steps, framed
from glmdeploy.report.told import FAILED, Note, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTHS = (40, 80, 120)
NAMES = ("preflight", "weights", "kernels", "rehearsal", "deploy", "start", "verify")
FIGURES = {
    "time_to_first_token_ms": {"p50": 210.0},
    "output_token_throughput_per_user_tokens_per_s": {"p50": 71.2},
    "acceptance_length_tokens": 3.1,
}
LOOKED = Preflight(arguments="SGLang 0.5.11 takes the arguments", secrets=2, coming=756_000_000_000)
DIED = DeployError(
    "the new version of glm51-fp8 refuses to serve: SGLang ended while starting: exit code -9 (SIGKILL)",
    advice="it never answered a request\n  | torch.OutOfMemoryError: tried to allocate 5.90 GiB, 3.11 GiB free\n"
    "  | while capturing the CUDA graph of batch 48\nall of its output: `glmdeploy logs glm51-fp8 --version 8`",
)
"""An event, or a line of others, and the seconds after the one before."""
STAGES: tuple[tuple[float, Any], ...] = (
    (0, events.StageStarted(name="preflight")),
    (2, "Building image im-0123456789"),
    (9, events.Judged(found=LOOKED)),
    (0, events.StageStarted(name="download")),
    (600, "211.2 of 704.1 GiB, 360 MiB/s on average"),
    (820, events.StageEnded(name="download", files=141, size=756_000_000_000)),
    (0, events.StageStarted(name="compile")),
    (60, "[2026-11-27 10:02:11] Try DeepGEMM JIT Compiling for <GEMM_NT_F8F8BF16> N=24576, K=1536, num_groups=1"),
    (20, "DeepGEMM warmup:  61%|██████    | 625/1024 [00:12<00:07, 51.3it/s]"),
    (582, events.StageEnded(name="compile", files=1870, size=2_900_000_000, gpus=("B200:8",))),
    (0, events.StageStarted(name="rehearse")),
    (31, events.Judged(found=Preflight(arguments="SGLang 0.5.11 takes them on a simulated B200:8"))),
)
PUBLISHED: tuple[tuple[float, Any], ...] = (
    (0, events.Deploying()),
    (4, events.Published(version=8, before=7)),
    (0, events.Located(url=URL)),
    (0, events.Guarded(version=8, before=7, room={"min_containers": 1})),
    (0, events.Waiting()),
    (31, Starting(text="imports took 31 s; now loading weights, 756 GB")),
    (260, Starting(text="loading weights 61 %, about 3 min left")),
)
SERVES: tuple[tuple[float, Any], ...] = (
    (191, Healthy(seconds=482, task="ta-1")),
    (1, events.KeyRequired(required=True)),
    (6, events.Answered(checks=("health", "key", "model", "chat", "stream"), figures=FIGURES)),
    (0, events.Leaving(before=7)),
    (12, events.OldGone(left=0)),
)
TAKEN_BACK: tuple[tuple[float, Any], ...] = (
    (1, events.TakingBack(version=8, to=7, fault=DIED)),
    (3, events.TakenBack(version=8, runs=9, of=7, silent=0.0)),
)


class Played:
    """Events at their times: what was told for good, and what a terminal shows in the end."""

    def __init__(self, names: Sequence[str] = NAMES, expected: dict[str, float] | None = None) -> None:
        self.now = 0.0
        self.steps = Steps(names, expected=expected, clock=lambda: self.now)
        self.told: list[Any] = []
        self.result: dict[str, Any] = {}

    def play(self, timed: Sequence[tuple[float, Any]]) -> Played:
        for seconds, each in timed:
            self.now += seconds
            if isinstance(each, str):
                self.steps.overhear(each)
            else:
                self.told += self.steps.hear(each)
                self.result |= event_data(each)
        return self

    def shown(self, width: int, *, live: bool = False) -> str:
        told = [each for each in self.told if not (live and isinstance(each, Note) and each.passing)]
        lines = [line for each in told for line in told_lines(each, width)]
        if live:
            row = self.steps.running
            lines += live_lines(row, width, "⠸") if row else []
            lines += map(coming_line, self.steps.coming)
            lines += [f"  {self.steps.footer}"] if self.steps.footer else []
        return click.unstyle("\n".join(lines)) + "\n"


@pytest.mark.parametrize("width", WIDTHS)
def test_an_apply_that_ends_well(width: int, snapshot: Callable[[str, str], None]) -> None:
    played = Played().play([*STAGES, *PUBLISHED, *SERVES])
    shown = played.shown(width)
    assert max(map(len, shown.splitlines())) <= width
    snapshot(f"steps-well-{width}", shown)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    ("name", "timed"),
    [("images", STAGES[:2]), ("weights", STAGES[:5]), ("kernels", STAGES[:9]), ("start", [*STAGES, *PUBLISHED])],
    ids=["images", "weights", "kernels", "start"],
)
def test_what_a_terminal_shows_meanwhile(
    name: str, timed: Sequence[tuple[float, Any]], width: int, snapshot: Callable[[str, str], None]
) -> None:
    shown = Played().play(timed).shown(width, live=True)
    drawn = [line for line in shown.splitlines() if "⠸" in line]
    assert [len(line) <= width for line in drawn] == [True], "one line, which no terminal breaks"
    snapshot(f"steps-live-{name}-{width}", shown)


@pytest.mark.parametrize("width", WIDTHS)
def test_an_apply_that_fails(width: int, snapshot: Callable[[str, str], None]) -> None:
    played = Played().play([*STAGES, *PUBLISHED, *TAKEN_BACK])
    assert [each.name for each in played.told if isinstance(each, Row) and each.state == FAILED] == ["start"]
    assert not played.steps.running
    assert not played.steps.coming
    snapshot(f"steps-failed-{width}", played.shown(width))


def test_a_stage_that_fails_shows_what_others_said_last() -> None:
    played = Played().play(STAGES[:5])
    played.now += 7
    played.told += played.steps.fail(DeployError("the stage download failed: no space"), ["No space left on device"])
    row, output = played.shown(80).splitlines()[-2:]
    assert row.split() == ["✗", "weights", "failed", "10", "min", "7", "s"]
    assert output == "      | No space left on device"


def test_an_interrupt_is_no_failure_of_the_step() -> None:
    played = Played().play(STAGES[:5])
    [row] = played.steps.fail(KeyboardInterrupt(), ["a line"])
    assert (row.name, row.text) == ("weights", "interrupted")


def test_the_estimate_says_how_long_where_nothing_else_does() -> None:
    played = Played(expected={"start": 480.0}).play([*STAGES, *PUBLISHED[:5]])
    played.now += 60
    row = played.steps.running
    assert row is not None
    assert row.left == 420
    assert "about 7 min left" in plain_progress(row, 80)[0]
    played.play([(1, Starting(text="loading weights 61 %, about 90 s left"))])
    row = played.steps.running
    assert row is not None
    assert row.left == 90, "the engine knows better"
    played.now += 10_000
    played.play([(0, Starting(text="imports took 9 s; now memory and graphs"))])
    row = played.steps.running
    assert row is not None
    assert row.left is None, "an estimate that is over says nothing"


def test_a_canary_is_one_step() -> None:
    canary = [
        (0.0, events.CanaryStarted(app="glm51-fp8-canary")),
        (1.0, events.Deploying()),
        (1.0, events.Waiting()),
        (1.0, Starting(text="loading weights 10 %, about 9 min left")),
        (1.0, Healthy(seconds=3, task="ta-1")),
        (1.0, events.Answered(checks=("health",))),
        (1.0, events.CanaryPassed(app="glm51-fp8-canary")),
    ]
    played = Played(("canary", "deploy", "start", "verify")).play(canary)
    assert [row.name for row in played.told] == ["canary"]
    assert played.told[0].seconds == 6
    assert played.steps.coming == ("deploy", "start", "verify")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_end(width: int, snapshot: Callable[[str, str], None]) -> None:
    played = Played().play([*STAGES, *PUBLISHED, *SERVES])
    found = plan("sglang.args.max-running-requests=40")
    text = endpoint_text(found, Modal(), URL, program="glmdeploy", hourly=50.0, width=width)  # type: ignore[arg-type]
    snapshot(f"steps-end-{width}", f"{headline(found, played.result)}\n{click.unstyle(text)}\n")


class Modal:
    """As much of a target as the text asks for."""

    cloud = None

    def glmdeploy(self, arguments: str) -> str:
        return f"`glmdeploy {arguments}`"


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ({"version": 8, "verified": ["health"]}, "glm51-fp8 version 8 is live and verified"),
        ({"version": 8, "healthy_after": 3, "proven": True}, "glm51-fp8 version 8 is live and proven; its public"),
        ({"version": 8, "healthy_after": 3, "proven": False}, "glm51-fp8 version 8 is live and answers, and was not"),
        ({"version": 8}, "glm51-fp8 version 8 is live; nobody has looked"),
        ({"version": 8, "skipped": True}, ""),
        ({}, ""),
    ],
)
def test_a_headline_claims_what_was_seen(result: dict[str, Any], says: str) -> None:
    told = headline(plan(), result)
    assert told.startswith(says)
    assert bool(told) == bool(says)


@given(
    st.lists(st.sampled_from([each for _, each in (*STAGES, *PUBLISHED, *SERVES, *TAKEN_BACK)]), max_size=30),
    st.integers(20, 130),
)
def test_any_order_of_events_is_told(mixed: list[Any], width: int) -> None:
    """An event that comes unexpected, as after a resumed rollout, is told in lines that a terminal holds."""
    played = Played().play([(1.0, each) for each in mixed])
    for each in played.told:
        for line in told_lines(each, width):
            assert "\n" not in line
    row = played.steps.running
    if row is not None:
        assert len(live_lines(row, max(width, 40), "⠸")) == 1


def test_the_lines_of_others_are_taken_out_of_an_advice() -> None:
    lines, rest = framed(DIED.advice or "")
    assert lines[0].startswith("torch.OutOfMemoryError")
    assert rest.splitlines() == [
        "it never answered a request",
        "all of its output: `glmdeploy logs glm51-fp8 --version 8`",
    ]
