"""A rule speaks of a path; the finding points at whichever file, line and column wrote the value."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from glmdeploy.profile.text.load import load
from glmdeploy.resources import profiles_dir
from glmdeploy.rules.check import check

if TYPE_CHECKING:
    from pathlib import Path

    from glmdeploy.findings import Location

TODAY = date(2026, 11, 23)
FP8 = "sglang: {args: {kv-cache-dtype: fp8_e4m3}}\n"


def place(profile: Path, rule: str, **layers: list[str]) -> Location:
    document = load(str(profile), **layers)
    [found] = [finding for finding in check(document, today=TODAY).findings if finding.id == rule]
    return found.location


def child(folder: Path, text: str, parent: Path | None = None) -> Path:
    file = folder / f"{'child' if parent else 'extending'}.yaml"
    file.write_text(f"extends: {parent or profiles_dir() / 'b200-eagle-bf16kv.yaml'}\n{text}")
    return file


def test_in_the_profile_itself(tmp_path: Path) -> None:
    file = child(tmp_path, FP8)
    found = place(file, "GLM001")
    assert (found.file, found.line, found.column, found.length) == (str(file), 2, 33, 8)
    assert found.text == FP8.rstrip()


def test_in_the_file_that_it_extends(tmp_path: Path) -> None:
    parent = child(tmp_path, f"\n{FP8}")
    found = place(child(tmp_path, "name: child\n", parent), "GLM001")
    assert (found.file, found.line, found.column) == (str(parent), 3, 33)


def test_in_an_overlay(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(f"# slower, larger\n{FP8}")
    found = place(child(tmp_path, ""), "GLM001", overlays=[str(overlay)])
    assert (found.file, found.line, found.column) == (str(overlay), 2, 33)


def test_on_the_command_line(tmp_path: Path) -> None:
    found = place(child(tmp_path, ""), "GLM001", sets=["sglang.args.kv-cache-dtype=fp8_e4m3"])
    assert (found.file, found.line, found.text[found.column - 1 :]) == ("--set", 1, "fp8_e4m3")


def test_a_default_is_at_the_mapping_that_lacks_the_value(tmp_path: Path) -> None:
    parent = profiles_dir() / "b200-eagle-bf16kv.yaml"
    lines = parent.read_text().splitlines()
    bare = tmp_path / "bare.yaml"
    bare.write_text("\n".join(line for line in lines if "kv-cache-dtype" not in line))
    found = place(bare, "GLM002")
    assert (found.file, found.text.strip()) == (str(bare), "args:")


def test_a_value_that_was_removed_is_at_its_null(tmp_path: Path) -> None:
    file = child(tmp_path, "sglang:\n  args:\n    kv-cache-dtype: null\n")
    found = place(file, "GLM002")
    assert (found.file, found.line) == (str(file), 4)
