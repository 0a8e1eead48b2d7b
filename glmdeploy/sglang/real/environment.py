"""Where the real SGLang can be asked without being installed: an unpacked wheel and an interpreter of its own.

Below one cache folder: ``wheels``; ``source/<version>``, each unpacked; ``venv`` with PyTorch and the light packages
that ``sglang.srt.server_args`` imports in any release from 0.5.8 to 0.5.23; and ``transformers-<pin>``, a small
virtual environment over the former for each transformers release that a wheel pins. A machine with a CPU is enough:
for the GPU packages placeholders stand in (:data:`PLACEHOLDERS`, :mod:`glmdeploy.sglang.real.catalog_probe`).

The first environment takes minutes and about 1.5 GB, another release half a minute. Processes may share a cache.

Beside these is the real engine, installed so that it serves on a CPU, for models of a few megabytes
(:mod:`glmdeploy.sglang.real.install`): what :data:`ENGINE_LOCK` pins. Left out are the packages of GPUs. SGLang
imports some all the same; :data:`ENGINE_SHIMS` stand in for those, and raise where they are used. It serves GLM-4
models with the options and variables of the shipped profile ``local-cpu``. Speculative decoding needs kernels of GPUs
and does not run.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from glmdeploy.errors import GlmdeployError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

WHEEL_TAGS = ("--platform=manylinux_2_34_x86_64", "--python-version=3.11", "--implementation=cp")
"""One wheel per release, whatever machine asks: its checksum is part of the catalog."""

TORCH = "torch==2.13.0"
"""Any release will do, and a CPU build is best; pip's own configuration says where to get one."""

LIGHT_PACKAGES = (
    "aiohttp",
    "compressed-tensors",
    "dill",
    "einops",
    "fastapi",
    "gguf",
    "ipython",
    "msgspec",
    "openai",
    "orjson",
    "partial-json-parser",
    "pillow",
    "prometheus-client",
    "psutil",
    "pybase64",
    "python-multipart",
    "pyzmq",
    "requests",
    "scipy",
    "setproctitle",
    "soundfile",
    "uvicorn",
    "uvloop",
)
"""What ``sglang.srt.server_args`` imports on the way in any release from 0.5.8 to 0.5.23."""

PLACEHOLDERS = (
    "flashinfer",
    "sentencepiece",
    "sgl_kernel",
    "torchcodec",
    "torchvision",
    "triton",
    "xgrammar",
)
"""Packages that need a GPU or are large. The catalog of a release says which of them it asked for."""

ENGINE_VERSION = "0.5.23"

ENGINE_LOCK = Path(__file__).with_name("cpu_engine.lock")

ENGINE_SHIMS = Path(__file__).with_name("cpu_shims")
"""A folder for ``PYTHONPATH``."""

_COMPLETE = "complete"
"""A marker written last, so that an interrupted installation is taken up again."""


class ProbeError(GlmdeployError):
    """A wheel or a package could not be had, or a foreign interpreter failed."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """``interpreter`` runs ``source``, an unpacked wheel, when that is on ``PYTHONPATH``."""

    interpreter: Path
    source: Path


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/glmdeploy/sglang-probe``, by default below ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "glmdeploy" / "sglang-probe"


def existing(version: str, cache: Path) -> Environment | None:
    """The environment of a release if it has been built; contacts nothing and changes nothing."""
    source = _source(version, cache)
    if not _is_complete(source):
        return None
    folder = _over(cache, transformers_pin(source))
    return Environment(interpreter=_interpreter(folder), source=source) if _is_complete(folder) else None


def installed(version: str) -> Environment | None:
    """This interpreter's own SGLang (the extra ``sglang``), if it is the release that is asked for."""
    try:
        distribution = importlib.metadata.distribution("sglang")
    except importlib.metadata.PackageNotFoundError:
        return None
    if distribution.version != version:
        return None
    return Environment(interpreter=Path(sys.executable), source=Path(str(distribution.locate_file(""))))


def build(version: str, cache: Path) -> Environment:
    """The environment of a release, made as far as it does not exist.

    :raises ProbeError: if a package cannot be had.
    """
    if found := existing(version, cache):
        return found
    with exclusive(cache):
        base = _base(cache)
        source = _unpacked(download(version, cache, base), _source(version, cache))
        return Environment(interpreter=_with_transformers(cache, base, transformers_pin(source)), source=source)


def download(version: str, cache: Path, interpreter: Path) -> Path:
    """The wheel of a release in the cache, without its dependencies."""
    folder = cache / "wheels"
    found = sorted(folder.glob(f"sglang-{version}-*.whl"))
    if not found:
        folder.mkdir(parents=True, exist_ok=True)
        options = ("--quiet", "--no-deps", "--only-binary=:all:", *WHEEL_TAGS, f"--dest={folder}")
        _pip(interpreter, interpreter, "download", *options, f"sglang=={version}")
        found = sorted(folder.glob(f"sglang-{version}-*.whl"))
    return found[0]


def transformers_pin(source: Path) -> str:
    """The requirement of the unpacked wheel, ``transformers==5.6.0``. Every release so far pins one exactly."""
    (metadata,) = source.glob("sglang-*.dist-info/METADATA")
    match = re.search(r"^Requires-Dist: (transformers==[\w.]+)$", metadata.read_text("utf-8"), re.MULTILINE)
    if match is None:
        raise ProbeError("the wheel does not pin transformers", advice="give an interpreter that has it")
    return match[1]


def variables(source: Path, home: Path) -> dict[str, str]:
    """The whole environment of a probe: nothing of this process's own, for SGLang reads hundreds of variables."""
    return {
        "HOME": str(home),
        "TMPDIR": str(home),
        "PATH": os.defpath,
        "PYTHONPATH": str(source),
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }


def engine_cache() -> Path:
    """``$GLMDEPLOY_ENGINE``, else ``$XDG_CACHE_HOME/glmdeploy/sglang-cpu``, by default below ``~/.cache``."""
    chosen = os.environ.get("GLMDEPLOY_ENGINE")
    return Path(chosen).expanduser().absolute() if chosen else default_cache().with_name("sglang-cpu")


def existing_engine(cache: Path) -> Path | None:
    """The interpreter of the engine's environment if it has been made; contacts nothing and changes nothing."""
    folder = engine_folder(cache)
    return _interpreter(folder) if _is_complete(folder) else None


def engine_folder(cache: Path) -> Path:
    """Named for what it holds: another release, or another package, is another folder."""
    pinned = hashlib.sha256(ENGINE_LOCK.read_bytes()).hexdigest()[:12]
    return cache / f"{ENGINE_VERSION}-{pinned}"


def mark_complete(folder: Path) -> None:
    (folder / _COMPLETE).touch()


def engine_variables(interpreter: Path, home: Path) -> dict[str, str]:
    """The whole environment of the engine's process, but for SGLang's own variables; ``home`` is its scratch folder."""
    return {
        "HOME": str(home),
        "TMPDIR": str(home),
        "PATH": f"{interpreter.parent}:{os.defpath}",
        "PYTHONPATH": str(ENGINE_SHIMS),
        "HF_HUB_OFFLINE": "1",
    }


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run a command to its end.

    :raises ProbeError: if it cannot be started or fails, with its last words.
    """
    shown = " ".join(command)
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ProbeError(f"cannot run {shown}", advice=str(error)) from error
    if done.returncode:
        last_words = "\n".join((done.stderr or done.stdout).splitlines()[-15:])
        raise ProbeError(f"exit code {done.returncode} from {shown}", advice=last_words)


@contextlib.contextmanager
def exclusive(cache: Path) -> Iterator[None]:
    """Whoever builds in the folder ``cache``, which is made, does so alone."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def virtual_environment(folder: Path, *arguments: str) -> Path:
    """The interpreter of a virtual environment with what ``pip install`` makes of ``arguments``, made if need be.

    :raises ProbeError: if a package cannot be had.
    """
    interpreter = _interpreter(folder)
    if not _is_complete(folder):
        run([sys.executable, "-m", "venv", str(folder)])
        _pip(interpreter, interpreter, "install", "--quiet", *arguments)
        mark_complete(folder)
    return interpreter


def _base(cache: Path) -> Path:
    return virtual_environment(cache / "venv", TORCH, *LIGHT_PACKAGES)


def _unpacked(wheel: Path, source: Path) -> Path:
    if not _is_complete(source):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(source)
        mark_complete(source)
    return source


def _with_transformers(cache: Path, base: Path, requirement: str) -> Path:
    """A virtual environment that sees everything of ``base``, and has its own transformers before it."""
    folder = _over(cache, requirement)
    interpreter = _interpreter(folder)
    if not _is_complete(folder):
        run([str(base), "-m", "venv", "--without-pip", str(folder)])
        (below,) = (cache / "venv" / "lib").glob("python3.*/site-packages")
        (own,) = (folder / "lib").glob("python3.*/site-packages")
        (own / "base.pth").write_text(f"{below}\n", encoding="utf-8")
        _pip(base, interpreter, "install", "--quiet", requirement)
        mark_complete(folder)
    return interpreter


def _source(version: str, cache: Path) -> Path:
    return cache / "source" / version


def _over(cache: Path, requirement: str) -> Path:
    return cache / requirement.replace("==", "-")


def _interpreter(folder: Path) -> Path:
    return folder / "bin" / "python"


def _is_complete(folder: Path) -> bool:
    return (folder / _COMPLETE).exists()


def _pip(runner: Path, target: Path, *arguments: str) -> None:
    run([str(runner), "-m", "pip", "--disable-pip-version-check", "--python", str(target), *arguments])
