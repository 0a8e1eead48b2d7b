"""How `glmdeploy validate` scales with the number of profiles, beside check-jsonschema on the same files and schema.

    pip install check-jsonschema && python benchmarks/validate.py [LARGEST] [RUNS]

Both read the same self-contained profiles (all shipped ones with their inheritance resolved, each copy with values of
its own) against the same schema; check-jsonschema checks the shape alone, glmdeploy also SGLang's options, effective
values and all guard rules. Each measurement is a process of its own, and the two alternate. Prints for each number of
files the wall time and the processor time in seconds and the peak memory in MiB, of the run with the least processor
time, and milliseconds of processor time for each file beyond the smallest number: where that stays the same, the time
grows linearly.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from glmdeploy.profile.text.load import load
from glmdeploy.resources import profiles_dir, schemas_dir

SCHEMA = schemas_dir() / "profile.schema.json"
PARTS = (8, 4, 2, 1)

# As installed by pip: with bytecode that is compiled once.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

Cost = tuple[float, float, float]
"""Processor time and wall time in seconds, peak memory in MiB."""


def main() -> None:
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    counts = [max(1, largest // part) for part in PARTS]
    with tempfile.TemporaryDirectory() as folder:
        files = write(Path(folder), largest)
        commands = {
            "glmdeploy validate": [sys.executable, "-m", "glmdeploy", "validate"],
            "check-jsonschema": [sys.executable, "-m", "check_jsonschema", "--schemafile", str(SCHEMA)],
        }
        taken: dict[str, list[list[Cost]]] = {name: [[] for _ in counts] for name in commands}
        for _ in range(runs):
            for index, count in enumerate(counts):
                for name, command in commands.items():
                    taken[name][index].append(measure([*command, *files[:count]]))
    print(f"{'':20}{'profiles':>10}{'wall s':>10}{'CPU s':>10}{'MiB':>8}{'ms each':>10}   best of {runs}")
    for name, costs in taken.items():
        best = [min(cost) for cost in costs]
        for count, (cpu, wall, memory) in zip(counts, best, strict=True):
            each = f"{(cpu - best[0][0]) / (count - counts[0]) * 1000:.2f}" if count > counts[0] else ""
            print(f"{name:20}{count:10}{wall:10.2f}{cpu:10.2f}{memory:8.0f}{each:>10}")


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
    """What a process costs that must succeed."""
    started = time.perf_counter()
    output = os.open(os.devnull, os.O_WRONLY)
    child = os.posix_spawn(command[0], command, ENVIRONMENT, file_actions=[(os.POSIX_SPAWN_DUP2, output, 1)])
    os.close(output)
    _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit(f"{command[:4]} failed with status {status}")
    wall = time.perf_counter() - started
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024


main()
