"""Several profiles with one command: nobody's failure is another's, and the summary says what became of each."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
from support import PATIENCE, wait_until

from glmdeploy.cli.many import expanded
from glmdeploy.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from support import Shell

FAILS = "GLMDEPLOY_STANDIN_FAIL_START"
QUICK = ("--target", "local", "--yes", "--no-preflight", "--make-secrets")


def profile(folder: Path, name: str, *, more: str = "") -> Path:
    """A profile of an app of its own."""
    path = folder / f"{name}.yaml"
    path.write_text(f"extends: local-cpu\nname: {name}\napp: {name}\n{more}", encoding="utf-8")
    return path


def names(folder: Path, *names: str) -> list[str]:
    return [str(folder / name) for name in names]


def several(folder: Path, count: str) -> None:
    """So many good profiles in the folder, one that does not start, one that is none, and what others extend."""
    folder.mkdir()
    for number in range(int(count)):
        profile(folder, f"good-{number}")
    profile(folder, "breaks", more=f"sglang: {{env: {{{FAILS}: '1'}}}}\n")
    profile(folder, "wrong", more="server: {max_containers: none}\n")
    (folder / "_base.yaml").write_text("no: profile\n", encoding="utf-8")


def test_a_folder_of_profiles_is_planned(fresh: Shell, tmp_path: Path) -> None:
    several(tmp_path / "profiles", "2")
    planned = fresh.run("plan", str(tmp_path / "profiles"), "--target", "local", "--detailed-exitcode", code=1)
    assert "wrong.yaml" in planned.stdout
    assert not (fresh.home / "daemon.log").exists(), "nothing was started"


@pytest.mark.thorough
@pytest.mark.parametrize("count", ["2", "10"])
def test_a_folder_of_profiles(fresh: Shell, tmp_path: Path, count: str) -> None:
    folder = tmp_path / "profiles"
    several(folder, count)
    done = fresh.run(
        "apply", str(folder), *QUICK, "--parallel", max("2", count, key=int), code=1, container_failed=True
    )
    assert f"{count} of {int(count) + 2} are as planned (0 needed nothing)" in done.stdout
    assert {line.split()[0] for line in done.stdout.splitlines() if "good-" in line and line[:4] == "done"} == {"done"}
    assert "breaks.yaml:\nerror: the new version of breaks refuses to serve" in done.stderr
    assert "wrong.yaml:\n" in done.stderr
    assert sorted(fresh.deployed()) == sorted(["breaks", *(f"good-{number}" for number in range(int(count)))])

    again: dict[str, Any] = json.loads(
        fresh.run(
            "plan",
            *(str(folder / f"good-{number}.yaml") for number in range(int(count))),
            "--target",
            "local",
            "--json",
            "--detailed-exitcode",
        ).stdout
    )
    assert again["ok"]
    assert [one["result"]["acts"] for one in again["profiles"]] == [False] * int(count)


@pytest.mark.thorough
def test_an_interrupt_reaches_each(fresh: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    for name in ("one", "two"):
        profile(folder, name, more="sglang: {env: {GLMDEPLOY_STANDIN_START_SECONDS: '600'}}\n")
    fresh.run("local", "start")
    with fresh.started("apply", str(folder), *QUICK) as process:
        wait_until(lambda: set(fresh.deployed()) == {"one", "two"})
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Interrupted: waiting until each has left the better version running" in err
    assert "Traceback" not in err


def test_what_is_named(tmp_path: Path) -> None:
    for name in ("b", "a", "_base", ".hidden"):
        profile(tmp_path, name)
    (tmp_path / "notes.txt").touch()
    assert expanded([str(tmp_path)]) == names(tmp_path, "a.yaml", "b.yaml")
    assert expanded(["x.yaml", "y"]) == ["x.yaml", "y"]
    empty = tmp_path / "empty"
    empty.mkdir()
    for wrong, why in (
        ([str(empty)], "has no profile"),
        (["a", "a"], "more than once"),
        (["-", "a"], "standard input"),
    ):
        with pytest.raises(UsageError, match=why):
            expanded(wrong)


def test_two_profiles_of_one_app(fresh: Shell, tmp_path: Path) -> None:
    one, other = profile(tmp_path, "one"), tmp_path / "other.yaml"
    other.write_text(one.read_text(encoding="utf-8"), encoding="utf-8")
    done = fresh.run("apply", str(one), str(other), *QUICK, code=2)
    assert "are both of the app one" in done.stderr
    done = fresh.run("plan", str(one), str(other), "--target", "local", "--out", str(tmp_path / "plan"), code=2)
    assert "a saved plan is one profile's" in done.stderr
