"""Wheel, sdist and SBOM as `.ci/release` makes them: what they hold, and that they work outside of the repository.

All of it needs a package index, and minutes: .ci/nightly. What is installed beside the tests is looked at in each run.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from email import message_from_bytes
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from glmdeploy import __version__

if TYPE_CHECKING:
    from email.message import Message

TOP = Path(__file__).parents[2]
EXACT = dict(line.split("==") for line in (TOP / "constraints.txt").read_text().splitlines() if line[0] != "#")

KINDS = (
    "glmdeploy/*.py",
    "glmdeploy/*.pyi",
    "glmdeploy/py.typed",
    "glmdeploy/app/templates/*.jinja",
    "glmdeploy/local/sdk_protocol.json",
    "glmdeploy/operate/canary.jsonl",
    "glmdeploy/plan/download_image.txt",
    "glmdeploy/report/page/style.css",
    "glmdeploy/rules/guards/*.yaml",
    "glmdeploy/rules/guards/tables.json",
    "glmdeploy/sglang/variables.txt",
    "glmdeploy/sglang/real/cpu_engine.lock",
    "glmdeploy/data/profiles/*.yaml",
    "glmdeploy/data/schemas/models/*.json",
    "glmdeploy/data/schemas/sglang/*.json",
    "glmdeploy/data/schemas/profile.schema.json",
)
"""What a wheel may hold beside its own description."""

DESCRIPTION = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
CARRIED = {
    "glmdeploy": "glmdeploy",
    "profiles": "glmdeploy/data/profiles",
    "schemas/models": "glmdeploy/data/schemas/models",
    "schemas/sglang": "glmdeploy/data/schemas/sglang",
    "schemas/profile.schema.json": "glmdeploy/data/schemas/profile.schema.json",
}
"""Where the wheel has what the repository has."""

nightly = pytest.mark.thorough


def kept(*places: str) -> set[str]:
    """The files below places that the commit has."""
    command = ["git", "ls-tree", "-r", "--name-only", "-z", "HEAD", *places]
    done = subprocess.run(command, cwd=TOP, capture_output=True, check=True)
    return {os.fsdecode(name) for name in done.stdout.split(b"\0") if name}


def unexpected(names: set[str]) -> set[str]:
    return {
        name
        for name in names
        if not any(fnmatchcase(name, kind) for kind in KINDS)
        or re.search(r"(^|/)(test_|conftest|\.)|__pycache__", name)
    }


def test_what_is_installed_is_of_the_kinds_that_a_wheel_holds() -> None:
    """The installation that .ci/run tests; one that is edited in place has no files."""
    try:
        files = distribution("glmdeploy").files or []
    except PackageNotFoundError:
        pytest.skip("it is not installed here")
    names = {str(file) for file in files if file.parts[0] == "glmdeploy" and "__pycache__" not in file.parts}
    if "glmdeploy/__init__.py" not in names:
        pytest.skip("it is edited in place here")
    assert unexpected(names) == set()


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release") / "out"
    released_into(folder)
    return folder


def released_into(folder: Path, *tag: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(TOP / ".ci" / "release"), str(folder), *tag]
    env = {**os.environ, **variables}
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, umask=0o077 if variables else -1
    )
    assert tag or done.returncode == 0, done.stderr
    return done


def one(folder: Path, pattern: str) -> Path:
    [found] = folder.rglob(pattern)
    return found


@nightly
def test_the_wheel_holds_the_package_and_nothing_else(released: Path) -> None:
    with zipfile.ZipFile(one(released, "*.whl")) as wheel:
        names = set(wheel.namelist())
    own = {name for name in names if name.startswith(f"glmdeploy-{__version__}.dist-info/")}
    assert {name.partition("/")[2] for name in own} == DESCRIPTION
    expected = {f"{target}{name.removeprefix(source)}" for source, target in CARRIED.items() for name in kept(source)}
    assert names - own == expected
    assert unexpected(names - own) == set()


@nightly
def test_the_sdist_holds_the_repository_and_nothing_else(released: Path) -> None:
    """Even what is said for Git and CI, so that the tests about them run in it."""
    with tarfile.open(one(released, "*.tar.gz")) as archive:
        members = archive.getmembers()
    assert all(member.isfile() and member.uid == member.gid == 0 and not member.uname for member in members)
    names = {member.name.removeprefix(f"glmdeploy-{__version__}/") for member in members}
    assert names == kept() | {"PKG-INFO"}


@nightly
def test_the_same_commit_gives_the_same_bytes(released: Path, tmp_path: Path) -> None:
    released_into(tmp_path / "again", TZ="Asia/Kathmandu", LC_ALL="C", HOME=str(tmp_path))
    sums = [(folder / "SHA256SUMS").read_text() for folder in (released, tmp_path / "again")]
    assert sums[0] == sums[1]
    assert len(sums[0].splitlines()) == 3
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=released, check=True)


@nightly
def test_a_tag_is_the_version(tmp_path: Path) -> None:
    done = released_into(tmp_path / "out", "v99.0")
    assert done.returncode == 1
    assert f"the tag is v99.0, and the version of the source {__version__}" in done.stderr
    assert not (tmp_path / "out").exists()


def metadata(released: Path) -> Message:
    with zipfile.ZipFile(one(released, "*.whl")) as wheel:
        return message_from_bytes(wheel.read(f"glmdeploy-{__version__}.dist-info/METADATA"))


@nightly
def test_the_metadata_is_complete(released: Path) -> None:
    found = metadata(released)
    assert found["Name"] == "glmdeploy"
    assert found["Version"] == __version__
    assert found["License-Expression"] == "Apache-2.0"
    assert found.get_all("License-File") == ["LICENSE"]
    assert found["Description-Content-Type"] == "text/markdown"
    assert found.get_payload().startswith("# glmdeploy\n")  # type: ignore[union-attr]
    assert "Typing :: Typed" in found.get_all("Classifier", [])
    with tarfile.open(one(released, "*.tar.gz")) as archive:
        info = archive.extractfile(f"glmdeploy-{__version__}/PKG-INFO")
        assert info is not None
        assert message_from_bytes(info.read()).items() == found.items()


@nightly
def test_the_sbom_has_what_was_tested_and_nothing_else(released: Path) -> None:
    sbom: dict[str, Any] = json.loads(one(released, "*.cdx.json").read_text())
    main = sbom["metadata"]["component"]
    assert (main["name"], main["version"], main["type"]) == ("glmdeploy", __version__, "application")
    components = {canonicalize_name(each["name"]): each["version"] for each in sbom["components"]}
    assert components == {name: EXACT[name] for name in components}
    needed = {Requirement(each) for each in metadata(released).get_all("Requires-Dist", [])}
    assert {canonicalize_name(each.name) for each in needed if not each.marker} <= set(components)
    assert not {"pytest", "mypy", "pip", "setuptools"} & set(components)
    assert all(each["purl"].startswith("pkg:pypi/") for each in sbom["components"])


@dataclass(frozen=True)
class Outside:
    """An installation, and an empty folder with an empty home to use it in."""

    program: tuple[str, ...]
    folder: Path
    home: Path

    def run(self, *arguments: str, code: int = 0) -> str:
        env = {
            **{name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_"))},
            "HOME": str(self.home),
            "PATH": "/usr/bin:/bin",
            "NO_COLOR": "1",
        }
        command = [*self.program, *arguments]
        done = subprocess.run(
            command, env=env, cwd=self.folder, capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def environment(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "pip"), "install", "-q", "-c", str(TOP / "constraints.txt")]
    subprocess.run([*pip, str(one(released, "*.whl"))], check=True)
    return folder


def outside(folder: Path, *program: str) -> Outside:
    for name in ("work", "home"):
        (folder / name).mkdir()
    return Outside(program=program, folder=folder / "work", home=folder / "home")


@nightly
def test_an_installation_works_anywhere_and_is_not_written_to(environment: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in environment.rglob("*") if path.suffix != ".pyc"}
    shell = outside(tmp_path, str(environment / "bin" / "glmdeploy"))
    assert shell.run("--version") == f"glmdeploy, version {__version__}\n"
    assert shell.run("validate", "b200-eagle-bf16kv").splitlines()[-1].startswith("b200-eagle-bf16kv: ok")
    shell.run("init", "Qwen/Qwen3-8B", "--yes")
    shell.run("validate", "qwen3-8b.yaml")
    assert json.loads(shell.run("schema"))["title"]
    assert "guard rules" in shell.run("rules")
    assert "0.5.23" in shell.run("catalog", "list")
    shell.run("render", "b200-eagle-bf16kv", "-o", "deploy.py")
    try:
        shell.run("local", "start")
        shell.run("apply", "local-cpu", "--target", "local", "--yes", "--make-secrets")
        assert "glm-local-cpu" in shell.run("list", "--target", "local")
        shell.run("destroy", "glm-local-cpu", "--target", "local", "--yes")
    finally:
        shell.run("local", "stop")
    assert sorted(path.name for path in shell.folder.iterdir()) == [".glmdeploy", "deploy.py", "qwen3-8b.yaml"]
    after = {path: path.stat().st_mtime_ns for path in environment.rglob("*") if path.suffix != ".pyc"}
    # Python itself writes what it has compiled, wherever it may.
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert {path for path in changed if path.name != "__pycache__" and not path.is_dir()} == set()


@nightly
def test_it_says_that_it_does_not_run_from_within_the_wheel(environment: Path, released: Path, tmp_path: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(one(released, "*.whl"))}
    command = [str(environment / "bin" / "python"), "-m", "glmdeploy", "validate", "b200-eagle-bf16kv"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: glmdeploy does not run from within an archive: install it, with `pip install FILE`\n"


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tools of a release, as they are locked."""
    folder = tmp_path_factory.mktemp("tools") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = ["install", "-q", "--require-hashes", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([str(folder / "bin" / "pip"), *install, "-r", str(TOP / ".ci" / "tools.txt")], check=True)
    return folder / "bin"


@nightly
def test_it_runs_without_an_installation_of_its_own(tools: Path, released: Path, tmp_path: Path) -> None:
    """As `uvx` does it: in an environment that it makes and keeps for the next time."""
    wheel = str(one(released, "*.whl"))
    runner = [str(tools / "uvx"), "--no-config", "--python", sys.executable, "--from", wheel]
    shell = outside(tmp_path, *runner, "glmdeploy")
    assert shell.run("--version") == f"glmdeploy, version {__version__}\n"
    assert shell.run("validate", "b200-eagle-bf16kv").splitlines()[-1].startswith("b200-eagle-bf16kv: ok")
    shell.run("local", "start")
    shell.run("local", "stop")


@nightly
def test_the_workflows_are_what_their_checkers_take(tools: Path) -> None:
    folder = TOP / ".github" / "workflows"
    files = [str(path) for path in folder.glob("*.yml")]
    subprocess.run([str(tools / "zizmor"), "--offline", "--no-progress", *files], check=True)
    command = [str(tools / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *files]
    subprocess.run(command, check=True)
