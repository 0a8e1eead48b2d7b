"""Make the option catalog of a release from its published wheel.

``python -m glmdeploy.sglang.catalog_build VERSION`` installs nothing beside glmdeploy, and never SGLang
itself. The wheel is unpacked, and its real parser is asked by :mod:`glmdeploy.sglang.probe` in a virtual
environment of its own that has PyTorch, the transformers release that the wheel pins, and the light
packages below. A machine with a CPU is enough: for the GPU packages, placeholders stand in. The first build
takes minutes and about 1.5 GB in the cache, a later one half a minute.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from glmdeploy.errors import GlmdeployError
from glmdeploy.resources import schemas_dir
from glmdeploy.sglang import catalog, catalog_format, probe

WHEEL_TAGS = ("--platform=manylinux_2_34_x86_64", "--python-version=3.11", "--implementation=cp")
"""One wheel per release, whatever machine builds the catalog: its checksum is part of the catalog."""

TORCH = "torch==2.13.0"
"""Any release will do, and a CPU build is best; pip's own configuration says where to get one."""

LIGHT_PACKAGES = (
    "aiohttp",
    "dill",
    "ipython",
    "msgspec",
    "openai",
    "orjson",
    "partial-json-parser",
    "pillow",
    "psutil",
    "pybase64",
    "python-multipart",
    "pyzmq",
    "requests",
    "scipy",
    "soundfile",
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


class CatalogBuildError(GlmdeployError):
    """The wheel could not be had, is not the recorded one, or its parser could not be read."""


def build(version: str, *, out: Path | None = None, cache: Path | None = None, python: Path | None = None) -> Path:
    """Write ``<version>.json``, bring ``help.json`` beside it up to date, and return the former's path.

    ``out`` is the folder of the catalogs, by default the one that glmdeploy reads. ``cache`` keeps the wheel
    and the virtual environment for the next build (by default below the user's cache folder). ``python`` is
    an interpreter that has all packages already, the right transformers included, and is used as it is.
    Building is deterministic: the same wheel gives the same bytes on every machine.

    :raises CatalogBuildError: see there. Nothing is written then.
    """
    out = out or schemas_dir() / "sglang"
    cache = cache or _user_cache()
    interpreter = python or _environment(cache)
    wheel = _download(version, cache / "wheels", interpreter)
    checksum = hashlib.sha256(wheel.read_bytes()).hexdigest()
    path = out / f"{version}.json"
    if path.exists() and (recorded := catalog.read(path).wheel_sha256) != checksum:
        raise CatalogBuildError(
            f"the wheel of SGLang {version} is not the one that its catalog was made from",
            advice=f"recorded: {recorded}\ndownloaded: {checksum} ({wheel})",
        )
    with tempfile.TemporaryDirectory(prefix="glmdeploy-catalog-") as scratch:
        source = Path(scratch) / "source"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(source)
        if python is None:
            _pip(interpreter, "install", "--quiet", _transformers_pin(source))
        raw = _ask_twice(interpreter, source, Path(scratch))
    try:
        content = catalog_format.document(raw, version=version, wheel=wheel.name, wheel_sha256=checksum)
    except catalog_format.UnknownShape as error:
        raise CatalogBuildError(f"SGLang {version} has something new: {error}") from error
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(catalog_format.dump(content), encoding="utf-8")
    _update_help(out, version, catalog_format.wordings(raw))
    return path


def _update_help(out: Path, version: str, wordings: dict[str, str | None]) -> None:
    pool = catalog.help_pool(out)
    wordings_of = {
        other: {
            option.flags[0]: catalog.help_text(pool, option.flags[0], other)
            for option in catalog.read(out / f"{other}.json").options
        }
        for other in catalog.catalogued(out)
    }
    pool = catalog_format.pool_help(wordings_of | {version: wordings})
    (out / "help.json").write_text(catalog_format.dump(pool), encoding="utf-8")
    catalog.help_pool.cache_clear()


def _ask_twice(interpreter: Path, source: Path, scratch: Path) -> dict[str, Any]:
    """The probe's answer, checked against a second one from another home, temporary folder and hash seed.

    What differs then would differ between machines, and has no place in a catalog.
    """
    first, second = (_ask(interpreter, source, scratch / f"home-{seed}", seed) for seed in (0, 1))
    for table in ("options", "env"):
        for one, other in zip(first[table], second[table], strict=True):
            if one != other:
                raise CatalogBuildError(f"the machine shows in the answer: {one} or {other}")
    return first


def _ask(interpreter: Path, source: Path, home: Path, seed: int) -> dict[str, Any]:
    home.mkdir()
    answer = home / "answer.json"
    # Nothing of this process's environment: SGLang reads hundreds of variables.
    environment = {
        "HOME": str(home),
        "TMPDIR": str(home),
        "PATH": os.defpath,
        "PYTHONPATH": str(source),
        "PYTHONHASHSEED": str(seed),
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    command = [str(interpreter), str(Path(probe.__file__)), str(answer), ",".join(PLACEHOLDERS)]
    _run(command, environment)
    text = answer.read_text(encoding="utf-8").replace(str(home), "~")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _download(version: str, folder: Path, interpreter: Path) -> Path:
    found = sorted(folder.glob(f"sglang-{version}-*.whl"))
    if not found:
        folder.mkdir(parents=True, exist_ok=True)
        options = ("--quiet", "--no-deps", "--only-binary=:all:", *WHEEL_TAGS, f"--dest={folder}")
        _pip(interpreter, "download", *options, f"sglang=={version}")
        found = sorted(folder.glob(f"sglang-{version}-*.whl"))
    return found[0]


def _transformers_pin(source: Path) -> str:
    """The requirement of the unpacked wheel. Every release so far pins transformers exactly."""
    (metadata,) = source.glob("sglang-*.dist-info/METADATA")
    match = re.search(r"^Requires-Dist: (transformers==[\w.]+)$", metadata.read_text("utf-8"), re.MULTILINE)
    if match is None:
        raise CatalogBuildError(
            "the wheel does not pin transformers", advice="give an interpreter that has it (--python)"
        )
    return match[1]


def _environment(cache: Path) -> Path:
    folder = cache / "venv"
    interpreter = folder / "bin" / "python"
    # Written last, so that an interrupted installation is taken up again.
    complete = folder / "complete"
    if not complete.exists():
        _run([sys.executable, "-m", "venv", str(folder)], None)
        _pip(interpreter, "install", "--quiet", TORCH, *LIGHT_PACKAGES)
        complete.touch()
    return interpreter


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "glmdeploy" / "catalog"


def _pip(interpreter: Path, *arguments: str) -> None:
    _run([str(interpreter), "-m", "pip", "--disable-pip-version-check", *arguments], None)


def _run(command: list[str], environment: dict[str, str] | None) -> None:
    shown = " ".join(command)
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CatalogBuildError(f"cannot run {shown}", advice=str(error)) from error
    if done.returncode:
        last_words = "\n".join((done.stderr or done.stdout).splitlines()[-15:])
        raise CatalogBuildError(f"exit code {done.returncode} from {shown}", advice=last_words)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the option catalog of an SGLang release.")
    parser.add_argument("version")
    parser.add_argument("--out", type=Path, help="folder of the catalogs")
    parser.add_argument("--cache", type=Path, help="folder for the wheel and the virtual environment")
    parser.add_argument("--python", type=Path, help="an interpreter that has everything already")
    args = parser.parse_args(argv)
    try:
        path = build(args.version, out=args.out, cache=args.cache, python=args.python)
    except CatalogBuildError as error:
        sys.stderr.write(f"{error.message}\n{error.advice or ''}\n")
        return error.exit_code
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
