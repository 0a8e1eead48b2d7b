"""What stands in for the packages of GPUs can be imported, and never used."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from glmdeploy.sglang import environment

if TYPE_CHECKING:
    from pathlib import Path

KERNELS = """
import triton.language as tl
from triton import autotune, jit, Config
from vllm._custom_ops import rotary_embedding

@autotune(configs=[Config({"BLOCK": 64}, num_warps=4)], key=["size"])
@jit
def kernel(size, BLOCK: tl.constexpr):
    tl.store(0, size)

class Layer(tl.dtype):
    dtype = tl.float32 | None
"""


def run(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """The program in a Python of its own, beside the module ``kernels``."""
    (folder / "kernels.py").write_text(KERNELS)
    path = os.pathsep.join((str(environment.SHIMS), str(folder)))
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env={"PYTHONPATH": path}, capture_output=True, text=True, check=False, timeout=60)


def test_modules_with_kernels_can_be_imported(tmp_path: Path) -> None:
    done = run(tmp_path, "import kernels; assert not isinstance(1, kernels.tl.dtype)")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("kernels.kernel(1, 2)", "triton.language.store"),
        ("kernels.tl.cdiv(3, 2)", "triton.language.cdiv"),
        ("kernels.rotary_embedding()", "vllm._custom_ops.rotary_embedding"),
    ],
)
def test_using_them_is_an_error_that_names_what_is_missing(tmp_path: Path, call: str, name: str) -> None:
    done = run(tmp_path, f"import kernels; {call}")
    assert done.returncode == 1
    assert f"RuntimeError: {name} was called, which is not installed" in done.stderr


@pytest.mark.parametrize("module", ["triton.knobs", "vllm.distributed", "vllm.logger"])
def test_what_sglang_does_without_is_missing(tmp_path: Path, module: str) -> None:
    done = run(tmp_path, f"import {module}")
    assert "ModuleNotFoundError" in done.stderr


def test_who_asks_what_is_installed_hears_the_truth(tmp_path: Path) -> None:
    program = "import importlib.util as util; assert not util.find_spec('triton'); assert util.find_spec('json')"
    done = run(tmp_path, program)
    assert done.returncode == 0, done.stderr
