"""The image that downloads: each of its packages is one file, by its hash, in whatever way the app is deployed."""

from __future__ import annotations

import re
import shlex
import subprocess
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deployments import PROFILE, Received, built, scripted
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from glmdeploy.app.script import render
from glmdeploy.plan.make import DOWNLOAD_PYTHON, plan_of
from glmdeploy.profile.text.load import load

if TYPE_CHECKING:
    from collections.abc import Callable

TOP = Path(__file__).parents[2]
PLAN = plan_of(load(PROFILE))[0]
LINE = re.compile(r"([a-z0-9-]+)==([0-9][0-9a-z.]*) --hash=sha256:[0-9a-f]{64}")
EXACT = dict(line.split("==") for line in (TOP / "constraints.txt").read_text().splitlines() if line[0] != "#")


def locked() -> dict[str, str]:
    """The versions of the lock; each line must be a package, its exact version and one hash."""
    found = {}
    for line in PLAN.download.image.pip:
        match = LINE.fullmatch(line)
        assert match, line
        found[match[1]] = match[2]
    assert len(found) == len(PLAN.download.image.pip)
    return found


def installs(received: Received) -> list[str]:
    """What the control plane was told to run that installs packages, on top of Modal's own base."""
    lines = [line for image in received.images() if image[0] == "FROM base" for line in image]
    return [line.removeprefix("RUN ") for line in lines if line.startswith("RUN") and " install" in line]


def as_script(folder: Path) -> Received:
    (folder / "deploy.py").write_text(render(PLAN), encoding="utf-8")
    return scripted(folder / "deploy.py")


@pytest.mark.parametrize("deployed", [lambda _: built(), as_script], ids=["apply", "render"])
def test_the_control_plane_is_told_the_hash_of_every_package(
    deployed: Callable[[Path], Received], tmp_path: Path
) -> None:
    [command] = set(installs(deployed(tmp_path)))
    words = shlex.split(command)
    assert words[:2] == ["printf", r"%s\n"]
    end = words.index("|")
    assert words[2:end] == [*PLAN.download.image.pip] == sorted(PLAN.download.image.pip)
    assert words[end + 1 :] == [
        *("python", "-m", "pip", "install", "--require-hashes", "--no-deps", "--only-binary=:all:"),
        *("-r", "/dev/stdin"),
    ]


def test_the_versions_are_those_that_the_container_side_is_tested_with() -> None:
    versions = locked()
    assert {"huggingface-hub", "hf-xet"} <= set(versions)
    assert {name: EXACT.get(name) for name in versions} == versions


def test_nothing_is_missing_that_its_packages_need() -> None:
    """As the installed packages say, which have the same versions."""
    from importlib.metadata import requires

    versions, todo, needed = locked(), ["huggingface-hub", "hf-xet"], set()
    while todo:
        name = todo.pop()
        if name not in needed:
            needed.add(name)
            wanted = map(Requirement, requires(name) or ())
            environment = {
                "python_version": DOWNLOAD_PYTHON,
                "python_full_version": f"{DOWNLOAD_PYTHON}.0",
                "extra": "",
            }
            todo += [
                canonicalize_name(one.name) for one in wanted if not one.marker or one.marker.evaluate(environment)
            ]
    assert needed == set(versions)


@pytest.mark.parametrize(
    ("hashes", "said"),
    [("", ""), (r"(?<=sha256:)[0-9a-f]{8}", "DO NOT MATCH THE HASHES"), (" --hash=[^']*", "Hashes are required")],
    ids=["right", "wrong", "without"],
)
@pytest.mark.thorough
def test_pip_installs_it_and_nothing_with_another_hash(hashes: str, said: str, tmp_path: Path) -> None:
    """The image's own command, by a shell and a fresh pip; for the image's Python where this is another."""
    venv.create(tmp_path / "venv", with_pip=True)
    [command] = set(installs(built()))
    if hashes:
        command = re.sub(hashes, "0" * 8 if "sha256" in hashes else "", command, count=1)
    target = tmp_path / "packages"
    platforms = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
    there = f"--target {target} --python-version {DOWNLOAD_PYTHON} {' '.join(f'--platform {one}' for one in platforms)}"
    command = command.replace("python -m pip install", f"{tmp_path}/venv/bin/python -m pip install {there}")
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    if hashes:
        assert done.returncode != 0
        assert said in done.stderr
        assert not target.exists()
    else:
        assert done.returncode == 0, done.stderr
        found = {canonicalize_name(each.name.split("-")[0]) for each in target.glob("*.dist-info")}
        assert found == set(locked())
