"""Mutation testing: ``python tests/mutation [--all | --sample N | --seconds N]``; --help says more."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])

from mutation import runs  # noqa: E402 (the folder of the tests is not on the path before)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/mutation", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--all", action="store_true", help="every mutant; as long as that takes: hours on one core")
    what.add_argument("--sample", type=int, metavar="N", help="so many of them, at random, always the same")
    what.add_argument(
        "--seconds", type=float, help="what is kept of the last run, as far as that goes in so many (60 without others)"
    )
    parser.add_argument("--file", action="append", help="only mutants of files whose path begins so; several times")
    parser.add_argument("--seed", type=int, default=16, help="of the sample (16)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--keep", action="store_true", help="write what came of each mutant into the record")
    given = parser.parse_args()
    if given.all or given.sample or given.file:
        return runs.anew(
            sample=given.sample, seed=given.seed, only=given.file or (), jobs=given.jobs, keeping=given.keep
        )
    return runs.kept(seconds=given.seconds or 60.0, jobs=given.jobs)


if __name__ == "__main__":
    sys.exit(main())
