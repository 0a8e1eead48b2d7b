"""One process of atheris: one target under libFuzzer, with glmdeploy's own modules instrumented and no others."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from fuzz.target import Target


PROGRAM = "GLMDEPLOY_FUZZ_PROGRAM"
"""A program that takes libFuzzer's arguments alone."""


def load(name: str) -> Target:
    """The target of a name."""
    target: Target = importlib.import_module(f"fuzz.targets.{name}").TARGET
    return target


def replay(name: str, file: Path) -> int:
    """Check one input, without atheris; 1 where it shows a fault."""
    data = file.read_bytes()
    try:
        load(name).check(data)
    except Exception:
        traceback.print_exc()
        print(f"{name}: {data!r}", file=sys.stderr)
        return 1
    print(f"{name}: nothing is wrong with {file}")
    return 0


def run(name: str, arguments: list[str]) -> int:
    """Hand the process over to libFuzzer, with its own arguments. Does not return but for a mistake."""
    import atheris

    warnings.simplefilter("error")
    warnings.simplefilter("ignore", ResourceWarning)
    logging.disable(logging.CRITICAL)
    # Never left: modules that are first imported by some input are instrumented too.
    atheris.instrument_imports(include=["glmdeploy"]).__enter__()
    target = load(name)

    def check(data: bytes) -> None:
        try:
            target.check(data)
        except Exception:
            traceback.print_exc()
            raise

    mutate = target.mutate
    # What minimises a corpus starts itself again, by the program that began.
    program = os.environ.get(PROGRAM, sys.argv[0])
    atheris.Setup([program, *arguments], check, **({"custom_mutator": mutate} if mutate else {}))
    atheris.Fuzz()
    return 0
