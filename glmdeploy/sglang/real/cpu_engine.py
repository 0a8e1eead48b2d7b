"""The real SGLang, installed so that it serves on a CPU: for models of a few megabytes, without a GPU.

The environment has what :data:`LOCK` pins, 1.8 GB; making it takes two minutes and downloads 350 MB. Left out are the
packages of GPUs. SGLang imports some all the same; :data:`SHIMS` stand in for those, and raise where they are used.
It serves GLM-4 models with the options and variables of the shipped profile ``local-cpu``. Speculative decoding needs
kernels of GPUs and does not run.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from glmdeploy.sglang import environment

VERSION = "0.5.23"

LOCK = Path(__file__).with_name("cpu_engine.lock")

SHIMS = Path(__file__).with_name("cpu_shims")
"""A folder for ``PYTHONPATH``."""


def build(cache: Path) -> Path:
    """The interpreter of the environment below the folder ``cache``, which is made if it does not exist.

    :raises ProbeError: if a package cannot be had.
    """
    pinned = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    with environment.exclusive(cache):
        return environment.virtual_environment(cache / f"{VERSION}-{pinned}", "--no-deps", f"--requirement={LOCK}")


def variables(interpreter: Path, home: Path) -> dict[str, str]:
    """The whole environment of the engine's process, but for SGLang's own variables; ``home`` is its scratch folder."""
    return {
        "HOME": str(home),
        "TMPDIR": str(home),
        "PATH": f"{interpreter.parent}:{os.defpath}",
        "PYTHONPATH": str(SHIMS),
        "HF_HUB_OFFLINE": "1",
    }
