"""What `glmdeploy apply` costs beside `modal deploy` of the rendered script, on the same embedded cloud, in one run.

    python benchmarks/apply.py [RUNS]

Both deploy the same profile to a cloud of their own, each its own app, and alternate, so that a busy machine treats
them alike. The stages (weights, kernels) have run before. Both end where `modal deploy` ends, with a version that is
live and that nobody has asked anything: `apply --no-wait --no-preflight`. What is written into the script before it is
deployed (`glmdeploy render`) is not counted.

Processor time is that of the command, and beside it that of the cloud and its containers meanwhile; wall time is of use
on a machine that does nothing else. Best and median of RUNS (5), and how many times `modal deploy` it is.

What `apply` does beyond that is measured in rows of its own: it has a container look at the secrets' values before
anything is deployed, has SGLang's parser judge the arguments, and follows the version until it serves.
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import ENVIRONMENT, markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PROFILE = "b200-eagle-bf16kv"
GLMDEPLOY = [sys.executable, "-m", "glmdeploy"]
MODAL = [sys.executable, "-m", "modal"]
AS_MODAL = ("--no-wait", "--no-preflight")
WITHOUT_SECRETS = ("--set", "secrets=null", "--set", "server.public=true")
TICKS = os.sysconf("SC_CLK_TCK")
NUMBERS = itertools.count(100)


@dataclass(frozen=True)
class Cost:
    """Seconds: of the clock, of the processor for the command, and of the processor for the cloud meanwhile.

    ``peak`` is the command's resident set at most, in MiB.
    """

    wall: float
    own: float
    cloud: float
    peak: float


class Cloud:
    """An embedded cloud in a folder of its own, as long as the block lasts."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self.environment = {**ENVIRONMENT, "GLMDEPLOY_HOME": str(self.folder / "home")}
        self.pid = 0

    def __enter__(self) -> Cloud:
        self.quietly(*GLMDEPLOY, "local", "start")
        lines = self.quietly(*GLMDEPLOY, "local", "env").splitlines()
        self.environment |= dict(line.removeprefix("export ").split("=", 1) for line in lines if "export " in line)
        self.pid = int(self.quietly(*GLMDEPLOY, "local", "status").partition("process ")[2].split()[0])
        return self

    def __exit__(self, *_: object) -> None:
        self.quietly(*GLMDEPLOY, "local", "stop")
        self._folder.cleanup()

    def quietly(self, *command: str) -> str:
        """What a command prints that must succeed."""
        done = subprocess.run(command, check=False, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command[2:])} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def cost(self, *command: str) -> Cost:
        """What a command costs that must succeed."""
        before, started = self._processor(), time.perf_counter()
        output = os.open(os.devnull, os.O_WRONLY)
        child = subprocess.Popen(command, env=self.environment, stdout=output, stderr=output)
        os.close(output)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        if child.returncode:
            self.quietly(*command)  # which tells why
        own = usage.ru_utime + usage.ru_stime
        return Cost(wall=wall, own=own, cloud=self._processor() - before, peak=usage.ru_maxrss / 1024)

    def _processor(self) -> float:
        """Seconds of the daemon and of all that it has started, those that have ended included."""
        parents: dict[int, int] = {}
        taken: dict[int, float] = {}
        for file in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = file.read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue
            pid = int(file.parent.name)
            parents[pid] = int(fields[1])
            taken[pid] = sum(map(int, fields[11:15])) / TICKS
        family = {self.pid}
        while more := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= more
        return sum(taken.get(pid, 0.0) for pid in family)


def applied(app: str, *options: str) -> list[str]:
    return [*GLMDEPLOY, "apply", PROFILE, "--target", "local", "--yes", "--set", f"app={app}", *options]


def edited() -> tuple[str, str]:
    """An option of SGLang that has a value of its own each time."""
    return ("--set", f"sglang.args.max-running-requests={next(NUMBERS)}")


class Pair:
    """The same deployment by both, run by run."""

    def __init__(self, cloud: Cloud, *options: str) -> None:
        self._cloud, self._options = cloud, options
        self._same: list[str] = []

    def first(self) -> tuple[list[str], list[str]]:
        """Apps that were not there before."""
        number = next(NUMBERS)
        return applied(f"a-{number}", *self._options, *AS_MODAL), self._modal(f"m-{number}")

    def again(self) -> tuple[list[str], list[str]]:
        """Apps that are there, with one option of SGLang changed."""
        change = edited()
        return applied("again-a", *self._options, *change, *AS_MODAL), self._modal("again-m", *change)

    def unchanged(self) -> tuple[list[str], list[str]]:
        """Apps that are there as they are."""
        self._same = self._same or self._modal("same-m")  # the same file each time: Python compiles it once
        return applied("same-a", *self._options, *AS_MODAL), self._same

    def _modal(self, app: str, *options: str) -> list[str]:
        rendered = [*GLMDEPLOY, "render", PROFILE, "--set", f"app={app}", *self._options, *options]
        script = self._cloud.folder / f"{app.replace('-', '_')}.py"
        self._cloud.quietly(*rendered, "--output", str(script))
        return [*MODAL, "deploy", str(script)]


def same_work(cloud: Cloud, runs: int) -> Iterator[list[str]]:
    """A row for each of what both do."""
    for what, options in (("no secrets", WITHOUT_SECRETS), ("two secrets", ())):
        pair = Pair(cloud, *options)
        for name, commands in (
            ("first deployment", pair.first),
            ("one edited option", pair.again),
            ("nothing changed", pair.unchanged),
        ):
            for command in commands():  # what is there, is; and bytecode is written
                cloud.quietly(*command)
            ours, theirs = alternated(cloud, commands, runs)
            yield compared(f"{name}, {what}", theirs, ours)


def more_work(cloud: Cloud, runs: int) -> Iterator[list[str]]:
    """A row for each of what `apply` alone does."""
    here = ("--target", "local", "--set", "app=again-a")
    for name, command in (
        ("`apply --no-wait`: arguments judged and rehearsed", lambda: applied("again-a", *edited(), "--no-wait")),
        ("`apply`: followed until it serves, and verified", lambda: applied("again-a", *edited())),
        ("`plan`: changes, their costs, and drift", lambda: [*GLMDEPLOY, "plan", PROFILE, *here, *edited()]),
        ("`validate`: the profile alone", lambda: [*GLMDEPLOY, "validate", PROFILE]),
    ):
        yield alone(name, [cloud.cost(*command()) for _ in range(max(1, runs // 2))])


def alternated(
    cloud: Cloud, commands: Callable[[], tuple[list[str], list[str]]], runs: int
) -> tuple[list[Cost], list[Cost]]:
    """What both cost, run by run, now the one first and now the other."""
    ours, theirs = [], []
    for run in range(runs):
        apply, deploy = commands()
        if run % 2:
            theirs.append(cloud.cost(*deploy))
            ours.append(cloud.cost(*apply))
        else:
            ours.append(cloud.cost(*apply))
            theirs.append(cloud.cost(*deploy))
    return ours, theirs


def compared(name: str, theirs: Sequence[Cost], ours: Sequence[Cost]) -> list[str]:
    """A row of :data:`HEAD`: of each kind of time the one, the other, and how many times the one the other is."""
    return [
        name,
        *(both([time(each) for each in theirs], [time(each) for each in ours]) for time in (_own, _wall)),
        *(f"{statistics.median(each.cloud for each in costs):.2f}" for costs in (theirs, ours)),
    ]


def both(theirs: Sequence[float], ours: Sequence[float]) -> str:
    """The best and the median of both, and the ratio of each."""
    return ", ".join(f"{kind(theirs):.2f} → {kind(ours):.2f} ({kind(ours) / kind(theirs):.2f})" for kind in KINDS)


def alone(name: str, costs: Sequence[Cost]) -> list[str]:
    """A row of :data:`BEYOND`."""
    times = ([time(each) for each in costs] for time in (_own, _wall))
    figures = [", ".join(f"{kind(taken):.2f}" for kind in KINDS) for taken in times]
    return [name, *figures, f"{statistics.median(each.cloud for each in costs):.2f}"]


def _own(cost: Cost) -> float:
    return cost.own


def _wall(cost: Cost) -> float:
    return cost.wall


KINDS = (min, statistics.median)
HEAD = [
    "seconds: best, median",
    "processor: `modal deploy` → `apply` (times)",
    "wall: `modal deploy` → `apply` (times)",
    "the cloud's processor: `modal deploy`",
    "`apply`",
]
BEYOND = ["what more `apply` does, and what of it can be had alone", "processor", "wall", "the cloud's processor"]


def table(runs: int) -> str:
    """Both tables in Markdown."""
    with Cloud() as cloud:
        cloud.quietly(*applied("again-a", "--no-wait", "--make-secrets"))
        return f"{markdown(HEAD, same_work(cloud, runs))}\n\n{markdown(BEYOND, more_work(cloud, runs))}"


if __name__ == "__main__":
    print(table(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
