"""What is used of Modal's SDK past its public interface: it is all listed, there, and missed before anything is run.

A release of the SDK is doctored by taking parts out of a copy of the installed one, which the real command imports.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import modal
import pytest
import sdk_uses
from packaging.requirements import Requirement
from support import some

import glmdeploy
from glmdeploy.local import sdk_parts

TOP = Path(__file__).parents[2]
SITE = Path(modal.__file__).parents[1]
USED = json.loads(sdk_parts.PROTOCOL.read_text("utf-8"))
NEWER = "1.6.9"
"""A release that the range of pyproject.toml allows, and nobody tried."""


def test_the_installed_sdk_has_every_part() -> None:
    """With whatever release is installed: .ci/nightly has the newest."""
    assert sdk_parts.missing() == []


def test_what_was_tried_is_what_constraints_install_and_the_range_allows() -> None:
    [line] = [each for each in (TOP / "constraints.txt").read_text().splitlines() if each.startswith("modal==")]
    assert line.removeprefix("modal==") == sdk_parts.TRIED[-1]
    declared = map(Requirement, tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["dependencies"])
    [allowed] = [each.specifier for each in declared if each.name == "modal"]
    assert all(version in allowed for version in (*sdk_parts.TRIED, NEWER))


def test_rpcs_and_constants_are_listed() -> None:
    assert set(USED["rpcs"]) == {*sdk_uses.handled(), *sdk_uses.asked()}
    assert USED["constants"] == sorted(sdk_uses.constants())


def test_fields_that_messages_are_made_with_are_listed() -> None:
    made = set()
    for text in sdk_uses.sources():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and (name := re.fullmatch(r"api_pb2\.([\w.]+)", ast.unparse(node.func))):
                made |= {(name[1], each.arg) for each in node.keywords if each.arg}
    assert len(made) > 100
    assert {one for one in made if one[1] not in USED["fields"].get(one[0], ())} == set()


@pytest.mark.thorough
def test_every_field_is_listed() -> None:
    """As mypy knows the types: half a minute of one core."""
    assert sdk_parts.PROTOCOL.read_text("utf-8") == sdk_uses.written()


@dataclass(frozen=True)
class Change:
    """In a file of the SDK, what becomes of a text."""

    file: str
    old: str
    new: str


def doctored(folder: Path, *changes: Change, version: str = NEWER) -> Path:
    """A copy of the SDK of another version, with the changes."""
    for package in ("modal", "modal_proto", "modal_version"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(SITE / package, folder / package, copy_function=_link, ignore=ignore)
    number = Change("modal_version/__init__.py", r'(?<=__version__ = ")[^"]*', version)
    for change in (number, *changes):
        file = folder / change.file
        text, count = re.subn(change.old, change.new, file.read_text("utf-8"))
        assert count, f"{change} finds nothing to change"
        file.unlink()
        if text:
            file.write_text(text, encoding="utf-8")
    return folder


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line with the SDK in the folder, as a new process with a home of its own."""
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MODAL_", "GLMDEPLOY_"))},
        "PYTHONPATH": os.pathsep.join([str(folder), str(Path(glmdeploy.__file__).parents[1])]),
        "GLMDEPLOY_HOME": str(folder / "home"),
        "HOME": str(folder),
        "NO_COLOR": "1",
        "COLUMNS": "1000",
    }
    command = [sys.executable, "-m", "glmdeploy", *arguments]
    return subprocess.run(command, env=env, cwd=folder, text=True, capture_output=True, check=False, timeout=600)


START = ("local", "start")
APPLY = ("apply", "local-cpu", "--target", "local", "--yes", "--make-secrets")
PLAN = ("plan", "local-cpu", "--target", "modal")
PRICES = ("size", "local-cpu", "--modal-prices")
STATUS = ("status", "app", "--target", "local")


CASES = {
    "no synchronizer": (
        Change("modal/_utils/async_utils.py", "synchronizer", "syncer"),
        PRICES,
        "`modal._utils.async_utils.synchronizer`",
    ),
    "no way to forget a client": (
        Change("modal/client.py", "def _set_env_client", "def _set_client"),
        PLAN,
        "`modal.client._Client._set_env_client`",
    ),
    "no entrypoint": (
        Change("modal/_container_entrypoint.py", "(?s).+", ""),
        START,
        "the module `modal._container_entrypoint`",
    ),
    "another parameter": (
        Change("modal/_runtime/asgi.py", r"def get_ip_address\(ifname", "def get_ip_address(family, ifname"),
        START,
        "`modal._runtime.asgi.get_ip_address` with 1 argument",
    ),
    "a replacement that is not asked": (
        Change("modal/_runtime/user_code_imports.py", "asgi.get_ip_address", "asgi.address"),
        START,
        "`asgi.get_ip_address` in `modal._runtime.user_code_imports`",
    ),
    "another size": (
        Change("modal/_utils/blob_utils.py", "BLOCK_SIZE: int = 8", "BLOCK_SIZE: int = 16"),
        START,
        "`modal._utils.blob_utils.BLOCK_SIZE` with the value 8388608",
    ),
    "another setting": (
        Change("modal/config.py", "override_headers", "more_headers"),
        START,
        "`override_headers` in `modal.config`",
    ),
    "no base of servers": (
        Change("modal_proto/api_grpc.py", "ModalClientBase", "ModalBase"),
        START,
        "`modal_proto.api_grpc.ModalClientBase`",
    ),
    "a protocol that cannot be imported": (
        Change("modal_proto/api_pb2.py", "(?s).+", "1 / 0"),
        STATUS,
        "`modal_proto.api_pb2` cannot be imported (ZeroDivisionError: division by zero)",
    ),
    # As bytes stand in Python's source: protoc escapes a first letter that could be a digit of the escape before it.
    "no RPC": (Change("modal_proto/api_pb2.py", "ppPublish", "ppRelease"), APPLY, "the RPC `AppPublish`"),
    "no field": (
        Change("modal_proto/api_pb2.py", "ployment_name", "ployment_call"),
        STATUS,
        "the field `EnvironmentGetOrCreateRequest.deployment_name`, and 3 more",
    ),
}


@pytest.mark.parametrize(
    "case", some(CASES, "no synchronizer", "another parameter", "another setting", "no RPC", "no field")
)
def test_the_first_command_says_what_is_gone(case: str, tmp_path: Path) -> None:
    change, arguments, lacks = CASES[case]
    done = command(doctored(tmp_path, change), *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    first, *rest = done.stderr.splitlines()
    assert first.startswith(f"error: modal {NEWER} does not have what glmdeploy uses of it: ")
    assert lacks in first
    assert any(f"`pip install 'modal=={sdk_parts.TRIED[-1]}'`" in line for line in rest)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "home").exists(), "no daemon was started"


def test_a_newer_release_with_every_part_is_used_without_a_word(tmp_path: Path) -> None:
    folder = doctored(tmp_path)
    try:
        done = command(folder, *START)
        assert (done.returncode, done.stderr) == (0, "")
        done = command(folder, *STATUS)
        assert (done.returncode, done.stdout) == (1, "app   not deployed\n")
    finally:
        command(folder, "local", "stop")


def test_a_release_that_was_tried_is_not_looked_at(tmp_path: Path) -> None:
    """Its entrypoint is gone, which only a container would notice."""
    change = Change("modal/_container_entrypoint.py", "(?s).+", "")
    folder = doctored(tmp_path, change, version=sdk_parts.TRIED[-1])
    try:
        assert command(folder, *START).returncode == 0
    finally:
        command(folder, "local", "stop")


def test_no_sdk_at_all(tmp_path: Path) -> None:
    """Or one that is there in part: pip was ended while it was at work."""
    (tmp_path / "modal_version.py").write_text("raise ImportError")
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.metadata as m\ndef version(name): raise m.PackageNotFoundError(name)\nm.version = version\n"
    )
    done = command(tmp_path, *START)
    assert done.returncode == 1
    assert done.stderr.startswith("error: modal is not installed, or not whole\n")
