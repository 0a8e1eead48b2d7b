"""Fuzzing several targets: a process each, what they did in figures, and what they found as files."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz import engine
from fuzz.target import FOUND, HERE, found, keep, kept

if TYPE_CHECKING:
    from collections.abc import Sequence

DEADLINE = 100
"""Seconds by the clock that one input may take before it is a fault: as long as a busy machine may make of a moment."""
STARTING = 4.0
"""Seconds that a process takes before it begins: modules are instrumented."""
MEMORY = 2048
"""MiB that one process may take before that is a fault."""
_STAT = re.compile(r"stat::(\w+):\s+(\d+)")
_PULSE = re.compile(r"#(\d+)\s+(\w+)\s+cov: (\d+) ft: \d+ corp: (\d+)")


@dataclass(kw_only=True)
class Figures:
    """What fuzzing one target came to.

    ``seconds`` are of wall time. ``edges`` of glmdeploy's code were reached, ``new`` of them not by the corpus.
    ``memory`` is the peak in MiB, ``corpus`` the inputs that it ended with. ``faults`` are files.
    """

    target: str
    cases: int = 0
    seconds: float = 0.0
    new: int = 0
    edges: int = 0
    corpus: int = 0
    memory: int = 0
    faults: list[str] = field(default_factory=list)
    failed: str = ""

    @property
    def rate(self) -> float:
        return self.cases / self.seconds if self.seconds else 0.0


def run(
    targets: Sequence[str],
    *,
    seconds: float | None,
    runs: int | None,
    seed: int | None,
    jobs: int,
    keeping: bool,
    figures: Path | None,
) -> int:
    """Fuzz, print a line for each target, and return 1 where one has found something."""
    if seconds is None and runs is None:
        seconds = 60.0
    share = seconds * min(jobs, len(targets)) / len(targets) - STARTING if seconds is not None else None
    print(f"{'target':9}{'cases':>10}{'a second':>10}{'new edges':>11}{'corpus':>8}{'peak MiB':>10}", flush=True)
    with ThreadPoolExecutor(jobs) as pool:
        done = list(
            pool.map(lambda name: _told(_fuzz(name, seconds=share, runs=runs, seed=seed, keeping=keeping)), targets)
        )
    total = sum(each.cases for each in done)
    worked = sum(each.seconds for each in done)
    peak = max(each.memory for each in done)
    print(f"{'all':9}{total:>10,}{total / max(worked, 0.001):>10,.0f}{'':11}{'':8}{peak:>10,}")
    if figures is not None:
        figures.write_text(json.dumps([asdict(each) for each in done], indent=2) + "\n")
    for each in done:
        for file in each.faults:
            print(f"\n{each.target}: a fault. To see it again: python tests/fuzz {each.target} --replay {file}")
        if each.failed:
            print(f"\n{each.target}: {each.failed}")
    return int(any(each.faults or each.failed for each in done))


def _told(figures: Figures) -> Figures:
    print(
        f"{figures.target:9}{figures.cases:>10,}{figures.rate:>10,.0f}{figures.new:>11,}{figures.corpus:>8,}"
        f"{figures.memory:>10,}" + ("  FAULT" if figures.faults or figures.failed else ""),
        flush=True,
    )
    return figures


def _fuzz(name: str, *, seconds: float | None, runs: int | None, seed: int | None, keeping: bool) -> Figures:
    target = engine.load(name)
    with tempfile.TemporaryDirectory(prefix=f"glmdeploy-fuzz-{name}-") as folder:
        place = Path(folder)
        begun, grown, faults = (place / each for each in ("seeds", "grown", "faults"))
        for each in (begun, grown, faults):
            each.mkdir()
        known = [*(kept(name) or target.seeds()), *(file.read_bytes() for file in found(name))]
        for number, data in enumerate(dict.fromkeys(known)):
            (begun / f"{number:05}").write_bytes(data[: target.longest])
        words = place / "words"
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words if word))
        limits = [f"-runs={runs}"] if runs is not None else [f"-max_total_time={max(1, round(seconds or 60))}"]
        began = time.monotonic()
        log = _atheris(
            name,
            place,
            *limits,
            *([f"-seed={seed}"] if seed is not None else []),
            f"-max_len={target.longest}",
            f"-timeout={DEADLINE}",
            f"-rss_limit_mb={MEMORY}",
            f"-artifact_prefix={faults}/",
            *([f"-dict={words}"] if target.words else []),
            "-len_control=0",
            "-print_final_stats=1",
            str(grown),
            str(begun),
        )
        figures = _read(name, log, time.monotonic() - began)
        # What libFuzzer calls a slow unit says how busy the machine is; what takes too long is a timeout.
        figures.faults = [str(_kept_fault(name, file)) for file in sorted(faults.glob("[!s]*"))]
        if figures.faults or figures.failed:
            sys.stderr.write(log[-8000:])
        elif keeping:
            smallest = place / "smallest"
            smallest.mkdir()
            _atheris(
                name, place, "-set_cover_merge=1", f"-max_len={target.longest}", str(smallest), str(begun), str(grown)
            )
            keep(name, [file.read_bytes() for file in smallest.iterdir()] or known)
            figures.corpus = len(kept(name))
    return figures


def _atheris(name: str, place: Path, *arguments: str) -> str:
    """What a process of atheris says."""
    path = os.pathsep.join(filter(None, (str(HERE.parents[1]), os.environ.get("PYTHONPATH"))))
    program = place / "program"
    command = shlex.join([sys.executable, str(HERE), name, "--engine"])
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o700)
    env = {**os.environ, "PYTHONPATH": path, engine.PROGRAM: str(program)}
    done = subprocess.run([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, env=env)
    return done.stdout.decode("utf-8", "replace")


def _read(name: str, log: str, seconds: float) -> Figures:
    """The figures in what libFuzzer says."""
    figures = Figures(target=name, seconds=seconds)
    pulses = [(int(cases), int(edges), int(corpus), kind) for cases, kind, edges, corpus in _PULSE.findall(log)]
    stats = {key: int(value) for key, value in _STAT.findall(log)}
    if pulses:
        first = next((edges for _, edges, _, kind in pulses if kind == "INITED"), pulses[0][1])
        figures.cases, figures.edges, figures.corpus, _ = pulses[-1]
        figures.new = figures.edges - first
    figures.cases = stats.get("number_of_executed_units", figures.cases)
    figures.memory = stats.get("peak_rss_mb", 0)
    if not figures.cases:
        figures.failed = "it did not begin"
    return figures


def _kept_fault(name: str, file: Path) -> Path:
    """Where the input of a fault is kept. It belongs to the repository once its cause is mended."""
    folder = FOUND / name
    folder.mkdir(parents=True, exist_ok=True)
    kind, _, digest = file.name.partition("-")
    place = folder / f"{kind}-{digest[:12]}"
    place.write_bytes(file.read_bytes())
    return place


def _escaped(word: str) -> str:
    """A word as libFuzzer's dictionaries have it."""
    return "".join(
        chr(each) if 32 <= each < 127 and chr(each) not in '"\\' else f"\\x{each:02x}" for each in word.encode()
    )
