"""Stage 2: kernels into the kernels volume, once for everything that decides them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glmdeploy.runtime.caches import caches_archive, make_caches, pack_caches
from glmdeploy.runtime.engine import EngineError
from glmdeploy.runtime.markers import FOLDER, read_marker, write_marker
from glmdeploy.runtime.masking import Mask
from glmdeploy.runtime.output import say
from glmdeploy.runtime.processes import Process

CHECK_SECONDS = 5

LATE = "did not finish"

KERNEL_SUFFIX = ".cubin"


def kernels_mark(key: str) -> str:
    """The name of the completion mark of the kernels for ``key``."""
    return f"kernels-{key}.json"


def compiled_kernels(volume: Path) -> dict[str, int]:
    """The kernels that lie in the volume, by their paths in it, with their sizes in bytes; and archives of caches.

    DeepGEMM keeps each in a folder of its own as ``kernel.cubin`` (2.x, ``csrc/jit/compiler.hpp``).
    """
    found = {}
    for file in [*volume.rglob(f"*{KERNEL_SUFFIX}"), *(volume / FOLDER).glob(caches_archive("*"))]:
        with contextlib.suppress(OSError):
            found[str(file.relative_to(volume))] = file.stat().st_size
    return found


def gone_kernels(marker: Mapping[str, Any], there: Mapping[str, int]) -> int:
    """How many kernels of the mark are not there, or not of their size; a mark of an earlier release names none."""
    files = marker.get("files")
    return sum(there.get(path) != size for path, size in files.items()) if isinstance(files, dict) else 0


def kernels_there(volume: Path, keys: Mapping[str, str]) -> dict[str, tuple[dict[str, Any], int]]:
    """By GPU, as ``keys`` are: its mark, empty where there is none, and how many of its kernels are gone."""
    marks = {gpu: read_marker(volume, kernels_mark(key)) for gpu, key in keys.items()}
    there = compiled_kernels(volume) if any(marks.values()) else {}
    return {gpu: (mark, gone_kernels(mark, there)) for gpu, mark in marks.items()}


def compile_kernels(
    command: list[str], environment: Mapping[str, str], key: str, volume: Path, caches: Path, seconds: float
) -> dict[str, Any]:
    """Run SGLang's ``compile_deep_gemm`` unless it already ran for ``key``; the kernels lie in ``volume``.

    Returns the mark: ``key``, ``command``, the sizes in bytes of the compiled ``files``, and what is in the archive of
    the ``caches`` that the tool filled on its own disk. It is worth nothing when one of the files is gone. The tool
    gets ``environment`` and no other variable; however it ends, nothing of it is left.

    SGLang's tool needs watching (``sglang/compile_deep_gemm.py``, 0.5.11): it does not notice when the server that it
    started dies, and polls on for an hour of rented GPUs; and after a failure it can wait for that server for ever. It
    never gets the API key: it polls without one, so that with a key it waits for itself in vain.

    :raises EngineError: when the tool fails or takes more than ``seconds``, or what it made cannot be kept.
    """
    name = kernels_mark(key)
    if marker := read_marker(volume, name):
        gone = gone_kernels(marker, compiled_kernels(volume))
        if not gone:
            say(f"kernels for {key} are compiled, nothing to do")
            return marker
        say(f"{gone} of the {len(marker['files'])} kernels for {key} are gone: compiling them anew")
    try:
        make_caches(environment, caches)
        process = Process(command, environment, Mask(()))
    except OSError as error:
        raise EngineError(f"compile_deep_gemm could not be started: {error}") from None
    try:
        reason = _compiler_fault(process, time.monotonic() + seconds)
    finally:
        process.kill()
    if reason == LATE:
        reason = f"{LATE} in {seconds:.0f} s"
    elif reason is None and process.ended():
        reason = f"ended with {process.explained()}"
    if reason is not None:
        raise EngineError(f"compile_deep_gemm {reason}\n{process.tail()}".rstrip())
    marker = {"key": key, "command": command, **_kept(key, volume, caches)}
    write_marker(volume, name, marker)
    say(f"kernels for {key} are compiled")
    return marker


def _kept(key: str, volume: Path, caches: Path) -> dict[str, Any]:
    """Pack the caches into the volume: the ``files`` in it that a server needs, and what is in the archive.

    :raises EngineError:
    """
    archive = volume / FOLDER / caches_archive(key)
    try:
        packed = pack_caches(caches, archive)
    except OSError as error:
        raise EngineError(f"the compiled kernels could not be written into the volume: {error}") from None
    files = {path: size for path, size in compiled_kernels(volume).items() if path.endswith(KERNEL_SUFFIX)}
    if not packed:
        return {"files": files}
    say(f"{packed['files']:,} files of the kernel caches, {packed['bytes'] / 2**20:,.0f} MiB, are in the volume")
    return {"files": {**files, str(archive.relative_to(volume)): packed["bytes"]}, "caches": packed}


def _compiler_fault(process: Process, deadline: float) -> str | None:
    """Why the tool must be ended; None when it has ended by itself."""
    had_server = False
    while process.wait(CHECK_SECONDS) is None:
        has_server = bool(process.workers())
        if time.monotonic() > deadline:
            return LATE
        if had_server and not has_server and process.wait(CHECK_SECONDS) is None:
            return "lost the server that it had started"
        had_server = has_server
    return None
