"""The rules of the watch for hangs, in simulated hours: whom they accuse, when, and whom never."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.runtime.judge import Hang, HangLimits, Judge, Reading, blind_rules
from glmdeploy.runtime.prober import Prober
from glmdeploy.runtime.vitals import Vital

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LIMITS = HangLimits(limit=60, compiling=300)
SMALL = HangLimits(limit=5, compiling=20)
BOTH = st.sampled_from([LIMITS, SMALL])

SCHEDULER = Vital(pid=11, began=1, command="sglang::schedul", title="sglang::scheduler", state="R", cpu=1.0)
DETOKENIZER = Vital(
    pid=12, began=1, command="sglang::detoken", title="sglang::detokenizer", state="S", cpu=1.0, switches=7
)


def first_hang(judge: Judge, readings: Iterable[Reading]) -> tuple[float, Hang] | None:
    """The first verdict and the time of the reading that gave it."""
    for reading in readings:
        if hang := judge.judge(reading):
            return reading.at, hang
    return None


def ticks(limits: HangLimits, until: float, start: float = 0.0) -> list[float]:
    """The times of readings as the watch takes them."""
    return [start + number * limits.between for number in range(int((until - start) / limits.between) + 1)]


def answered(times: Sequence[float], at: float) -> float | None:
    return max((time for time in times if time <= at), default=None)


# H and C


def test_silence_is_counted_from_a_second_before_the_answer() -> None:
    """A pass of 45 s whose probe took 46: counted from the probe's start, as a first rule did, it was a false alarm."""
    found = first_hang(Judge(LIMITS), (Reading(at, answered=10.0 if at >= 10 else None) for at in ticks(LIMITS, 200)))
    assert found is not None
    at, hang = found
    assert (at, hang.rule) == (69.0, "H")
    assert hang.says == "hung (H): /health gave no sign of life for 60 s"


def test_an_engine_that_never_answers_is_hung_when_the_limit_is_over() -> None:
    found = first_hang(Judge(LIMITS), (Reading(at) for at in ticks(LIMITS, 200)))
    assert found is not None
    assert found[0] == 60.0


@given(BOTH, st.lists(st.floats(0.01, 0.99), min_size=1, max_size=100), st.data())
def test_who_answers_in_time_is_never_hung(limits: HangLimits, parts: list[float], data: st.DataObject) -> None:
    """Whatever the readings' times: answers less than the limit apart, less the second that each counts back."""
    times = list(itertools.accumulate(part * (limits.limit - 1.0) for part in parts))
    steps = data.draw(st.lists(st.floats(0.05, 20), min_size=1, max_size=20))
    readings, now = [], 0.0
    for step in itertools.cycle(steps):
        readings.append(Reading(now, answered=answered(times, now), compiling=step > 10))
        now += step * limits.between
        if now > times[-1]:
            break
    assert first_hang(Judge(limits), readings) is None


@given(BOTH, st.lists(st.floats(0.01, 0.9), max_size=20), st.booleans())
def test_who_falls_silent_is_hung_soon_after_the_limit_and_not_before(
    limits: HangLimits, parts: list[float], loaded: bool
) -> None:
    times = [1.0, *itertools.accumulate((part * (limits.limit - 1.0) for part in parts), initial=1.0)]
    last = times[-1]
    working = (SCHEDULER, replace(DETOKENIZER, switches=9)) if loaded else None
    readings = (
        Reading(at, answered=answered(times, at), processes=working, decoded=0.0)
        for at in ticks(limits, last + 2 * limits.limit)
    )
    found = first_hang(Judge(limits), readings)
    assert found is not None
    at, hang = found
    assert hang.rule == "H"
    assert last - 1 + limits.limit - 1e-6 <= at <= last - 1 + limits.limit + limits.between + 1e-6


@given(BOTH, st.lists(st.tuples(st.booleans(), st.floats(1, 100)), min_size=1, max_size=30))
def test_compiling_excuses_as_long_as_it_may(limits: HangLimits, phases: list[tuple[bool, float]]) -> None:
    """Silence begins with the watch; the verdict comes when the limit is over, compiling apart, its own limit kept."""
    readings, now = [Reading(0.0)], 0.0
    quiet = excused = 0.0
    expected = None
    for compiling, seconds in [*phases, (False, limits.limit + 1)]:
        for _ in range(int(seconds / limits.between)):
            now += limits.between
            readings.append(Reading(now, compiling=compiling))
            if compiling and excused + 1e-9 < limits.compiling:
                excused += limits.between
            else:
                quiet += limits.between
            if expected is None and quiet >= limits.limit - 1e-6:
                expected = now
    found = first_hang(Judge(limits), readings)
    assert found is not None
    assert expected is not None
    assert abs(found[0] - expected) <= 2 * limits.between
    assert found[0] <= limits.limit + limits.compiling + 2 * limits.between


def test_a_sign_of_life_lets_a_compiler_begin_anew() -> None:
    def reading(at: float) -> Reading:
        return Reading(at, answered=at // 350 * 350 + 1, compiling=at % 350 > 3)

    assert first_hang(Judge(LIMITS), (reading(at) for at in ticks(LIMITS, 7200))) is None


def test_the_verdict_says_what_was_excused() -> None:
    found = first_hang(Judge(SMALL), (Reading(at, compiling=True) for at in ticks(SMALL, 100)))
    assert found is not None
    assert found[1].says == "hung (H): /health gave no sign of life for 5 s, 20 s of compiling apart"
    assert found[0] == pytest.approx(25, abs=0.3)


@given(BOTH, st.lists(st.tuples(st.integers(0, 5), st.floats(0, 90_000)), max_size=40))
def test_time_without_readings_accuses_nobody(limits: HangLimits, pauses: list[tuple[int, float]]) -> None:
    """A machine that is paused for hours, or a watch that gets no processor: the engine answers soon after."""
    readings, now = [], 0.0
    stopped_then = (replace(SCHEDULER, state="T"), DETOKENIZER)
    for number, pause in pauses:
        now += pause
        readings.append(Reading(now, answered=None if not readings else readings[-1].answered, processes=stopped_then))
        for _ in range(number + 3):
            now += limits.between / 2
            readings.append(Reading(now, answered=now, processes=(SCHEDULER, DETOKENIZER)))
    assert first_hang(Judge(limits), readings) is None


def test_an_answer_before_a_pause_is_no_hour_old() -> None:
    """It came just after a reading, and then everything stood still."""
    judge = Judge(LIMITS)
    times = [(0.0, None), (1.0, None), (3600.0, 1.1), (3601.0, 1.1), (3602.0, 3601.5)]
    assert first_hang(judge, (Reading(at, answered=last) for at, last in times)) is None
    assert judge.quiet == 1.5


def test_what_cannot_be_asked_is_no_silence() -> None:
    readings = [Reading(at, asked=False) for at in ticks(LIMITS, 7200)]
    assert first_hang(Judge(LIMITS), readings) is None
    assert blind_rules(readings[0], LIMITS, None)["H"] == "/health cannot be asked from here"


# D


def decoding(
    limits: HangLimits, wakes: Sequence[float], until: float, passes: float, arrivals: float | None = None
) -> list[Reading]:
    """An engine that answers, decodes ``passes`` a second, and whose detokenizer wakes at those times.

    ``arrivals``: messages a second that reach it, None where they cannot be seen.
    """
    return [
        Reading(
            at,
            answered=at,
            decoded=at * passes,
            processes=(
                SCHEDULER,
                replace(
                    DETOKENIZER,
                    switches=7 + sum(wake <= at for wake in wakes),
                    arrivals=None if arrivals is None else int(at * arrivals),
                ),
            ),
        )
        for at in ticks(limits, until)
    ]


@given(
    BOTH,
    st.lists(st.floats(0.01, 0.9), max_size=15),
    st.sampled_from([40.0, 400.0]),
    st.sampled_from([None, 1.0, 20.0]),
)
def test_decoding_that_nobody_hears_is_a_hang(
    limits: HangLimits, parts: list[float], passes: float, arrivals: float | None
) -> None:
    """In three windows after the last waking, each of which ends with a reading; never before."""
    wakes = [0.0, *itertools.accumulate(part * 3 * limits.window for part in parts)]
    until = wakes[-1] + 6 * limits.window
    often = None if arrivals is None else arrivals * 10 / limits.window
    found = first_hang(Judge(limits), decoding(limits, wakes, until, passes * 10 / limits.window, often))
    assert found is not None
    at, hang = found
    assert hang.rule == "D"
    assert wakes[-1] + 3 * limits.window <= at + 1e-6 <= wakes[-1] + 3 * limits.window + 5 * limits.between


def test_lines_of_the_last_waking_do_not_count() -> None:
    """The scheduler logged a line in the second of the detokenizer's last waking, then its pass compiled for 80 s."""
    readings = [
        Reading(at, answered=min(at, 12.0), compiling=at > 12, decoded=0.0 if at < 12 else 400.0, processes=both)
        for at in ticks(LIMITS, 92)
        for both in [(SCHEDULER, replace(DETOKENIZER, switches=9 if at >= 11 else 8))]
    ]
    assert first_hang(Judge(LIMITS), readings) is None


@given(BOTH, st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_a_window_without_decoding_begins_anew(limits: HangLimits, parts: list[float]) -> None:
    """Requests come and go, and the detokenizer sleeps between them: it wakes with the first token of each."""
    readings, wakes, decoded, now = [], 7, 0.0, 0.0
    for number, part in enumerate(parts):
        for _ in range(int(part * limits.window / limits.between)):
            now += limits.between
            if number % 2:
                decoded, wakes = decoded + 100, wakes + 1
            both = (SCHEDULER, replace(DETOKENIZER, switches=wakes))
            readings.append(Reading(now, answered=now, decoded=decoded, processes=both))
    assert first_hang(Judge(limits), readings) is None


@given(BOTH, st.sampled_from([0.0, 0.02]))
def test_decoding_that_sends_nothing_is_no_hang(limits: HangLimits, arrivals: float) -> None:
    """A client chose an interval of a million tokens for its stream: the detokenizer rightly sleeps for minutes."""
    assert first_hang(Judge(limits), decoding(limits, [0.0], 600, 400, arrivals)) is None


def test_decoding_now_and_then_is_no_hang() -> None:
    """Every second window has none of it."""
    readings = [replace(one, decoded=one.at // 20 * 400) for one in decoding(LIMITS, [0.0], 3600, 1)]
    assert first_hang(Judge(LIMITS), readings) is None


def test_passes_told_in_the_first_window_may_have_been_heard() -> None:
    """A count that came late: a thousand passes before the last waking, and ten in each window since."""
    readings = [
        replace(one, decoded=0.0 if one.at < 3 else 1000 + one.at // 10 * 10)
        for one in decoding(LIMITS, [0.0, 45.0, 90.0], 130, 1)
    ]
    assert first_hang(Judge(LIMITS), readings) is None


def test_one_line_in_each_window_is_enough() -> None:
    readings = [replace(one, decoded=one.at // 10 * 40) for one in decoding(LIMITS, [0.0], 60, 1)]
    found = first_hang(Judge(LIMITS), readings)
    assert found is not None
    assert (found[0], found[1].rule) == (30.0, "D")


def test_slow_passes_whose_messages_arrive_count_too() -> None:
    found = first_hang(Judge(LIMITS), decoding(LIMITS, [0.0], 60, 1, 1))
    assert found is not None
    assert (found[0], found[1].rule) == (30.0, "D")


def test_few_passes_owe_the_detokenizer_nothing() -> None:
    """Requests that are not streamed send every 50th token: an engine with one pass a second is not hung."""
    assert first_hang(Judge(LIMITS), decoding(LIMITS, range(0, 3600, 50), 3600, 1)) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"processes": (SCHEDULER, replace(DETOKENIZER, switches=None))}, "/proc does not say how often"),
        ({"processes": (SCHEDULER,)}, "no process of a detokenizer can be seen"),
        ({"processes": (SCHEDULER, replace(DETOKENIZER, state="Z"))}, "no process of a detokenizer can be seen"),
        ({"processes": None}, "no process of a detokenizer can be seen"),
        ({"decoded": None}, "/v1/loads does not say how much was decoded"),
    ],
)
def test_what_is_unknown_ends_no_engine(change: dict[str, Any], reason: str) -> None:
    readings = [replace(reading, **change) for reading in decoding(LIMITS, [0.0], 7200, 10)]
    assert first_hang(Judge(LIMITS), readings) is None
    assert blind_rules(readings[0], LIMITS, 1)["D"].startswith(reason)
    assert "D" not in blind_rules(readings[0], replace(LIMITS, decoding=False), 1)


def test_the_rule_is_off_without_a_detokenizer() -> None:
    off = replace(LIMITS, decoding=False)
    assert first_hang(Judge(off), decoding(off, [0.0], 7200, 10)) is None


# S


@given(BOTH, st.sampled_from("Tt"), st.lists(st.floats(0.01, 0.9), max_size=20))
def test_a_process_that_stays_stopped_is_a_hang(limits: HangLimits, state: str, parts: list[float]) -> None:
    """However often it was stopped for a shorter time before."""
    edges = list(itertools.accumulate((part * limits.stopped for part in parts), initial=1.0))
    for last in (edges[-1] if len(edges) % 2 else edges[-1] + limits.between,):
        readings = [
            Reading(at, answered=at, processes=(replace(SCHEDULER, state=state if is_stopped else "R"),))
            for at in ticks(limits, last + 3 * limits.stopped)
            for is_stopped in [at >= last or sum(edge <= at for edge in edges) % 2 == 0]
        ]
        found = first_hang(Judge(limits), readings)
        assert found is not None
        at, hang = found
        assert hang.rule == "S"
        assert hang.says.startswith(f"hung (S): process 11 sglang::scheduler was in state {state} for ")
        assert at <= last + limits.stopped + 2 * limits.between


def test_another_process_with_the_same_id_is_another_process() -> None:
    stopped = [
        Reading(at, answered=at, processes=(replace(SCHEDULER, state="T", began=int(at) // 20),))
        for at in ticks(LIMITS, 600)
    ]
    assert first_hang(Judge(LIMITS), stopped) is None


# R


def test_a_rank_that_stands_still_is_a_hang_though_health_answers() -> None:
    two = replace(LIMITS, ranks=2)
    readings = [Reading(at, answered=at, ranks={0: at, 1: min(at, 100.0)}) for at in ticks(two, 600)]
    judge = Judge(two)
    found = first_hang(judge, readings)
    assert found is not None
    assert (found[0], found[1].rule) == (160.0, "R")
    assert judge.quiet == 60
    assert found[1].says == "hung (R): dp rank 1 has not moved for 60 s, as its timestamp in /v1/loads tells"
    assert first_hang(Judge(LIMITS), readings) is None


def test_no_answer_about_ranks_neither_accuses_nor_excuses() -> None:
    two = replace(LIMITS, ranks=2)
    silent = [Reading(at, answered=at, ranks={0: 1.0, 1: 1.0} if at < 5 else None) for at in ticks(two, 600)]
    assert first_hang(Judge(two), silent) is None
    late = [*silent, Reading(601, answered=601, ranks={0: 1.0, 1: 2.0})]
    found = first_hang(Judge(two), late)
    assert found is not None
    assert found[1].says.startswith("hung (R): dp rank 0 has not moved for 6")
    assert blind_rules(silent[0], two, 0) == {"R": "/v1/loads does not answer", **blind_rules(silent[0], two, 1)}


def test_a_rank_that_compiles_is_excused() -> None:
    one = replace(LIMITS, ranks=1)
    readings = [
        Reading(at, answered=at, ranks={0: at if at < 100 or at > 300 else 100.0}, compiling=100 < at < 290)
        for at in ticks(one, 600)
    ]
    assert first_hang(Judge(one), readings) is None


# The whole: SGLang's /health, the prober, and the readings between


class Simulated:
    """An engine's ``/health`` on a clock of its own, as SGLang answers it: a message after the probe's beginning."""

    def __init__(self, limits: HangLimits, interval: float, messages: Sequence[float]) -> None:
        self.now = 0.0
        self.found: tuple[float, Hang] | None = None
        self._limits = limits
        self._messages = messages
        self._judge = Judge(limits)
        self._read = 0.0
        self._prober = Prober(
            "http://engine", None, interval=interval, timeout=1e9, clock=lambda: self.now, ask=self._health
        )

    def run(self, until: float) -> None:
        while self.now < until and self.found is None:
            self._prober.once(self.sleep)

    def sleep(self, seconds: float) -> None:
        end = self.now + seconds
        while self._read <= end:
            self.now = max(self.now, self._read)
            hang = self._judge.judge(Reading(self._read, answered=self._prober.signs.answered))
            if hang and self.found is None:
                self.found = self._read, hang
            self._read += self._limits.between
        self.now = end

    def _health(self, _request: object, _timeout: float) -> bytes:
        began = self.now
        while self.now < began + self._limits.limit:
            self.sleep(1.0)
            if any(began < message <= self.now for message in self._messages):
                return b""
        raise OSError("503")


@given(st.lists(st.floats(0.1, 51), min_size=1, max_size=60), st.integers(1, 5))
def test_passes_shorter_than_the_limit_by_nine_seconds_are_no_hang(passes: list[float], times: int) -> None:
    """The interval of 5 s; a second each for the poll, for what a 200 counts back and for the reading; one to spare."""
    messages = list(itertools.accumulate(passes * times))
    engine = Simulated(LIMITS, 5.0, messages)
    engine.run(messages[-1])
    assert engine.found is None


@given(st.lists(st.floats(0.1, 51), max_size=20))
def test_whatever_stops_is_noticed_within_the_limit(passes: list[float]) -> None:
    """After the engine's last message; and no sooner than the limit after it, less an interval and three seconds."""
    messages = list(itertools.accumulate(passes, initial=1.0))
    engine = Simulated(LIMITS, 5.0, messages)
    engine.run(messages[-1] + 1000)
    assert engine.found is not None
    at, hang = engine.found
    assert hang.rule == "H"
    assert 60 - 8 <= at - messages[-1] <= 60 + 2
