"""Answer for the real resolution of an SGLang release, many times over; run by path like ``oracle_probe.py``.

Usage and requests are those of ``oracle_probe.py``, its neighbour, with a GPU. The answers are the same, but for what
was said on the way. What each answer would import anew is imported once: an answer takes a third of the time.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from glmdeploy.sglang.real import oracle_probe
else:
    import oracle_probe


def imported(module: Any, parser: argparse.ArgumentParser, argv: list[str]) -> dict[str, Any]:
    """The names of the modules that a resolution imports."""
    before = set(sys.modules)
    oracle_probe.resolve(module, parser, argv)
    return {"modules": [name for name in sys.modules if name not in before]}


def main(names: str, gpu_text: str) -> None:
    warm = False

    def answer(module: Any, parser: argparse.ArgumentParser, request: dict[str, Any]) -> dict[str, Any]:
        nonlocal warm
        argv = request["argv"]
        if not warm:
            for name in oracle_probe.apart(functools.partial(imported, module, parser, argv))["modules"]:
                # Some cannot be imported apart from the modules that import them.
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
            warm = True
        found = oracle_probe.apart(functools.partial(oracle_probe.resolve, module, parser, argv))
        return {name: found[name] for name in ("code", "error", "values", "resolved", "stderr")}

    oracle_probe.serve(names, json.loads(gpu_text), answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
