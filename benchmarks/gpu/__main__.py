"""Shipped profiles on one GPU with the real SGLang: what `size` and `explain` said beside what the engine says.

    python benchmarks/gpu --release 0.5.11 [--only TEXT] [--out FOLDER] [--kernels FOLDER] [--seconds N]

Needs a GPU of Hopper's kind and an interpreter that has that release of SGLang, and this repository on PYTHONPATH. No
model is fetched: dimensions are those of the published models, weights are random. Each case is one start; prints a
line for each, and writes `RELEASE.json` with every figure, and each engine's output, into FOLDER.
Kernels that one case has compiled are kept for the next, in the folder of `--kernels`; the first case of a model takes
minutes for them. The case whose first request is watched while it compiles begins with none.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import engine
import trials
from cases import CASES

if TYPE_CHECKING:
    from cases import Case

GIB = 2**30


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--release", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    parser.add_argument("--kernels", type=Path, default=Path("gpu-kernels"))
    parser.add_argument("--seconds", type=float, default=3600.0, help="no case is begun after so many")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # engines end with this process
    began = time.monotonic()
    found: dict[str, Any] = {"release": given.release, "machine": machine(), "cases": {}}
    for number, case in enumerate(CASES):
        if given.only not in case.name:
            continue
        if time.monotonic() - began > given.seconds:
            found["cases"][case.name] = {"not_run": "no time was left"}
            continue
        log = given.out / f"{given.release}-{number}.log"
        try:
            found["cases"][case.name] = run(case, given.release, log, given.kernels.absolute() / given.release)
        except Exception as error:
            found["cases"][case.name] = {"failed": f"{type(error).__name__}: {error}"[-1500:]}
            traceback.print_exc()
        print(json.dumps({case.name: found["cases"][case.name]}, default=str), flush=True)
        (given.out / f"{given.release}.json").write_text(json.dumps(found, indent=1, default=str))


def run(case: Case, release: str, log: Path, kernels: Path) -> dict[str, Any]:
    """One start, and all that is asked of it."""
    scratch = Path(tempfile.mkdtemp(prefix="gpu"))
    try:
        prepared = engine.prepare(case, release, scratch)
        began = time.monotonic()
        more, home = (("--skip-server-warmup",), scratch / "home") if case.tries else ((), kernels)
        started, key, port = engine.start(prepared, home, log, more=more)
        try:
            started.wait_until_healthy(began + engine.READY_SECONDS)
            ready = time.monotonic() - began
            running = trials.Running(
                prepared=prepared, engine=started, key=key, port=port, env=engine.environment(prepared, home)
            )
            found: dict[str, Any] = {"ready_s": round(ready, 1), "findings": prepared.findings}
            if case.tries:
                found["cold"] = trials.cold(running, limit=60)
            found["proof"] = engine.prove(prepared, started)
            _, info = engine.ask(port, key, "/server_info")
            _, cards = engine.ask(port, key, "/v1/models")
            found |= {"memory": memory(prepared, started), **engine.judged(prepared, info, cards["data"])}
            found["answers"] = running.generate(100, 16)
            if case.tries:
                found["trials"] = trials.trials(running, limit=engine.LIMIT)
        finally:
            started.kill()
        return found
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def memory(prepared: engine.Prepared, started: engine.Observed) -> dict[str, Any]:
    """What `size` estimated, in GiB and tokens, and what the engine's output told."""
    sized, seen = prepared.size, started.seen
    held = sized.memory
    return {
        "estimated": {
            "answer": str(sized.answer),
            "weights": round(held.weights / GIB, 2),
            "tokens": held.pool.tokens,
            "pool": round(held.pool.bytes / GIB, 2),
            "draft_pool": round(sized.draft_bytes / GIB, 2),
            "left": round(held.left / GIB, 2),
            "working": round(held.working / GIB, 2),
        },
        "engine": asdict(seen),
    }


def machine() -> dict[str, str]:
    """The GPU and what runs on it."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    told = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    import torch

    return {"gpu": told, "torch": torch.__version__, "python": platform.python_version(), "date": time.strftime("%Y-%m-%d")}


if __name__ == "__main__":
    main()
