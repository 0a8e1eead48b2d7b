"""Installs the real engine once, for models of a few megabytes on a CPU: what :data:`ENGINE_LOCK` pins, by hash.

The folder has its mark last, after SGLang was imported in it: what an interrupted installation has left counts as
nothing, and is removed by the next one.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.errors import GlmdeployError
from glmdeploy.sglang.real.environment import (
    ENGINE_LOCK,
    ENGINE_VERSION,
    ProbeError,
    engine_folder,
    engine_variables,
    exclusive,
    existing_engine,
    mark_complete,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from pathlib import Path

DOWNLOAD_BYTES = 365_741_722
"""What the wheels of :data:`ENGINE_LOCK` weigh together."""
INSTALLED_BYTES = 1_681_714_897
"""What they are when they are unpacked, with Python's compiled modules."""
NEEDED_BYTES = 3_000_000_000
"""On disk while it is installed: wheels, a copy of them that pip makes, and what is unpacked."""

PYTHON = (3, 11)
GLIBC = (2, 34)
"""Of the wheels: one of them is for no older one."""

TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
"""Where PyTorch's builds for CPUs are, when pip's own configuration does not know better."""

_POLL = 0.5
_FOLDER = re.compile(r"\d+(\.\w+)*-[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """``done`` of ``whole`` bytes of a step, ``download`` or ``unpack``; ``check`` has none."""

    step: str
    done: int = 0
    whole: int = 0


def install_engine(cache: Path, tell: Callable[[Progress], None] = lambda _: None) -> Path:
    """The interpreter of the engine below the folder ``cache``, which is made if it does not exist.

    Where it is there already nothing is done. Who comes second waits for the first.

    :raises GlmdeployError: where this machine cannot have it, before anything is downloaded; where a package cannot be
        had.
    """
    if found := existing_engine(cache):
        return found
    python = fit(cache)
    folder = engine_folder(cache)
    try:
        with exclusive(cache):
            if found := existing_engine(cache):
                return found
            shutil.rmtree(folder, ignore_errors=True)
            try:
                return _installed(python, folder, tell)
            except BaseException:
                _clear(folder)
                raise
    except OSError as error:
        raise _unwritable(cache, error) from error


def _clear(folder: Path) -> None:
    """Remove a folder in which a program that was just killed may have a child that still writes."""
    for _ in range(30):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_POLL)


def remove_engine(cache: Path) -> bool:
    """Remove every engine below ``cache``, of other releases too, and what interrupted installations left.

    False where there was none. :raises GlmdeployError: where that is not possible.
    """
    folders = [path for path in cache.glob("*") if path.is_dir() and _FOLDER.fullmatch(path.name)]
    if not folders:
        return False
    try:
        with exclusive(cache):
            for folder in folders:
                shutil.rmtree(folder)
    except OSError as error:
        raise _unwritable(cache, error) from error
    return True


def fit(cache: Path) -> str:
    """The Python to install with, on a machine that can have the engine below ``cache``.

    :raises GlmdeployError: with the reason why it cannot.
    """
    system, machine = platform.system(), platform.machine()
    if (system, machine.lower()) not in {("Linux", "x86_64"), ("Linux", "amd64")}:
        raise GlmdeployError(
            f"the real engine runs on Linux on x86-64 alone, and this is {system} on {machine}",
            advice="its stand-in answers everywhere",
        )
    name, version = platform.libc_ver()
    if name != "glibc" or tuple(map(int, version.split(".")[:2])) < GLIBC:
        wanted = ".".join(map(str, GLIBC))
        raise GlmdeployError(f"the real engine needs glibc {wanted} or newer, and this is {name} {version}".rstrip())
    python = _python()
    place = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if free < NEEDED_BYTES:
        raise GlmdeployError(
            f"the real engine needs {NEEDED_BYTES / 1e9:.0f} GB, and {place} has {free / 1e9:.1f} GB left",
            advice="make room, or set GLMDEPLOY_ENGINE to another folder",
        )
    return python


def _python() -> str:
    """:raises GlmdeployError: where there is none of the version that the wheels are for."""
    if sys.version_info[:2] == PYTHON:
        return sys.executable
    wanted = ".".join(map(str, PYTHON))
    if found := shutil.which(f"python{wanted}"):
        return found
    raise GlmdeployError(
        f"the real engine needs Python {wanted}, and this is {platform.python_version()}",
        advice=f"install Python {wanted} too, so that `python{wanted}` is found",
    )


def _installed(python: str, folder: Path, tell: Callable[[Progress], None]) -> Path:
    """:raises ProbeError: :raises OSError:"""
    run([python, "-m", "venv", str(folder)])
    interpreter = folder / "bin" / "python"
    wheels, scratch = folder / "wheels", folder / "tmp"
    wheels.mkdir()
    scratch.mkdir()
    lines = [line for line in ENGINE_LOCK.read_text("utf-8").splitlines() if line and not line.startswith("#")]

    def pip(measured: Callable[[], int], step: str, whole: int, *arguments: str) -> None:
        command = [str(interpreter), "-I", "-m", "pip", "--disable-pip-version-check", *arguments]
        # Closed at once when one of the calls is interrupted: pip must be gone before its folder is removed.
        with contextlib.closing(_running(command, scratch)) as running:
            for _ in running:
                tell(Progress(step=step, done=min(measured(), whole), whole=whole))

    def fetch(lines: Iterable[str], *arguments: str) -> None:
        wanted = folder / "wanted.lock"
        wanted.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        before = _size(wheels)
        # pip copies them there at the end.
        pip(
            lambda: max(_size(wheels), before + _size(scratch)),
            *("download", DOWNLOAD_BYTES, "download", "--retries=2", "--no-deps", "--only-binary=:all:"),
            *("--require-hashes", f"--dest={wheels}", f"--requirement={wanted}", *arguments),
        )

    torch = [line for line in lines if line.startswith("torch==")]
    try:
        fetch(torch)
    except ProbeError as error:
        if "No matching distribution" not in (error.advice or ""):
            raise
        fetch(torch, f"--index-url={TORCH_INDEX}")
    fetch(line for line in lines if line not in torch)
    pip(
        lambda: _size(folder / "lib"),
        *("unpack", INSTALLED_BYTES, "install", "--no-index", "--no-deps"),
        *(f"--find-links={wheels}", f"--requirement={ENGINE_LOCK}"),
    )
    shutil.rmtree(wheels)
    tell(Progress(step="check"))
    run([str(interpreter), "-c", "import sglang.srt.server_args, torch"], engine_variables(interpreter, scratch))
    shutil.rmtree(scratch)
    mark_complete(folder)
    return interpreter


def _running(command: Sequence[str], scratch: Path) -> Generator[None, None, None]:
    """Run pip to its end; yields every now and then.

    :raises ProbeError: if it fails, with its last words.
    """
    with tempfile.TemporaryFile(dir=scratch) as output:
        process = None
        # An interrupt waits until pip is known here: else nobody would end it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process = subprocess.Popen(
                command,
                env={**os.environ, "TMPDIR": str(scratch)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            while process.poll() is None:
                yield
                time.sleep(_POLL)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            if process is not None and process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode:
            output.seek(0)
            words = output.read().decode(errors="replace").splitlines()[-15:]
            raise ProbeError(
                f"pip could not {command[5]} the packages of SGLang {ENGINE_VERSION} (exit code {process.returncode})",
                advice="\n".join(words),
            )


def _size(folder: Path) -> int:
    """Bytes of all files in it."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_size
    return total


def _unwritable(cache: Path, error: OSError) -> GlmdeployError:
    return GlmdeployError(
        f"{error.filename or cache} cannot be written: {error.strerror or error}",
        advice="make room or give access there, or set GLMDEPLOY_ENGINE to another folder",
    )
