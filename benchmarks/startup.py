"""What one command takes from cold to its end, beside Python alone and check-jsonschema, in one run.

    pip install check-jsonschema && python benchmarks/startup.py [RUNS]

Each command is a process of its own; the runs of all commands alternate, so that a busy machine treats them alike.
check-jsonschema checks the shape of the same profile against the same schema, and no more. Prints a table in Markdown:
the best and the median processor time and wall time in milliseconds, and the processor time beside that of `validate`
and of check-jsonschema, best by best. Without check-jsonschema its row is left out.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from glmdeploy.resources import profiles_dir, schemas_dir

RUNS = 20
PROFILE = profiles_dir() / "b200-eagle-bf16kv.yaml"
OTHER = profiles_dir() / "b200-nospec-bf16kv.yaml"
SCHEMA = schemas_dir() / "profile.schema.json"
VALIDATE, CHECK = "glmdeploy validate", "check-jsonschema"

# As installed by pip: with bytecode that is compiled once.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a process took, in milliseconds."""

    cpu: float
    wall: float


def script(name: str) -> list[str]:
    """The command that pip installed beside this Python; else the module."""
    found = Path(sys.executable).parent / name
    module = name.replace("-", "_")
    return [str(found)] if shutil.which(found) else [sys.executable, "-m", module]


def commands() -> dict[str, tuple[list[str], dict[str, str]]]:
    """What is measured: words, and variables."""
    ours = script("glmdeploy")
    pressed = {"_GLMDEPLOY_COMPLETE": "zsh_complete", "COMP_WORDS": "glmdeploy\nvalidate", "COMP_WORD": "b200"}
    setting = pressed | {"COMP_WORDS": "glmdeploy\nvalidate\nb200-eagle-bf16kv\n--set", "COMP_WORD": "sglang.args.k"}
    found = {
        "python -c pass": ([sys.executable, "-c", "pass"], {}),
        "glmdeploy --version": ([*ours, "--version"], {}),
        "completion of a profile": (ours, pressed),
        "completion of an option of SGLang": (ours, setting),
        VALIDATE: ([*ours, "validate", str(PROFILE)], {}),
        "glmdeploy explain": ([*ours, "explain", str(PROFILE)], {}),
        "glmdeploy command": ([*ours, "command", str(PROFILE)], {}),
        "glmdeploy diff": ([*ours, "diff", str(PROFILE), str(OTHER)], {}),
        CHECK: ([*script(CHECK), "--schemafile", str(SCHEMA), str(PROFILE)], {}),
    }
    if find_spec("check_jsonschema") is None:
        del found[CHECK]
    return found


def measure(command: list[str], variables: dict[str, str], accepted: tuple[int, ...] = (0, 1)) -> Cost:
    """What a process takes; :raises SystemExit: if it fails. That profiles differ is no failure (1)."""
    started = time.perf_counter()
    output = os.open(os.devnull, os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
    child = os.posix_spawn(command[0], command, ENVIRONMENT | variables, file_actions=actions)
    os.close(output)
    _, status, usage = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) not in accepted:
        sys.exit(f"{command[:3]} ended with {os.waitstatus_to_exitcode(status)}")
    return Cost(cpu=(usage.ru_utime + usage.ru_stime) * 1000, wall=(time.perf_counter() - started) * 1000)


def measured(runs: int) -> dict[str, list[Cost]]:
    """What each command took, in all runs."""
    asked = commands()
    found: dict[str, list[Cost]] = {name: [] for name in asked}
    for _ in range(runs):
        for name, (command, variables) in asked.items():
            found[name].append(measure(command, variables))
    return found


def rows(runs: int = RUNS) -> list[list[str]]:
    """The table, head first."""
    taken = measured(runs)
    least = {name: min(each.cpu for each in costs) for name, costs in taken.items()}
    head = ["command", "CPU ms, best", "median", "wall ms, best", "median", "of `validate`", "of check-jsonschema"]
    table = [head]
    for name, costs in taken.items():
        walls = [each.wall for each in costs]
        times = [least[name], statistics.median(each.cpu for each in costs), min(walls), statistics.median(walls)]
        beside = [f"{least[name] / least[other]:.2f}" if other in least else "" for other in (VALIDATE, CHECK)]
        table.append([f"`{name}`", *(f"{each:.0f}" for each in times), *beside])
    return table


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    head, *table = rows(runs)
    for line in (head, ["---"] * len(head), *table):
        print(f"| {' | '.join(line)} |")
    print(f"\nBest and median of {runs} runs.")


if __name__ == "__main__":
    main()
