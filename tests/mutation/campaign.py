"""Judging mutants: which tests can notice each, processes that fork for them, and what came of it in figures."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from mutation.mutants import ROOT, Mutant, files
from mutation.plugin import ORDERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

TESTS = {
    "glmdeploy/plan": ("tests/plan",),
    "glmdeploy/rules": ("tests/rules",),
    "glmdeploy/sglang": (
        "tests/sglang/decisions",
        "tests/sglang/test_effective.py",
        "tests/sglang/test_effective_parts.py",
        "tests/sglang/test_recordings.py",
        "tests/sglang/real/test_formulas.py",
        "tests/rules/test_facts.py",
        "tests/rules/guards",
    ),
}
"""By what a file's name begins with, the tests that are to notice its mutants: those of the subject itself."""
LEFT_OUT = (
    "tests/rules/test_agreement.py",
    "tests/rules/test_refused.py",
    "tests/rules/guards/test_releases.py::test_only_the_image_of_the_release_fits",
    "tests/rules/guards/test_idle.py::test_two_weeks_of_pings",
)
"""Tests that try so much that they take seconds, and notice nothing that quicker ones do not."""
MOST_SECONDS, MOST_SECONDS_NEAR = 8.0, 20.0
"""Of a mutant's tests, without it, and of those of its own file: beyond that the slowest are left out."""
NOTICED = ("killed", "late")
"""Outcomes that a test notices: it fails, or takes several times as long."""
WARM = 3
"""Tests that each process runs first, so that catalogs and tables are read once and not in each fork."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """``outcome`` is killed, late, survived, unreached or impossible; ``by`` is the test that killed it."""

    id: str
    outcome: str
    by: str = ""


@dataclass(frozen=True, kw_only=True)
class Map:
    """``lines`` has by file and line the tests that run it; ``seconds`` what each takes."""

    lines: dict[str, dict[str, list[str]]]
    seconds: dict[str, float]

    def tests(self, mutant: Mutant) -> list[str]:
        """Those that run the line of a mutant: first those of its file and of its rules, then others, the quick first.

        Every check of a profile runs all rules: what is about others notices nothing most of the time.
        """
        running = [each for each in self.lines.get(mutant.file, {}).get(str(mutant.line), []) if each in self.seconds]
        own, ids = f"test_{mutant.file.rpartition('/')[2]}", _rules(mutant.file)
        near = [each for each in running if each.partition("::")[0].endswith(f"/{own}") or ids & set(_ID.findall(each))]
        ranked = [(each not in near, self.seconds[each], each) for each in running]
        kept, together = [], 0.0
        for far, seconds, each in sorted(ranked):
            together += seconds
            if together > (MOST_SECONDS if far else MOST_SECONDS_NEAR):
                break
            kept.append(each)
        return kept


_ID = re.compile(r"GLM\d{3}")


@cache
def _rules(file: str) -> frozenset[str]:
    """The rules that a file defines."""
    return frozenset(re.findall(r'id="(GLM\d{3})"', (ROOT / file).read_text()))


def tests_of(chosen: Iterable[str]) -> list[str]:
    """Where the mutants of these files can be noticed."""
    wanted = [
        place for begin, places in TESTS.items() if any(file.startswith(begin) for file in chosen) for place in places
    ]
    below = {each for each in wanted if any(each.startswith(f"{other}/") for other in wanted)}
    return existing(dict.fromkeys(each for each in wanted if each not in below))


def mapped(folder: Path, chosen: Iterable[str]) -> Map:
    """Runs the tests of some files once. :raises RuntimeError: where they cannot be run."""
    to = folder / "map.json"
    _pytest(folder / "map", {"what": "map", "files": files(), "to": str(to)}, tests_of(chosen))
    if not to.exists():
        raise RuntimeError(f"the tests could not be run: {(folder / 'map.log').read_text()[-2000:]}")
    return Map(**json.loads(to.read_text()))


def existing(tests: Iterable[str]) -> list[str]:
    return [each for each in tests if (ROOT / each.partition("::")[0]).exists()]


def judged(
    mutants: Sequence[tuple[Mutant, list[str]]],
    folder: Path,
    *,
    seconds_of: dict[str, float],
    jobs: int,
    seconds: float | None = None,
    show: bool = True,
) -> list[Verdict]:
    """What the given tests say of each mutant; those for which ``seconds`` were not enough are left out."""
    parts = [mutants[index::jobs] for index in range(jobs)]

    def part(index: int) -> list[Verdict]:
        to = folder / f"verdicts-{index}.jsonl"
        to.touch()
        wanted = sorted({test for _, tests in parts[index] for test in tests})
        orders = {
            "what": "judge",
            "files": files(),
            "to": str(to),
            "seconds": seconds,
            "warm": random.Random(0).sample(wanted, min(WARM, len(wanted))),
            "mutants": [
                {"mutant": asdict(mutant), "tests": tests, "seconds": sum(seconds_of.get(each, 1.0) for each in tests)}
                for mutant, tests in parts[index]
            ],
        }
        places = sorted({test.partition("::")[0] for test in wanted}) or ["tests/rules/test_rules.py"]
        _pytest(folder / f"judge-{index}", orders, places)
        return [Verdict(**json.loads(line)) for line in to.read_text().splitlines()]

    with ThreadPoolExecutor(jobs) as pool:
        done = [verdict for found in pool.map(part, range(jobs)) for verdict in found]
    if show:
        print(figures(done))
    return done


def figures(verdicts: Sequence[Verdict]) -> str:
    """How many of which, and the score: of those that a test reaches, the part that one of them notices."""
    counts = Counter(each.outcome for each in verdicts)
    noticed = sum(counts[each] for each in NOTICED)
    reached = noticed + counts["survived"]
    score = f"{noticed / reached:.1%}" if reached else "none"
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    return f"{len(verdicts)} mutants: {told}; score {score}"


def _pytest(name: Path, orders: dict[str, Any], tests: Sequence[str]) -> None:
    file = name.with_suffix(".orders")
    file.write_text(json.dumps(orders))
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, ORDERS: str(file), "PYTHONPATH": path}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "mutation.plugin", "-p", "no:cacheprovider"]
    command += [word for each in LEFT_OUT for word in ("--deselect", each)]
    with name.with_suffix(".log").open("wb") as log:
        subprocess.run([*command, *tests], cwd=ROOT, env=env, stdout=log, stderr=log, check=False)


def clock() -> float:
    return time.monotonic()
