"""The two ways to judge mutants: anew, by all tests that run them; and by what is kept of that, in a minute."""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mutation.campaign import NOTICED, Verdict, existing, figures, judged, mapped
from mutation.mutants import ROOT, Mutant, files, of_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).parent
RECORD = HERE / "record.jsonl"
"""What came of each mutant that was judged: its id, the function as it was, the outcome and the test that killed it."""
EXPLAINED = HERE / "explained.json"
"""Survivors by their id: of which kind each is, and why nothing notices it."""
FLOOR = 0.7
"""The score below which a run anew fails: a little under that of the last one."""
KINDS = ("equivalent", "wording", "speed", "unreachable", "test wanted")


def anew(*, sample: int | None, seed: int, only: Sequence[str], jobs: int, keeping: bool) -> int:
    """Judge all mutants or a sample; 1 where the score is under the floor, or one survives that was killed before."""
    began = time.monotonic()
    chosen = [mutant for file in files() if file.startswith(tuple(only or [""])) for mutant in of_file(file)]
    total = len(chosen)
    if sample is not None and sample < total:
        chosen = random.Random(seed).sample(chosen, sample)
    with tempfile.TemporaryDirectory(prefix="glmdeploy-mutation-") as name:
        folder = Path(name)
        known = mapped(folder, [mutant.file for mutant in chosen])
        print(f"{total} mutants, {len(chosen)} to judge, by {len(known.seconds)} tests", flush=True)
        todo = [(mutant, known.tests(mutant)) for mutant in chosen]
        verdicts = judged(todo, folder, seconds_of=known.seconds, jobs=jobs, show=False)
    print(f"{figures(verdicts)}; in {time.monotonic() - began:.0f} s")
    failed = _told(verdicts, {mutant.id: mutant for mutant in chosen})
    if keeping:
        _keep(verdicts, {mutant.id: mutant for mutant in chosen})
    return failed


def _told(verdicts: Sequence[Verdict], mutants: Mapping[str, Mutant]) -> int:
    """Survivors that nobody explained are named; 1 for a score under the floor, and for one that was killed before."""
    explained = json.loads(EXPLAINED.read_text())
    before = {line["id"]: line for line in _recorded()}
    survivors = sorted((each for each in verdicts if each.outcome == "survived"), key=lambda verdict: verdict.id)
    open_ = [each for each in survivors if each.id not in explained]
    for each in open_:
        print(f"survived, and is not explained: line {mutants[each.id].line} of {each.id}")
    lost = [
        each
        for each in survivors
        if before.get(each.id, {}).get("outcome") == "killed" and before[each.id]["digest"] == mutants[each.id].digest
    ]
    for each in lost:
        print(f"not noticed any more by {before[each.id]['by']}: {each.id}")
    noticed = sum(each.outcome in NOTICED for each in verdicts)
    score = noticed / ((noticed + len(survivors)) or 1)
    print(f"{len(survivors)} survivors, {len(survivors) - len(open_)} of them explained")
    if score < FLOOR:
        print(f"the score is under {FLOOR:.0%}")
    return int(bool(lost) or score < FLOOR)


def _recorded() -> list[dict[str, str]]:
    return [json.loads(line) for line in RECORD.read_text().splitlines()] if RECORD.exists() else []


def _keep(verdicts: Sequence[Verdict], mutants: Mapping[str, Mutant]) -> None:
    lines = {line["id"]: line for line in _recorded()}
    for each in verdicts:
        lines[each.id] = {"id": each.id, "digest": mutants[each.id].digest, "outcome": each.outcome, "by": each.by}
    now = {mutant.id: mutant for file in files() for mutant in of_file(file)}
    kept = [line for id_, line in sorted(lines.items()) if id_ in now and now[id_].digest == line["digest"]]
    RECORD.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))


def kept(*, seconds: float, jobs: int) -> int:
    """Try mutants that a test has killed on that test alone, those of changed functions' files first.

    What was killed once and is not now is a test that has become weaker: 1. A function that has changed since has
    mutants of its own, which a run anew judges; here its old ones are passed over.
    """
    began = time.monotonic()
    record = _recorded()
    now = {mutant.id: mutant for file in files() for mutant in of_file(file)}
    killed = [
        (now[line["id"]], line["by"].partition(" (")[0])
        for line in record
        if line["outcome"] == "killed" and line["id"] in now and now[line["id"]].digest == line["digest"]
    ]
    changed = _changed()
    random.Random(len(killed)).shuffle(killed)
    killed.sort(key=lambda each: not (each[0].file in changed or each[1].partition("::")[0] in changed))
    todo = [(mutant, [test]) for mutant, test in killed if existing([test])]
    with tempfile.TemporaryDirectory(prefix="glmdeploy-mutation-") as name:
        verdicts = judged(
            todo, Path(name), seconds_of={}, jobs=jobs, seconds=seconds - (time.monotonic() - began), show=False
        )
    survivors = [each for each in verdicts if each.outcome == "survived"]
    print(f"{figures(verdicts)}, of {len(record)} that are kept, in {time.monotonic() - began:.0f} s")
    tests = {mutant.id: test for mutant, (test,) in todo}
    for each in survivors:
        print(f"not noticed any more by {tests[each.id]}: {each.id}")
    return int(bool(survivors) or not verdicts)


def _changed() -> set[str]:
    """Files that differ from the commit before, those not committed too; none where Git does not tell."""
    asked = ["git", "diff", "--name-only", "HEAD~1"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    return set(done.stdout.split()) if done.returncode == 0 else set()
