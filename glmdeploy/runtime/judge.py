"""Judges from readings, taken about once a second, whether a ready engine hangs. It has no clock and reads nothing.

What the rules rest on was measured on SGLang 0.5.23 (CPU) and 0.5.11 (two GPUs), and read in 0.5.10 to 0.5.23.
``/health`` answers 200 when any message has reached SGLang's HTTP process since the probe began, which it looks for
once a second: one token of an idle engine, or the acknowledgement of a finished pass. Processor time, output and
counters prove nothing (an idle scheduler takes a whole core, a hung one 2 %), so no rule looks at them.

H
    ``/health`` gave no sign of life for ``limit`` seconds. A 200 is one a second before it came.
C
    The clocks of H and R stand still while something is compiled, ``compiling`` seconds at most between two signs.
D
    The scheduler decoded in each of three successive windows, messages arrived at a detokenizer in each, and none
    waited for anything in any of them: nothing reaches the clients, though ``/health`` answers 200. A working
    detokenizer waits after every message. Decoding may send it none for minutes: a client may choose the interval of
    its stream, and a request without a stream sends when its length is a multiple of 50, which it can pass over when
    passes give several tokens. Where arrivals cannot be seen, decoding stands for them.
S
    A process of the engine was stopped (T) or traced (t) in every reading for half the limit, 30 seconds at most.
R
    A data parallel rank's ``timestamp`` in ``/v1/loads`` stood still for ``limit`` seconds.

What is unknown accuses nobody. Time counts as far as there are readings: when this process itself was kept from
running, or its machine was paused, the gap is nobody's silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from glmdeploy.runtime.vitals import Vital

POLL_SECONDS = 1.0
"""``/health`` looks once a second whether it can answer 200 (``health_generate``, SGLang 0.5.10 to 0.5.23)."""

UNSENT_PASSES = 50
"""After so many passes a scheduler has sent something to the detokenizer, even of requests that are not streamed.

``DEFAULT_FORCE_STREAM_INTERVAL``, SGLang 0.5.10 to 0.5.23. Only matters where arrivals cannot be seen.
"""

WINDOWS = 3


@dataclass(frozen=True)
class HangLimits:
    """Seconds: of silence (``limit``), of compiling that excuse it, and between two counts of what was decoded.

    ``counted`` is for counts that do not come with every reading. ``ranks``: data parallel ranks to look after. The
    other times follow from ``limit``, so that a test with a small one tests the same rules.
    """

    limit: float
    compiling: float
    decoding: bool = True
    ranks: int = 0
    counted: float = 0.0

    @property
    def between(self) -> float:
        """Seconds between two readings: one by default."""
        return min(1.0, self.limit / 20)

    @property
    def gap(self) -> float:
        """Seconds between two readings beyond which the watch itself did not run: five by default."""
        return 5 * self.between

    @property
    def window(self) -> float:
        """Seconds of one of the three windows of D: ten by default."""
        return max(min(10.0, self.limit / 6), self.counted)

    @property
    def stopped(self) -> float:
        """Seconds for which a process may be stopped: 30 by default. A file in a kernel cache is young as long."""
        return min(30.0, self.limit / 2)


@dataclass(frozen=True)
class Reading:
    """What is known at one moment, in seconds of one steady clock.

    ``answered``: when ``/health`` last answered 200. ``asked``: whether it can be asked at all; a failure of our own,
    such as too many open files, is no silence. ``decoded``: the passes of decoding so far. ``processes``: None if they
    cannot be seen. ``ranks``: timestamps by rank, if ``/v1/loads`` has answered since the last reading.
    """

    at: float
    answered: float | None = None
    asked: bool = True
    compiling: bool = False
    decoded: float | None = None
    processes: tuple[Vital, ...] | None = None
    ranks: Mapping[int, float] | None = None


@dataclass(frozen=True)
class Hang:
    """``rule`` is its letter; ``says`` the whole in words."""

    rule: str
    says: str


@dataclass(frozen=True)
class Silence:
    """Seconds since a sign of life, those of compiling apart."""

    quiet: float = 0.0
    excused: float = 0.0

    def longer(self, seconds: float, excuse: float) -> Silence:
        """The same after ``seconds`` more, of which ``excuse`` at most are excused."""
        free = min(seconds, max(excuse, 0.0))
        return Silence(self.quiet + seconds - free, self.excused + free)


@dataclass(frozen=True)
class Decoding:
    """Passes of decoding that no detokenizer woke for.

    ``began``: when the current window did; ``counted`` and ``arrived``: passes and messages known then. ``first``:
    passes known at the end of the first window: those before may have been made before the last waking.
    """

    began: float
    counted: float
    arrived: int | None
    windows: int = 0
    first: float = 0.0


class Judge:
    """Takes readings in their order, the first of which begins the watch."""

    def __init__(self, limits: HangLimits) -> None:
        self.limits = limits
        self._seen: Reading | None = None
        self._now = 0.0  # seconds watched
        self._health = Silence()
        self._ranks: dict[int, Silence] = {}
        self._stamps: dict[int, float] = {}
        self._decoding: Decoding | None = None
        self._switches: dict[tuple[int, int], int] = {}
        self._stopped: dict[tuple[int, int], float] = {}

    @property
    def quiet(self) -> float:
        """Seconds since the last sign of life, of the rank that has been silent for longest if there are several."""
        return max([self._health.quiet, *(silence.quiet for silence in self._ranks.values())])

    def judge(self, reading: Reading) -> Hang | None:
        """What a reading, with those before it, proves; None while nothing is proven."""
        before, self._seen = self._seen, reading
        step = min(max(reading.at - before.at, 0.0), self.limits.gap) if before else 0.0
        self._now += step
        found = [
            self._stopped_process(reading),
            self._silent_health(reading, before, step),
            self._unheard_decoding(reading),
            self._silent_rank(reading, step),
        ]
        return next((hang for hang in found if hang), None)

    def _silent_health(self, reading: Reading, before: Reading | None, step: float) -> Hang | None:
        if reading.answered is not None and (before is None or reading.answered != before.answered):
            ago = min(max(reading.at - reading.answered, 0.0), self.limits.gap)
            self._health = Silence(ago + POLL_SECONDS)
        elif reading.asked:
            self._health = self._longer(self._health, reading, step)
        if self._health.quiet < self.limits.limit:
            return None
        says = f"/health gave no sign of life for {self._health.quiet:.0f} s{_compiled(self._health)}"
        return Hang("H", f"hung (H): {says}")

    def _longer(self, silence: Silence, reading: Reading, step: float) -> Silence:
        return silence.longer(step, self.limits.compiling - silence.excused if reading.compiling else 0.0)

    def _silent_rank(self, reading: Reading, step: float) -> Hang | None:
        """A rank is judged when ``/v1/loads`` answers: no answer neither accuses nor excuses."""
        self._ranks = {rank: self._longer(silence, reading, step) for rank, silence in self._ranks.items()}
        for rank, stamp in (reading.ranks or {}).items():
            if rank >= self.limits.ranks:
                continue
            if stamp != self._stamps.get(rank):
                self._stamps[rank], self._ranks[rank] = stamp, Silence()
            elif (silence := self._ranks[rank]).quiet >= self.limits.limit:
                says = f"dp rank {rank} has not moved for {silence.quiet:.0f} s{_compiled(silence)}"
                return Hang("R", f"hung (R): {says}, as its timestamp in /v1/loads tells")
        return None

    def _stopped_process(self, reading: Reading) -> Hang | None:
        now = {(one.pid, one.began): one for one in reading.processes or () if one.stopped}
        self._stopped = {key: self._stopped.get(key, self._now) for key in now}
        for key, since in self._stopped.items():
            if self._now - since >= self.limits.stopped:
                one = now[key]
                says = f"process {one.pid} {one.title} was in state {one.state} for {self._now - since:.0f} s"
                return Hang("S", f"hung (S): {says}")
        return None

    def _unheard_decoding(self, reading: Reading) -> Hang | None:
        ones = [one for one in reading.processes or () if one.detokenizes and one.state != "Z"]
        heard = self._heard(ones)
        if heard is None or reading.decoded is None or not self.limits.decoding:
            self._decoding = None
            return None
        counts = [one.arrivals for one in ones if one.arrivals is not None]
        arrived = sum(counts) if len(counts) == len(ones) else None
        state, anew = self._decoding, Decoding(self._now, reading.decoded, arrived)
        if heard or state is None:
            self._decoding = anew
            return None
        if self._now - state.began < self.limits.window:
            return None
        if reading.decoded <= state.counted or (arrived is not None and arrived <= (state.arrived or 0)):
            self._decoding = anew  # a window in which the detokenizer got nothing to do
            return None
        first = state.first if state.windows else reading.decoded
        self._decoding = replace(anew, windows=state.windows + 1, first=first)
        if self._decoding.windows < WINDOWS or (arrived is None and reading.decoded - first <= UNSENT_PASSES):
            return None
        seconds = self._decoding.windows * self.limits.window
        return Hang("D", f"hung (D): the scheduler decodes, and no detokenizer has woken for {seconds:.0f} s")

    def _heard(self, ones: Sequence[Vital]) -> bool | None:
        """Whether a detokenizer has waited for something since the last reading; None if that is unknown."""
        counts = {(one.pid, one.began): one.switches for one in ones if one.switches is not None}
        before, self._switches = self._switches, counts
        if not ones or len(counts) < len(ones):
            return None
        return any(count != before.get(key) for key, count in counts.items())


def blind_rules(reading: Reading, limits: HangLimits, loads: int | None) -> dict[str, str]:
    """The rules that have nothing to go by, and why. ``loads``: answers of ``/v1/loads``, if some must have come."""
    found: dict[str, str] = {}
    if not reading.asked:
        found["H"] = "/health cannot be asked from here"
    if reading.processes is None:
        found["S"] = "processes cannot be seen"
        found["C"] = "processes cannot be seen, only files in the kernel caches"
    if limits.ranks and loads == 0:
        found["R"] = "/v1/loads does not answer"
    if limits.decoding:
        ones = [one for one in reading.processes or () if one.detokenizes and one.state != "Z"]
        if not ones:
            found["D"] = "no process of a detokenizer can be seen"
        elif any(one.switches is None for one in ones):
            found["D"] = "/proc does not say how often the detokenizer has waited (voluntary_ctxt_switches)"
        elif loads is not None and reading.decoded is None:
            found["D"] = "/v1/loads does not say how much was decoded"
    return found


def _compiled(silence: Silence) -> str:
    return f", {silence.excused:.0f} s of compiling apart" if silence.excused else ""
