"""How `glmdeploy validate` scales with the number of profiles, beside check-jsonschema on the same files and schema.

    pip install check-jsonschema && python benchmarks/validate.py [LARGEST] [RUNS]

Both read the same self-contained profiles (all shipped ones with their inheritance resolved, each copy with values of
its own) against the same schema; check-jsonschema checks the shape alone, glmdeploy also SGLang's options, effective
values and all guard rules. glmdeploy is measured in one process (`--parallel 1`), and as it is by itself: in a process
for each core. Each measurement is a command of its own, and they alternate. Prints a table in Markdown: for each number
of files the wall time and the processor time in seconds of all its processes, the peak memory of the largest of them in
MiB, profiles a second of wall time, all of the run with the least processor time, and milliseconds of processor time
for each file beyond the smallest number: where that stays the same, the time grows linearly. Without check-jsonschema
its rows are left out.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from startup import CHECK, ENVIRONMENT, SCHEMA, script

from glmdeploy.profile.text.load import load
from glmdeploy.resources import profiles_dir

PARTS = (8, 4, 2, 1)

Cost = tuple[float, float, float]
"""Processor time and wall time in seconds, peak memory in MiB."""


def rows(largest: int = 1000, runs: int = 3) -> list[list[str]]:
    """The table, head first."""
    counts = [max(1, largest // part) for part in PARTS]
    ours = [*script("glmdeploy"), "validate"]
    commands = {
        "`glmdeploy validate --parallel 1`": [*ours, "--parallel", "1"],
        "`glmdeploy validate`": ours,
    }
    if find_spec("check_jsonschema"):
        commands["`check-jsonschema`"] = [*script(CHECK), "--schemafile", str(SCHEMA)]
    taken: dict[str, list[list[Cost]]] = {name: [[] for _ in counts] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        files = write(Path(folder), largest)
        for _ in range(runs):
            for index, count in enumerate(counts):
                for name, command in commands.items():
                    taken[name][index].append(measure([*command, *files[:count]]))
    table = [["command", "profiles", "wall s", "CPU s", "MiB", "profiles a second", "CPU ms each"]]
    for name, costs in taken.items():
        best = [min(cost) for cost in costs]
        for count, (cpu, wall, memory) in zip(counts, best, strict=True):
            each = f"{(cpu - best[0][0]) / (count - counts[0]) * 1000:.2f}" if count > counts[0] else ""
            table.append([name, str(count), f"{wall:.2f}", f"{cpu:.2f}", f"{memory:.0f}", f"{count / wall:.0f}", each])
    return table


def write(folder: Path, count: int) -> list[str]:
    """Profiles as JSON, which is YAML: no two alike, none extending another."""
    shipped = [load(str(file)).data for file in sorted(profiles_dir().glob("*.yaml"))]
    files = []
    for number in range(count):
        data = shipped[number % len(shipped)]
        data = data | {"name": f"{data['name'][:50]}-{number}", "description": f"copy {number}"}
        data.pop("extends", None)
        file = folder / f"{number:06}.yaml"
        file.write_text(json.dumps(data, indent=2))
        files.append(str(file))
    return files


def measure(command: list[str]) -> Cost:
    """What a command costs that must succeed, with the processes that it starts."""
    started = time.perf_counter()
    output = os.open(os.devnull, os.O_WRONLY)
    child = os.posix_spawn(command[0], command, ENVIRONMENT, file_actions=[(os.POSIX_SPAWN_DUP2, output, 1)])
    os.close(output)
    _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit(f"{command[:4]} failed with status {status}")
    wall = time.perf_counter() - started
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024


def main() -> None:
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    head, *table = rows(largest, runs)
    for line in (head, ["---"] * len(head), *table):
        print(f"| {' | '.join(line)} |")
    print(f"\nBest of {runs} runs.")


if __name__ == "__main__":
    main()
