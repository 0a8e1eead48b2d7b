"""Make the option catalog of a release from its published wheel.

``python -m glmdeploy.sglang.catalog_build VERSION`` installs nothing beside glmdeploy, and never SGLang itself: the
wheel's real parser is asked by :mod:`glmdeploy.sglang.probe` in :mod:`an environment of its own
<glmdeploy.sglang.environment>`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from glmdeploy.errors import GlmdeployError
from glmdeploy.resources import schemas_dir
from glmdeploy.sglang import catalog, catalog_format, environment, probe
from glmdeploy.sglang.environment import Environment


class CatalogBuildError(GlmdeployError):
    """The wheel is not the recorded one, or its parser has something that a catalog cannot say yet."""


def build(version: str, *, out: Path | None = None, cache: Path | None = None, python: Path | None = None) -> Path:
    """Write ``<version>.json``, bring ``help.json`` beside it up to date, and return the former's path.

    ``out`` is the folder of the catalogs, by default the one that glmdeploy reads. ``cache`` keeps wheels and
    environments for the next build (by default below the user's cache folder). ``python`` is an interpreter that
    has all packages already, the right transformers included, and is used as it is.
    Building is deterministic: the same wheel gives the same bytes on every machine.

    :raises CatalogBuildError: see there. Nothing is written then.
    :raises ProbeError: if a download or the probe fails. Nothing is written then either.
    """
    out = out or schemas_dir() / "sglang"
    cache = cache or environment.default_cache()
    path = out / f"{version}.json"
    with tempfile.TemporaryDirectory(prefix="glmdeploy-catalog-") as folder:
        scratch = Path(folder)
        place = (
            Environment(interpreter=python, source=scratch / "source") if python else environment.build(version, cache)
        )
        wheel = environment.download(version, cache, place.interpreter)
        checksum = _checksum(wheel, path)
        if python:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(place.source)
        raw = _ask_twice(place, scratch)
    try:
        content = catalog_format.document(raw, version=version, wheel=wheel.name, wheel_sha256=checksum)
    except catalog_format.UnknownShape as error:
        raise CatalogBuildError(f"SGLang {version} has something new: {error}") from error
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(catalog_format.dump(content), encoding="utf-8")
    _update_help(out, version, catalog_format.wordings(raw))
    return path


def _checksum(wheel: Path, path: Path) -> str:
    checksum = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if path.exists() and (recorded := catalog.read(path).wheel_sha256) != checksum:
        version = path.stem
        raise CatalogBuildError(
            f"the wheel of SGLang {version} is not the one that its catalog was made from",
            advice=f"recorded: {recorded}\ndownloaded: {checksum} ({wheel})",
        )
    return checksum


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


def _ask_twice(place: Environment, scratch: Path) -> dict[str, Any]:
    """The probe's answer, checked against a second one from another home, temporary folder and hash seed.

    What differs then would differ between machines, and has no place in a catalog.
    """
    first, second = (_ask(place, scratch / f"home-{seed}", seed) for seed in (0, 1))
    for table in ("options", "env"):
        for one, other in zip(first[table], second[table], strict=True):
            if one != other:
                raise CatalogBuildError(f"the machine shows in the answer: {one} or {other}")
    return first


def _ask(place: Environment, home: Path, seed: int) -> dict[str, Any]:
    home.mkdir()
    answer = home / "answer.json"
    placeholders = ",".join(environment.PLACEHOLDERS)
    environment.run(
        [str(place.interpreter), str(Path(probe.__file__)), str(answer), placeholders],
        {**environment.variables(place.source, home), "PYTHONHASHSEED": str(seed)},
    )
    loaded: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8").replace(str(home), "~"))
    return loaded


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the option catalog of an SGLang release.")
    parser.add_argument("version")
    parser.add_argument("--out", type=Path, help="folder of the catalogs")
    parser.add_argument("--cache", type=Path, help="folder for wheels and environments")
    parser.add_argument("--python", type=Path, help="an interpreter that has everything already")
    args = parser.parse_args(argv)
    try:
        path = build(args.version, out=args.out, cache=args.cache, python=args.python)
    except GlmdeployError as error:
        sys.stderr.write(f"{error.message}\n{error.advice or ''}\n")
        return error.exit_code
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
