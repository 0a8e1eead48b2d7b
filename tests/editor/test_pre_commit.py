"""The hook that other repositories take for pre-commit; .ci/nightly runs it with the real one, which installs us."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from reporting import call

from glmdeploy.profile.text.load import read_text

ROOT = Path(__file__).parent.parent.parent
PROFILE = (ROOT / "tests" / "editor" / "profile.yaml").read_text(encoding="utf-8")

[HOOK] = read_text("hooks:\n" + (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"), "hooks").data["hooks"]


def test_it_has_what_pre_commit_needs() -> None:
    assert {"id", "name", "entry", "language", "files"} <= HOOK.keys()
    assert HOOK["id"] == "glmdeploy-validate", "others have this name in their files"
    assert HOOK["language"] == "python", "pip installs this repository"


@pytest.mark.parametrize(
    ("file", "taken"),
    [
        ("profiles/a.yaml", True),
        ("profiles/deeper/a.yml", True),
        ("profiles/README.md", False),
        ("profiles/a.yaml.bak", False),
        ("deploy/profiles.yaml", False),
        (".github/workflows/a.yaml", False),
    ],
)
def test_it_takes_profiles_and_nothing_else(file: str, taken: bool) -> None:
    assert bool(re.search(HOOK["files"], file)) is taken


def test_its_command_judges_the_files_it_is_given(tmp_path: Path) -> None:
    script, *arguments = shlex.split(HOOK["entry"])
    assert script in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(PROFILE)
    bad.write_text(PROFILE.replace("tp: 1", "tp: eight"))
    assert call(*arguments, str(good))[0] == 0
    code, out, _ = call(*arguments, str(good), str(bad))
    assert code == 1
    assert "expected: an integer" in out
