"""How much memory the commands and the embedded cloud take at most.

    python benchmarks/memory.py [RUNS]

The peak of the resident set of each command, in MiB, and of the daemon after a deployment that was followed until it
served; the smallest of RUNS (3), since what other processes do adds to it and never takes away.
"""

from __future__ import annotations

import sys
from pathlib import Path

from apply import GLMDEPLOY, PROFILE, Cloud, applied, edited
from measuring import markdown


def table(runs: int) -> str:
    """The table in Markdown."""
    with Cloud() as cloud:
        cloud.quietly(*applied("memory", "--make-secrets"))
        commands = {
            "`--version`": lambda: [*GLMDEPLOY, "--version"],
            "`validate` of one profile": lambda: [*GLMDEPLOY, "validate", PROFILE],
            "`explain`": lambda: [*GLMDEPLOY, "explain", PROFILE],
            "`size`": lambda: [*GLMDEPLOY, "size", PROFILE],
            "`plan --target local`": lambda: [*GLMDEPLOY, "plan", PROFILE, "--target", "local", "--set", "app=memory"],
            "`apply --target local`, followed until it serves": lambda: applied("memory", *edited()),
            "`python -c 'import modal'`": lambda: [sys.executable, "-c", "import modal"],
        }
        found = [
            [name, f"{min(cloud.cost(*command()).peak for _ in range(runs)):.0f}"] for name, command in commands.items()
        ]
        status = Path(f"/proc/{cloud.pid}/status").read_text(encoding="ascii")
        peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return markdown(["", "MiB at most"], [*found, ["the daemon of the embedded cloud", f"{int(peak) / 1024:.0f}"]])


if __name__ == "__main__":
    print(table(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
