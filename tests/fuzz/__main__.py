"""Fuzz what takes input from outside: ``python tests/fuzz [TARGET...] [--seconds N | --runs N]``; --help says more."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])

from fuzz import campaign, engine  # noqa: E402 (the folder of the tests is not on the path before)

TARGETS = ("source", "launch", "sets", "rpcs", "gateway", "hub")
"""Names of the modules in ``targets``."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all without any")
    parser.add_argument("--seconds", type=float, help="for all of them together, several at a time (60 without --runs)")
    parser.add_argument("--runs", type=int, help="cases of each target, however long they take")
    parser.add_argument("--seed", type=int, help="of what is tried: with the same one the same again; else by chance")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time (2)")
    parser.add_argument("--keep", action="store_true", help="add what was new to the corpus, and make it smallest")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="check one input of one TARGET, and nothing else")
    parser.add_argument("--engine", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if strangers := set(given.targets) - set(TARGETS):
        parser.error(f"there is no target {', '.join(sorted(strangers))}: it is one of {', '.join(TARGETS)}")
    if given.replay is not None:
        if len(given.targets) != 1:
            parser.error("--replay takes the one target that the input is for")
        return engine.replay(given.targets[0], given.replay)
    if given.engine is not None:
        return engine.run(given.targets[0], given.engine)
    return campaign.run(
        given.targets or list(TARGETS),
        seconds=given.seconds,
        runs=given.runs,
        seed=given.seed,
        jobs=given.jobs,
        keeping=given.keep,
        figures=given.json,
    )


if __name__ == "__main__":
    sys.exit(main())
