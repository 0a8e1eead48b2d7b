"""What ``compile_deep_gemm`` leaves behind: files laid out as DeepGEMM's cache, with no kernels in them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from glmdeploy.local.standin.settings import NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.local.standin.settings import Settings

_CONTENT = f"{NAME}: this file stands for a compiled kernel\n"


def compile_all(settings: Settings, environment: Mapping[str, str]) -> None:
    """Write one kernel for each shape of matrix, to ``$SGLANG_DG_CACHE_DIR``, and print progress.

    The default directory is SGLang's up to 0.5.17, ``~/.cache/deep_gemm``. Raises OSError.
    """
    print(
        "Begin DeepGEMM Kernels compilation...\n(glmdeploy's stand-in engine: what it writes are not kernels)\n",
        flush=True,
    )
    directory = environment.get("SGLANG_DG_CACHE_DIR")
    root = Path(directory) if directory else Path.home() / ".cache" / "deep_gemm"
    shapes = _shapes(settings)
    for number, (columns, rows) in enumerate(shapes, 1):
        name = "sm100_fp8_gemm_1d1d"
        digest = hashlib.md5(f"{name} {settings.version} {rows}x{columns}".encode(), usedforsecurity=False).hexdigest()
        kernel = root / "cache" / f"kernel.{name}.{digest}"
        kernel.mkdir(parents=True, exist_ok=True)
        (kernel / "kernel.cu").write_text(f"// {_CONTENT}", encoding="utf-8")
        (kernel / "kernel.cubin").write_text(_CONTENT, encoding="utf-8")
        print(f"DeepGEMM JIT ({number}/{len(shapes)}) N={rows} K={columns}", flush=True)
    print("\nDeepGEMM Kernels compilation finished successfully.", flush=True)


def _shapes(settings: Settings) -> list[tuple[int, int]]:
    """Columns and rows of the model's larger matrices."""
    config = settings.config
    hidden = config.get("hidden_size", 0)
    widths = (config.get(name, 0) for name in ("intermediate_size", "moe_intermediate_size", "q_lora_rank"))
    return sorted({(hidden, width) for width in widths if width} | {(hidden, hidden)})
