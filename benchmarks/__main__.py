"""Measures all that ``docs/measured.md`` has tables of, on this machine, and writes the tables there.

    python benchmarks [--only NAME ...] [--quick] [--print]
    python benchmarks --check

The parts are startup, validate, apply, memory, serving and estimates. Each table stands between marks, with the
machine, the date, the versions and the load that it was measured under; what was not measured this time stays as it is.
All but the estimates are times of this machine and never the same twice: ``--check`` looks at the estimates alone,
changes nothing, and ends with 1 where the page is not what they say.

What is needed beside the package: `pip install check-jsonschema`, which `validate` is measured beside. Without it those
figures are left out, and the page says so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import apply
import estimates
import memory
import page
from measuring import ENVIRONMENT, machine, now, versions

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
CHECK_JSONSCHEMA = "check-jsonschema is not installed here (`pip install check-jsonschema`): nothing stands beside it."


@dataclass(frozen=True)
class Part:
    """``measure`` gets whether it is to be quick, and returns Markdown; ``again`` is how it is measured alone."""

    measure: Callable[[bool], str]
    again: str
    timed: bool = True


class FailedError(Exception):
    """A part could not be measured."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=PARTS, help="measure this part; may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer runs: to see that it works")
    parser.add_argument("--print", action="store_true", help="write the tables to standard output, not to the page")
    parser.add_argument("--check", action="store_true", help="compare what says the same each time with the page")
    given = parser.parse_args()
    names = given.only or list(PARTS)
    if given.check:
        return check([name for name in names if not PARTS[name].timed])
    failed = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            text = measured(PARTS[name], quick=given.quick)
        except FailedError as fault:
            failed.append(name)
            print(f"{name} was not measured: {fault}", file=sys.stderr)
            continue
        if given.print:
            print(f"\n## {name}\n\n{text}")
        else:
            page.write(name, text)
    return 1 if failed else 0


def measured(part: Part, *, quick: bool) -> str:
    """A part's text, with where and when it was measured.

    :raises FailedError:
    """
    begun = now()
    text = part.measure(quick)
    return f"{header(part.again, begun)}\n\n{text}" if part.timed else text


def header(again: str, begun: str) -> str:
    return f"`{again}`, begun {begun}. {machine()}. {versions()}."


def check(names: list[str]) -> int:
    stale = [name for name in names if page.found(name) != page.block(measured(PARTS[name], quick=False))]
    for name in stale:
        print(f"{page.PAGE.name}: `{name}` is not what it would be: `python benchmarks --only {name}`", file=sys.stderr)
    return 1 if stale else 0


def script(name: str, *arguments: str) -> str:
    """What a script of this folder prints: a table in Markdown as it is, other text in a block of its own.

    :raises FailedError:
    """
    command = [sys.executable, str(HERE / name), *arguments]
    done = subprocess.run(command, check=False, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        raise FailedError(f"{name} ended with {done.returncode}:\n{done.stdout}{done.stderr}".rstrip())
    text = done.stdout.rstrip()
    return text if text.lstrip().startswith("|") or "\n|" in text else f"```text\n{text}\n```"


def validate(quick: bool) -> str:
    text = script("validate.py", *(["80", "1"] if quick else []))
    return text if find_spec("check_jsonschema") else f"{CHECK_JSONSCHEMA}\n\n{text}"


def serving(quick: bool) -> str:
    asked = ["--rounds", "2", "--seconds", "2", "--modes", "steady", "--streams", "8" if quick else "1,8,64,256"]
    return script("serving", *asked)


PARTS = {
    "startup": Part(lambda quick: script("startup.py", *(["3"] if quick else [])), "python benchmarks/startup.py"),
    "validate": Part(validate, "python benchmarks/validate.py"),
    "apply": Part(lambda quick: apply.table(1 if quick else 5), "python benchmarks/apply.py"),
    "memory": Part(lambda quick: memory.table(1 if quick else 3), "python benchmarks/memory.py"),
    "serving": Part(serving, "python benchmarks/serving --rounds 2 --seconds 2 --modes steady"),
    "estimates": Part(lambda _: estimates.tables(), "python benchmarks/estimates.py", timed=False),
}


if __name__ == "__main__":
    sys.exit(main())
