"""The catalogs, and what is derived with them, against the real parser and sources of each release."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from sglang_record import PROBES, programs

from glmdeploy.resources import schemas_dir
from glmdeploy.sglang import catalog, catalog_build, releases
from glmdeploy.sglang.real import environment

if TYPE_CHECKING:
    from sglang_record import Recorder


@pytest.fixture(params=catalog.versions())
def built(request: pytest.FixtureRequest, recorder: Recorder) -> tuple[str, dict[str, Any]]:
    """A release, and what building its catalog anew makes of it."""
    version = request.param
    program = programs(PROBES[1:], *environment.PLACEHOLDERS)

    def ask() -> dict[str, Any]:
        raw, wheel = catalog_build.dump_of(version, cache=recorder.cache)
        wordings = catalog_build.wordings(raw)
        return {
            "wheel": wheel.name,
            "wheel_sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
            "options": len(raw["options"]),
            "catalog": sha256(catalog_build.catalog_text(raw, version, wheel)),
            "help": sha256(catalog_build.dump(wordings)),
            "undeclared": sorted(catalog_build.undeclared(raw)),
        }

    return version, recorder.record(version).answer("catalog_probe", program, "everything", ask)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_catalog_is_what_the_published_wheel_gives(built: tuple[str, dict[str, Any]]) -> None:
    version, real = built
    release = catalog.load(version)
    assert (release.wheel, release.wheel_sha256) == (real["wheel"], real["wheel_sha256"])
    assert len(release.options) == real["options"]
    assert sha256((schemas_dir() / "sglang" / f"{version}.json").read_text("utf-8")) == real["catalog"]


def test_help_is_what_the_published_wheel_says(built: tuple[str, dict[str, Any]]) -> None:
    version, real = built
    pool = catalog.help_pool(schemas_dir() / "sglang")
    flags = [option.flags[0] for option in catalog.load(version).options]
    assert sha256(catalog_build.dump({flag: catalog.help_text(pool, flag, version) for flag in flags})) == real["help"]


def test_undeclared_variables(built: tuple[str, dict[str, Any]]) -> None:
    version, real = built
    release = catalog.load(version)
    former = {variable.former_name for variable in release.env.values()}
    listed = {name for name, span in releases.undeclared().items() if span.outside(version) is None}
    assert listed - release.env.keys() - former == {*real["undeclared"]}
