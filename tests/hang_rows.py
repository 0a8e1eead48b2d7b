"""The faults that the watch for hangs must see, and the busy engines that it must not take for hung; one line each."""

from __future__ import annotations

from dataclasses import dataclass

SCHEDULER, DETOKENIZER, HTTP = "sglang::scheduler", "sglang::detokenizer", "python"
SECOND_RANK, SECOND_REPLICA = "sglang::scheduler_TP1", "sglang::scheduler_DP1"
"""How the titles of an engine's processes begin."""

TWO = "two ranks"
PARALLEL = "two data parallel ranks"
WIDE = "many running"

IDLE = (0, 0, 0)
DECODING = (2, 16, 30_000)
FULL = (100, 64, 400)
RUNNING = (150, 16, 400)
LONG_PROMPTS = (4, 19_000, 1)
"""Clients that stream at the same time, tokens of a prompt, tokens of an answer."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One trial. ``rule`` is the letter that must be named, None if the watch must stay silent.

    ``engine``: which settings it needs. ``stop``: the title of the process that is stopped; ``hang``: of that whose
    main thread waits for ever, which its state does not show. ``control``: what the engine's passes find
    (tests/data/engine_hooks), with a value in limits. ``caches``: whether files come into the kernel cache meanwhile.
    ``unsent``: whether clients want their streams in pieces of a million tokens. ``decoding`` and ``ranks`` are
    settings of the watch.
    """

    name: str
    engine: str = "one"
    load: tuple[int, int, int] = IDLE
    stop: str | None = None
    hang: str | None = None
    control: tuple[str, float] | None = None
    caches: bool = False
    unsent: bool = False
    decoding: str = "lines"
    ranks: int = 0
    rule: str | None = None


ROWS = (
    Row(name="scheduler stopped, idle", stop=SCHEDULER, rule="S"),
    Row(name="scheduler stopped under load", stop=SCHEDULER, load=DECODING, rule="S"),
    Row(name="detokenizer stopped, idle", stop=DETOKENIZER, rule="S"),
    Row(name="detokenizer stopped while decoding", stop=DETOKENIZER, load=DECODING, rule="S"),
    Row(name="HTTP process stopped, idle", stop=HTTP, rule="S"),
    Row(name="HTTP process stopped under load", stop=HTTP, load=DECODING, rule="S"),
    Row(name="scheduler hung, idle", hang=SCHEDULER, rule="H"),
    Row(name="scheduler hung under load", hang=SCHEDULER, load=DECODING, rule="H"),
    Row(name="detokenizer hung, idle", hang=DETOKENIZER, rule="H"),
    Row(name="detokenizer hung while decoding", hang=DETOKENIZER, load=DECODING, rule="D"),
    Row(
        name="detokenizer hung while decoding, known from /v1/loads",
        hang=DETOKENIZER,
        load=DECODING,
        decoding="loads",
        rule="D",
    ),
    Row(name="busy: decoding, known from /v1/loads", load=DECODING, decoding="loads"),
    Row(name="HTTP process hung, idle", hang=HTTP, rule="H"),
    Row(name="HTTP process hung under load", hang=HTTP, load=DECODING, rule="H"),
    Row(name="pass blocked, idle", control=("block", 0), rule="H"),
    Row(name="pass blocked under load", control=("block", 0), load=DECODING, rule="H"),
    Row(name="compiler that never ends", control=("compile", 100), load=DECODING, rule="H"),
    Row(name="busy: idle"),
    Row(name="busy: decoding", load=DECODING),
    Row(name="busy: decoding, and nothing is due to the detokenizer", load=DECODING, unsent=True),
    Row(name="busy: long prompts in chunks of 128, no output", load=LONG_PROMPTS),
    Row(name="busy: 100 clients, 92 waiting", load=FULL),
    Row(name="busy: passes of 0.4 limits", control=("delay", 0.4), load=DECODING),
    Row(name="busy: passes of 0.75 limits", control=("delay", 0.75), load=DECODING),
    Row(name="busy: compiler for 1.3 limits", control=("compile", 1.3), load=DECODING),
    Row(name="busy: kernels written in a blocked pass", control=("block", 0), load=DECODING, caches=True),
    Row(name="busy: forced retractions", engine="retracting", load=FULL),
    Row(name="rank 1 of 2 stopped, idle", engine=TWO, stop=SECOND_RANK, rule="S"),
    Row(name="rank 1 of 2 stopped under load", engine=TWO, stop=SECOND_RANK, load=DECODING, rule="S"),
    Row(name="rank 1 of 2 hung, idle", engine=TWO, hang=SECOND_RANK, rule="H"),
    Row(name="rank 1 of 2 hung under load", engine=TWO, hang=SECOND_RANK, load=DECODING, rule="H"),
    Row(name="busy: 150 streams running", engine=WIDE, load=RUNNING),
    Row(name="busy: two data parallel ranks, idle", engine=PARALLEL, ranks=2),
    Row(name="busy: two data parallel ranks, full", engine=PARALLEL, load=FULL, ranks=2),
    Row(name="dp rank 1 of 2 stopped, idle", engine=PARALLEL, stop=SECOND_REPLICA, ranks=2, rule="S"),
    # An idle engine gives each rank in turn the token of a probe; while one works, its messages answer them all.
    Row(name="dp rank 1 of 2 hung, idle", engine=PARALLEL, hang=SECOND_REPLICA, ranks=2, rule="H"),
    Row(
        name="dp rank 1 of 2 hung under load",
        engine=PARALLEL,
        hang=SECOND_REPLICA,
        load=DECODING,
        ranks=2,
        rule="R",
    ),
)

QUICK = ("scheduler stopped, idle", "detokenizer hung while decoding", "pass blocked under load")
"""What every run tries, on one engine, with a limit of five seconds."""
