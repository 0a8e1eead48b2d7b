"""`glmdeploy catalog`: what it says about the releases, and its exit codes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy import cli
from glmdeploy.sglang import catalog
from glmdeploy.sglang.releases import diff

if TYPE_CHECKING:
    from pathlib import Path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run(["catalog", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def data(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(run(capsys, *arguments, "--json")[1])


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    rows = data(capsys, "list")
    assert tuple(row["version"] for row in rows) == catalog.versions()
    assert all(len(row["wheel_sha256"]) == 64 and row["options"] > 300 for row in rows)
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert [line.split()[:3] for line in out.splitlines()] == [
        [row["version"], str(row["options"]), "options"] for row in rows
    ]


def test_show_an_option_in_any_spelling(capsys: pytest.CaptureFixture[str]) -> None:
    for spelling in ("tp", "--tp-size", "tensor-parallel-size"):
        shown = data(capsys, "show", "0.5.23", spelling)
        assert (shown["option"], shown["type"], shown["default"]) == ("--tp-size", "int", 1)
        assert shown["help"] == "The tensor parallelism size."
        assert (shown["first"], shown["last"]) == ("0.5.8", "0.5.23")
    code, out, _ = run(capsys, "show", "0.5.19", "nsa-prefill-backend")
    assert code == 0
    assert "replacement: --dsa-prefill-backend" in out.splitlines()
    assert "last: 0.5.19" in out.splitlines()


def test_show_a_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert data(capsys, "show", "0.5.11", "SGLANG_ENABLE_SPEC_V2")["default"] is True
    assert data(capsys, "show", "0.5.10", "SGLANG_ENABLE_SPEC_V2")["default"] is False


def test_show_all(capsys: pytest.CaptureFixture[str]) -> None:
    shown = data(capsys, "show", "0.5.23")
    release = catalog.load("0.5.23")
    assert len(shown["options"]) == len(release.options)
    assert shown["variables"].keys() == release.env.keys()
    lines = run(capsys, "show", "0.5.23")[1].splitlines()
    assert "--tp-size <int> = 1" in lines
    assert "--enable-dp-attention <switch>  (deprecated)" in lines
    assert len(lines) == len(release.options) + len(release.env)


def test_diff(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "diff", "0.5.19", "0.5.20")
    lines = out.splitlines()
    assert code == 1
    assert "- --nsa-prefill-backend" in lines
    assert "+ --uno-lora-path" in lines
    assert "~ --swa-full-tokens-ratio default: 0.8 -> null" in lines
    assert "~ --attention-backend choices: -cutlass_mla -dual_chunk_flash_attn +qsa" in lines
    assert {"name": "--uno-lora-path", "field": None, "old": None, "new": "--uno-lora-path"} in data(
        capsys, "diff", "0.5.19", "0.5.20"
    )


def test_diff_of_equal_releases(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "diff", "0.5.10", "0.5.10.post1") == (0, "No changes.\n", "")
    assert data(capsys, "diff", "0.5.23", "0.5.23") == []


@pytest.mark.parametrize(("old", "new"), [("0.5.11", "0.5.12.post1"), ("0.5.22", "0.5.23")])
def test_diff_backwards_says_the_opposite(old: str, new: str) -> None:
    there = diff(catalog.load(old), catalog.load(new))
    back = diff(catalog.load(new), catalog.load(old))
    # The canonical spelling can differ between the two; what came and went cannot.
    came = {(item.name, item.old is None) for item in there if item.field is None}
    assert came == {(item.name, item.new is None) for item in back if item.field is None}
    assert came


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "0.6.0"), 1, "there is no catalog of SGLang 0.6.0"),
        (("show", "0.5.23", "tp-sise"), 1, "--tp-size"),
        (("show", "0.5.23", "nsa-prefill-backend"), 1, "it went in 0.5.20; write `dsa-prefill-backend`"),
        (("diff", "0.5.23", "0.6.0"), 2, "there is no catalog of SGLang 0.6.0"),
        (("build", "../x"), 2, "is not a version"),
        (("build",), 2, "Missing argument"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    found, out, err = run(capsys, *arguments)
    assert found == code
    assert words in out + err


def test_build_says_why_it_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    code, _, err = run(capsys, "build", "0.5.23", "--out", str(tmp_path), "--cache", str(tmp_path / "file" / "cache"))
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
