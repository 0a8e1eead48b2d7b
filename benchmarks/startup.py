"""How long `glmdeploy validate` of one profile takes, beside Python alone, in one run.

    python benchmarks/startup.py [RUNS]

Each command is a process of its own; the runs of all commands alternate, so that a busy machine treats them alike.
Prints the best and the median wall time in milliseconds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import glmdeploy.cli": [sys.executable, "-c", "import glmdeploy.cli"],
    "import modal": [sys.executable, "-c", "import modal"],
    "glmdeploy validate": [sys.executable, "-m", "glmdeploy", "validate", "b200-eagle-bf16kv"],
}


# As installed by pip: with bytecode that is compiled once.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
            times[name].append((time.perf_counter() - started) * 1000)
    print(f"{'':22}{'best':>8}{'median':>8}  ms, {runs} runs")
    for name, taken in times.items():
        print(f"{name:22}{min(taken):8.0f}{statistics.median(taken):8.0f}")


main()
