"""Let the real SGLang resolve a server's arguments and then check them, as its launch does; run by path.

As ``oracle_probe.py``, which it builds on and which stops before the check: ``python checking_probe.py NAMES GPU``.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

# Instead of this folder, which no foreign package shall find.
sys.path[0] = str(Path(__file__).parents[2] / "glmdeploy" / "sglang")
import oracle_probe  # noqa: E402


def answer(module: Any, parser: argparse.ArgumentParser, argv: list[str]) -> dict[str, Any]:
    """What ``oracle_probe.py`` answers, and an ``error`` too where only ``check_server_args`` refuses."""
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
    # Whatever the libraries print goes to stderr: the answers have standard output for themselves.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    module = oracle_probe.prepare(names, json.loads(gpu))
    parser = argparse.ArgumentParser()
    module.ServerArgs.add_cli_args(parser)
    for line in sys.stdin:
        reply = oracle_probe.apart(functools.partial(answer, module, parser, json.loads(line)))
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
