"""Let the real SGLang resolve a server's arguments and then check them, as its launch does; run by path.

As ``oracle_probe.py``, which it builds on and which stops before the check: ``python checking_probe.py NAMES GPU``.
"""

from __future__ import annotations

import functools
import json
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Instead of this folder, which no foreign package shall find.
sys.path[0] = str(Path(__file__).parents[3] / "glmdeploy" / "sglang" / "real")
import oracle_probe  # noqa: E402

if TYPE_CHECKING:
    import argparse


def answer(module: Any, parser: argparse.ArgumentParser, request: dict[str, Any]) -> dict[str, Any]:
    """What ``oracle_probe.py`` answers, and an ``error`` too where only ``check_server_args`` refuses."""
    argv = request["argv"]
    found = oracle_probe.resolve(module, parser, argv)
    if found["code"] == 0:
        try:
            args = module.prepare_server_args(argv)
            if hasattr(args, "resolve_once"):
                args.resolve_once()
            args.check_server_args()
        except Exception as error:
            found |= {"code": 1, "error": f"{type(error).__name__}: {error}", "stderr": traceback.format_exc()}
    return found


def main(names: str, gpu: str) -> None:
    oracle_probe.serve(
        names,
        json.loads(gpu),
        lambda module, parser, request: oracle_probe.apart(functools.partial(answer, module, parser, request)),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
