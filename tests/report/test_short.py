"""Files as people read them: from the current folder where that is near, from home, or by a shipped profile's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from glmdeploy.report.view import short
from glmdeploy.resources import profiles_dir


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "home" / "work" / "service"
    (here / "profiles").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(here)


def test_near_the_current_folder() -> None:
    assert short("p.yaml") == "p.yaml"
    assert short("./a/../p.yaml") == "p.yaml"
    assert short(str(Path.cwd() / "profiles" / "p.yaml")) == "profiles/p.yaml"
    assert short(str(Path.cwd().parent / "other" / "p.yaml")) == "../other/p.yaml"


def test_elsewhere() -> None:
    assert short(str(Path.home() / "a" / "b" / "c" / "p.yaml")) == "../../a/b/c/p.yaml"
    assert short("/etc/p.yaml") == "/etc/p.yaml"


def test_below_home(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = Path.cwd() / "a" / "b" / "c"
    deep.mkdir(parents=True)
    far = Path.home() / "p.yaml"
    monkeypatch.chdir(deep)
    assert short(str(far)) == "~/p.yaml"


def test_a_profile_that_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    file = profiles_dir() / "b200-eagle-bf16kv.yaml"
    assert short(str(file)) == "b200-eagle-bf16kv"
    Path("profiles/b200-eagle-bf16kv.yaml").touch()
    assert short(str(file)) != "b200-eagle-bf16kv", "the bare name means the one here"
    monkeypatch.chdir(profiles_dir().parent)
    assert short(str(file)) == "profiles/b200-eagle-bf16kv.yaml"


@pytest.mark.parametrize("name", ["", "<stdin>", "--set"])
def test_what_is_no_file(name: str) -> None:
    assert short(name) == name
