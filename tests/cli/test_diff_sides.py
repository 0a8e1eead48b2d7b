"""``glmdeploy diff`` of what is no profile on the disk: revisions of a Git repository, folders, and what runs."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from reporting import call
from support import Shell, copied_cloud

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROFILE = "b200-eagle-bf16kv"


def git(*arguments: str) -> None:
    name = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    subprocess.run(["git", *name, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base, a profile that extends it, and an overlay; committed, and all changed since."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    (tmp_path / "profiles").mkdir()
    write(tmp_path, base=2, mine=40)
    git("add", "--all")
    git("commit", "--quiet", "-m", "first")
    write(tmp_path, base=3, mine=41)
    return tmp_path


def write(folder: Path, *, base: int, mine: int) -> None:
    base_text = f"extends: {PROFILE}\nserver: {{max_containers: {base}}}\n"
    (folder / "base.yaml").write_text(base_text)
    args = f"sglang: {{args: {{max-running-requests: {mine}}}}}"
    (folder / "profiles" / "mine.yaml").write_text(f"extends: ../base.yaml\n{args}\n")
    (folder / "over.yaml").write_text(f"server: {{scaledown_window: {base}m}}\n")


def changes(*arguments: str, code: int = 1) -> dict[str, tuple[Any, Any]]:
    found, out, err = call("diff", *arguments, "--json")
    assert found == code, out + err
    return {f"{each['section']}.{each['name']}": (each["old"], each["new"]) for each in json.loads(out)["changes"]}


@pytest.mark.parametrize("old", ["git:HEAD:profiles/mine.yaml", "git:HEAD:mine"])
def test_a_revision_is_read_with_what_it_extends(old: str, repository: Path) -> None:
    assert changes(old, "mine") == {
        "server.max_containers": (2, 3),
        "sglang.--max-running-requests": ("40", "41"),
        "compile command.--max-running-requests": ("40", "41"),
    }
    assert call("diff", old, old) == (0, "no differences\n", "")


def test_a_path_is_from_here_or_from_the_top(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository / "profiles")
    assert changes("git:HEAD:mine.yaml", "git:HEAD:profiles/mine.yaml", code=0) == {}


def test_an_overlay_is_of_the_same_revision(repository: Path) -> None:
    found = changes("git:HEAD:mine", "mine", "--overlay", "over.yaml")
    assert found["server.scaledown_window"] == (120, 180)


@pytest.mark.parametrize(
    ("side", "words"),
    [
        ("git:nope:mine", "there is no revision `nope`"),
        ("git:--all:mine", "there is no revision `--all`"),
        ("git:HEAD", "write git:REVISION:PATH"),
        ("git:HEAD:profiles/other.yaml", "`HEAD` has no file `profiles/other.yaml`"),
        ("git:HEAD:../../etc/passwd", "has no file"),
        ("live:", "write live:APP"),
        ("live:app@latest", "with a number"),
        ("profiles", "a folder is compared with a folder"),
    ],
)
def test_trouble_is_2(side: str, words: str, repository: Path) -> None:
    code, out, err = call("diff", side, "mine")
    assert (code, out) == (2, "")
    assert words in err


def test_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    code, _, err = call("diff", "git:HEAD:mine", PROFILE)
    assert code == 2
    assert "there is no Git repository here" in err


def test_what_leaves_the_repository_is_not_read(repository: Path) -> None:
    (repository / "profiles" / "mine.yaml").write_text("extends: ../../outside.yaml\n")
    git("commit", "--quiet", "--all", "-m", "outside")
    code, _, err = call("diff", "git:HEAD:mine", "git:HEAD~1:mine")
    assert code == 2
    assert "which it may not leave" in err


def test_folders_profile_by_profile(repository: Path) -> None:
    profiles = repository / "profiles"
    (profiles / "new.yaml").write_text(f"extends: {PROFILE}\n")
    code, out, _ = call("diff", "git:HEAD:profiles", "profiles")
    assert code == 1
    assert "+ new.yaml: added" in out
    assert "max_containers: 2 -> 3" in out
    assert out.endswith("2 profiles: 1 different and 1 added.\n")
    assert call("diff", "profiles", "profiles")[:2] == (0, "2 profiles: 2 the same.\n")

    (profiles / "common.yaml").write_text("server: {max_containers: 3}\n")
    (profiles / "new.yaml").write_text(f"extends: [{PROFILE}, common.yaml]\n")
    assert call("diff", "profiles", "profiles")[:2] == (0, "2 profiles: 2 the same.\n"), "no profile by itself"
    (profiles / "broken.yaml").write_text("gpus: 1\n")
    code, out, _ = call("diff", "git:HEAD:profiles", "profiles", "--json")
    assert code == 2
    states = {each["name"]: each["state"] for each in json.loads(out)["profiles"]}
    assert states == {"broken.yaml": "error", "mine.yaml": "changed", "new.yaml": "added"}


@pytest.fixture(scope="module")
def shell(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with copied_cloud(template, tmp_path_factory.mktemp("cloud")) as shell:
        shell.run("local", "start")
        yield shell


def test_what_runs(shell: Shell) -> None:
    local = ("--target", "local")
    same = shell.run("diff", "live:glm51-fp8", PROFILE, *local)
    assert (same.stdout, same.stderr) == ("no differences\n", "")
    other = shell.json("diff", "live:glm51-fp8@1", PROFILE, "--set", "server.max_containers=5", *local, code=1)
    assert [each["name"] for each in other["changes"]] == ["max_containers"]
    assert "has no version 9" in shell.run("diff", "live:glm51-fp8@9", PROFILE, *local, code=2).stderr
    assert "no app nope is deployed" in shell.run("diff", "live:nope", PROFILE, *local, code=2).stderr


def test_a_cloud_that_does_not_run_is_not_started(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "glmdeploy")
    assert shell.run("diff", "live:glm51-fp8", PROFILE, "--target", "local", code=2).stdout == ""
    assert shell.json("local", "status", code=1)["running"] is False


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("diff", "live:glm"), "live:glm51-fp8"),
        (("diff", "live:glm51-fp8@"), "live:glm51-fp8@1"),
        (("diff", "b200-eagle-bf16kv", "g"), "git:"),
        (("cost", "glm51"), "glm51-fp8"),
        (("pin", "b200-eagle-bf16kv-0"), "b200-eagle-bf16kv-0.5.23"),
    ],
)
def test_completion(words: tuple[str, ...], expected: str, shell: Shell) -> None:
    asked = {
        "_GLMDEPLOY_COMPLETE": "zsh_complete",
        "COMP_WORDS": "\n".join(("glmdeploy", *words[:-1])),
        "COMP_WORD": words[-1],
        "GLMDEPLOY_TARGET": "local",
    }
    done = Shell(shell.home, asked).run()
    assert expected in [line.split("\t")[1] for line in done.stdout.splitlines()]
    assert done.stderr == ""
