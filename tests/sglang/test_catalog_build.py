"""How a catalog is made, and how its files are written."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import one_in

from glmdeploy.resources import schemas_dir
from glmdeploy.sglang import catalog, catalog_build, releases
from glmdeploy.sglang.catalog import Option
from glmdeploy.sglang.parser import build_parser
from glmdeploy.sglang.real import catalog_probe
from glmdeploy.sglang.real.environment import ProbeError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", [*catalog.versions(), "help"])
def test_a_file_is_exactly_as_the_generator_writes_it(name: str) -> None:
    text = (schemas_dir() / "sglang" / f"{name}.json").read_text("utf-8")
    assert catalog_build.dump(json.loads(text)) == text


@pytest.mark.parametrize("version", one_in(5, catalog.versions()))
def test_a_forgotten_release_comes_back_as_it_was(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files that tell of all releases, made without one, and then with it."""
    shipped, folder, file = schemas_dir() / "sglang", tmp_path / "sglang", tmp_path / "variables.txt"
    helps = {option.flags[0]: option.help for option in catalog.load(version).options}
    spans = releases.undeclared()
    reading = {name for name, span in spans.items() if span.outside(version) is None}
    all_variables = releases.FILE.read_text(encoding="utf-8")

    shutil.copytree(shipped, folder)
    (folder / f"{version}.json").unlink()
    [one, *_] = others = catalog.catalogued(folder)
    of_one = {option.flags[0]: option.help for option in catalog.load(one).options}
    (folder / "help.json").write_text(catalog_build.help_with(folder, one, of_one))
    # Of its own only: as if the release had never been.
    alone = {name: [other for other in others if spans[name].outside(other) is None] for name in spans}
    lines = [f"{name} {those[0]} {those[-1]}" for name, those in alone.items() if those]
    file.write_text("\n".join([*(line for line in all_variables.splitlines() if line[0] == "#"), *lines]) + "\n")

    monkeypatch.setattr(releases, "FILE", file)
    releases.undeclared.cache_clear()
    catalog.help_pool.cache_clear()
    try:
        assert catalog_build.help_with(folder, version, helps) == (shipped / "help.json").read_text("utf-8")
        assert catalog_build.variables_with(folder, version, reading) == all_variables
    finally:
        releases.undeclared.cache_clear()
        catalog.help_pool.cache_clear()


NATIVE = {"store", "store_true", "boolean_optional"}


@pytest.mark.parametrize("version", [catalog.versions()[0], catalog.versions()[-1]])
def test_a_catalog_survives_the_way_through_argparse_and_a_file(version: str, tmp_path: Path) -> None:
    """Catalog to parser, parser to probe, probe to file, file to catalog: nothing is lost."""
    release = catalog.load(version)
    kept = [
        option
        for option in release.options
        if option.action in NATIVE and option.type not in ("json_strict", "cuda_graph_config_checked")
    ]
    parser = build_parser(release)
    described = {action.option_strings[0]: catalog_probe.describe(action) for action in parser._actions}
    raw = {
        "options": [described[option.flags[0]] for option in kept],
        "fields": [option.dest for option in release.options],
        "env": [],
        "placeholders": [],
        "transformers": "5.0.0",
    }
    path = tmp_path / "catalog.json"
    content = catalog_build.document(raw, version=version, wheel="w", wheel_sha256="0")
    path.write_text(catalog_build.dump(content), encoding="utf-8")

    def comparable(option: Option) -> Option:
        # A text that only help tells, and the parser has none.
        return catalog.Option(**{**_fields(option), "deprecated": None})

    assert [comparable(option) for option in catalog.read(path).options] == [comparable(option) for option in kept]


def _fields(option: Option) -> dict[str, Any]:
    return {name: getattr(option, name) for name in Option.__dataclass_fields__}


@given(
    st.dictionaries(st.sampled_from(catalog.versions()), st.dictionaries(st.sampled_from("ab"), st.sampled_from("xyz")))
)
def test_the_pool_gives_every_release_its_own_wording(wordings: dict[str, dict[str, str | None]]) -> None:
    pool = catalog_build.pool_help(wordings)
    for version, texts in wordings.items():
        for flag, text in texts.items():
            assert catalog.help_text(pool, flag, version) == text


def test_the_shipped_pool_is_what_pooling_the_releases_gives() -> None:
    wordings = {
        version: {option.flags[0]: option.help for option in catalog.load(version).options}
        for version in catalog.versions()
    }
    assert catalog_build.pool_help(wordings) == catalog.help_pool(schemas_dir() / "sglang")


def test_help_is_that_of_the_release() -> None:
    old, new = (
        catalog.load(version).find("speculative-algorithm").help for version in ("0.5.8", catalog.versions()[-1])
    )
    assert old
    assert new
    assert old != new


@pytest.mark.parametrize(("fields", "dest"), [(["tp_size"], "tp_size"), (["other"], "tensor_parallel_size")])
def test_an_option_is_known_by_its_field_of_server_args(fields: list[str], dest: str, tmp_path: Path) -> None:
    """``from_cli_args`` copied ``args.tensor_parallel_size`` to ``tp_size`` before argparse did."""
    action = argparse.ArgumentParser().add_argument("--tensor-parallel-size", "--tp-size", type=int)
    raw = {
        "options": [catalog_probe.describe(action)],
        "fields": fields,
        "env": [],
        "placeholders": [],
        "transformers": "5",
    }
    path = tmp_path / "catalog.json"
    content = catalog_build.document(raw, version="1.0", wheel="w", wheel_sha256="0")
    path.write_text(catalog_build.dump(content), encoding="utf-8")
    assert catalog.read(path).find("tensor").dest == dest


@pytest.mark.parametrize(
    "change",
    [{"action": "_CountAction"}, {"type": "parse_something_new"}],
)
def test_a_shape_that_nobody_has_read_is_refused(change: dict[str, str]) -> None:
    raw = catalog_probe.describe(argparse.ArgumentParser().add_argument("--new", type=int)) | change
    content = {"options": [raw], "fields": [], "env": [], "placeholders": [], "transformers": "5.0.0"}
    with pytest.raises(catalog_build.UnknownShape, match=next(iter(change.values()))):
        catalog_build.document(content, version="1.0.0", wheel="w", wheel_sha256="0")


def test_another_wheel_than_the_recorded_one_is_refused(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "sglang-0.5.11-py3-none-any.whl").write_bytes(b"another wheel")
    path = schemas_dir() / "sglang" / "0.5.11.json"
    before = path.read_bytes()
    with pytest.raises(catalog_build.CatalogBuildError, match="not the one") as caught:
        catalog_build.build("0.5.11", cache=tmp_path, python=tmp_path / "never-run")
    assert catalog.read(path).wheel_sha256 in (caught.value.advice or "")
    assert path.read_bytes() == before


def test_nothing_is_written_when_the_wheel_cannot_be_had(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ProbeError, match="no-such-python"):
        catalog_build.build("0.5.11", out=out, cache=tmp_path, python=tmp_path / "no-such-python")
    assert not out.exists()


PLACEHOLDER_SCRIPT = """
import importlib.util, runpy, sys
probe = runpy.run_path(sys.argv[1], run_name="probe")
absent = probe["AbsentPackages"](frozenset({"no_such_gpu", "json"}))
absent.install()

import no_such_gpu.language as tl
from no_such_gpu.runtime.jit import compile as jit
import json

@jit
def kernel(x: tl.constexpr | None) -> "tl.tensor":
    return x

class Derived(tl.Base):
    pass

assert kernel(3) == 3
assert Derived.__mro__ == (Derived, object)
assert json.loads("[1]") == [1], "a package that is there is not replaced"
assert importlib.util.find_spec("no_such_gpu") is None, "SGLang must still see that it is absent"
try:
    tl.runtime.driver.active
except AttributeError:
    pass
else:
    raise AssertionError("there is no GPU driver")
assert absent.used == {"no_such_gpu"}
"""


def test_placeholders_stand_in_for_absent_packages_only() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PLACEHOLDER_SCRIPT, str(catalog_probe.__file__)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
