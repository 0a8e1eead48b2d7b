"""``plan`` and ``apply --dry-run`` of an embedded cloud that does not run: read from its disk, which stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import Shell

if TYPE_CHECKING:
    from pathlib import Path

LOCAL = ("b200-eagle-bf16kv", "--target", "local")


def tree(home: Path) -> dict[Path, tuple[int, int]]:
    """Every file and folder with its size and the time of its last change."""
    return {path: ((found := path.lstat()).st_size, found.st_mtime_ns) for path in home.rglob("*")}


@pytest.mark.parametrize("command", [("plan",), ("apply", "--dry-run")])
def test_nothing_is_touched(warm: Shell, command: tuple[str, ...]) -> None:
    before = tree(warm.home)
    done = warm.run(*command, *LOCAL)
    assert "glm51-fp8 on the embedded cloud: version 1, since " in done.stdout
    assert ", as planned\n\nNo changes.\n" in done.stdout
    changed = warm.json(*command, *LOCAL, "--set", "server.max_inputs=7")
    assert [f"{each['section']} {each['name']}" for each in changed["changes"]] == ["server max_inputs"]
    assert tree(warm.home) == before
    assert warm.run("local", "status", code=1).stdout.startswith("not running")


def test_a_plan_that_is_not_kept_cannot_be_asked_for(warm: Shell) -> None:
    for path in warm.home.rglob("plans/*.json"):
        path.unlink()
    failed = warm.run("plan", *LOCAL, code=1)
    assert "what runs as glm51-fp8 is not known: the plan of version 1 is not in the volume" in failed.stderr


def test_what_was_never_started_is_empty(tmp_path: Path) -> None:
    done = Shell(tmp_path / "home").run("plan", *LOCAL)
    assert "glm51-fp8 on the embedded cloud: not deployed yet\n" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_what_finds_nothing_starts_nothing(fresh: Shell) -> None:
    refused = fresh.run("destroy", "typo", "--target", "local", "--yes", code=1)
    assert "error: typo is not deployed in the embedded cloud\n" in refused.stderr
    assert "Nothing to remove." in fresh.run("clean", "--target", "local", "--yes").stdout
    assert fresh.run("status", "typo", "--target", "local", code=1).stdout == "typo   not deployed\n"
    assert not (fresh.home / "daemon.log").exists()
