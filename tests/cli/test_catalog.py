"""`glmdeploy catalog`: what it says about the releases, and its exit codes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from reporting import call

from glmdeploy.sglang import catalog
from glmdeploy.sglang.releases import diff

if TYPE_CHECKING:
    from pathlib import Path

    from snapshots import Shows


def data(*arguments: str) -> Any:
    return json.loads(call("catalog", *arguments, "--json")[1])


def test_list() -> None:
    rows = data("list")
    assert tuple(row["version"] for row in rows) == catalog.versions()
    assert all(len(row["wheel_sha256"]) == 64 and row["options"] > 300 for row in rows)
    code, out, _ = call("catalog", "list")
    assert code == 0
    assert [line.split()[:3] for line in out.splitlines()] == [
        [row["version"], str(row["options"]), "options"] for row in rows
    ]


def test_show_an_option_in_any_spelling(shows: Shows) -> None:
    for spelling in ("tp", "--tp-size", "tensor-parallel-size"):
        shown = data("show", "0.5.23", spelling)
        assert (shown["option"], shown["type"], shown["default"]) == ("--tp-size", "int", 1)
        assert shown["help"] == "The tensor parallelism size."
        assert (shown["first"], shown["last"]) == ("0.5.8", "0.5.23")
    assert shows("catalog-option", "catalog", "show", "0.5.19", "nsa-prefill-backend")[0] == 0


def test_show_a_variable(shows: Shows) -> None:
    assert data("show", "0.5.11", "SGLANG_ENABLE_SPEC_V2")["default"] is True
    assert data("show", "0.5.10", "SGLANG_ENABLE_SPEC_V2")["default"] is False
    assert shows("catalog-variable", "catalog", "show", "0.5.11", "SGLANG_ENABLE_SPEC_V2")[0] == 0


def test_show_all() -> None:
    shown = data("show", "0.5.23")
    release = catalog.load("0.5.23")
    assert len(shown["options"]) == len(release.options)
    assert shown["variables"].keys() == release.env.keys()
    lines = call("catalog", "show", "0.5.23", "--all")[1].splitlines()
    assert "--tp-size <int> = 1" in lines
    assert "--enable-dp-attention <switch>  (deprecated)" in lines
    assert len(lines) == len(release.options) + len(release.env)
    brief = call("catalog", "show", "0.5.23")[1].splitlines()
    assert brief[0] == f"SGLang 0.5.23 understands {len(release.options)} options and {len(release.env)} variables"
    assert len(brief) == 2


def test_diff(shows: Shows) -> None:
    assert shows("catalog-diff", "catalog", "diff", "0.5.19", "0.5.20")[0] == 1
    assert {"name": "--uno-lora-path", "field": None, "old": None, "new": "--uno-lora-path"} in data(
        "diff", "0.5.19", "0.5.20"
    )


def test_diff_of_equal_releases() -> None:
    assert call("catalog", "diff", "0.5.10", "0.5.10.post1") == (0, "no differences\n", "")
    assert data("diff", "0.5.23", "0.5.23") == []


@pytest.mark.parametrize(("old", "new"), [("0.5.11", "0.5.12.post1"), ("0.5.22", "0.5.23")])
def test_diff_backwards_says_the_opposite(old: str, new: str) -> None:
    there = diff(catalog.load(old), catalog.load(new))
    back = diff(catalog.load(new), catalog.load(old))
    # The canonical spelling can differ between the two; what came and went cannot.
    came = {(item.name, item.old is None) for item in there if item.field is None}
    assert came == {(item.name, item.new is None) for item in back if item.field is None}
    assert came


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("unknown-release", ("show", "0.6.0"), 1),
        ("misspelt", ("show", "0.5.23", "tp-sise"), 1),
        ("option-that-went", ("show", "0.5.23", "nsa-prefill-backend"), 1),
        ("diff-with-an-unknown-release", ("diff", "0.5.23", "0.6.0"), 2),
        ("no-version", ("build", "../x"), 2),
        ("no-argument", ("build",), 2),
    ],
)
def test_wrong_use(name: str, arguments: tuple[str, ...], code: int, shows: Shows) -> None:
    assert shows(f"catalog-{name}", "catalog", *arguments)[0] == code


def test_build_says_why_it_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, err = call(
        "catalog", "build", "0.5.23", "--out", str(tmp_path), "--cache", str(tmp_path / "file" / "cache")
    )
    assert code == 1
    assert "Traceback" not in err
    assert not list(tmp_path.glob("*.json"))


def test_the_command_is_light() -> None:
    """The commands import what they need when they run: this module is imported for every command."""
    import subprocess

    ours = "'glmdeploy.sglang.catalog', 'glmdeploy.authoring.upgrade', 'glmdeploy.profile.text.load'"
    heavy = f"{{'pydantic', 'yaml', {ours}}}"
    code = f"import sys, glmdeploy.cli.catalog, glmdeploy.cli.upgrade; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
