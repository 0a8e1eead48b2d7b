"""The command line as a whole: its help, wrong usage, errors as JSON, streams, start-up cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from reporting import call
from snapshots import transcript
from support import PATIENCE, STRANGE

from glmdeploy.cli import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from snapshots import Shows


def typed(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """A call in a process of its own: exit code, standard output and standard error."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(STRANGE)}
    done = subprocess.run(
        [sys.executable, "-m", "glmdeploy", *arguments],
        capture_output=True,
        text=True,
        env={**env, "NO_COLOR": "1", **environment},
        check=False,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout, done.stderr


def test_version(shows: Shows) -> None:
    assert shows("version", "--version")[0] == 0
    assert typed("--version") == call("--version")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command: str, shows: Shows) -> None:
    name = f"help-{command}" if command else "help"
    assert shows(name, *filter(None, [command]), "--help")[0] == 0


@pytest.mark.parametrize("command", ["list", "show", "diff", "build"])
def test_help_of_catalog(command: str, shows: Shows) -> None:
    assert shows(f"help-catalog-{command}", "catalog", command, "--help")[0] == 0


@pytest.mark.parametrize("command", ["start", "stop", "status", "reset", "secret", "env"])
def test_help_of_local(command: str, shows: Shows) -> None:
    assert shows(f"help-local-{command}", "local", command, "--help")[0] == 0


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("no-argument", ("validate",), 2),
        ("no-such-command", ("valdate", "x"), 2),
        ("no-such-profile", ("validate", "no-such-profile"), 1),
        ("no-such-target", ("apply", "b200-eagle-bf16kv", "--target", "aws"), 2),
        ("set-without-a-value", ("validate", "b200-eagle-bf16kv", "--set", "gpu"), 1),
        ("no-embedded-cloud", ("local", "env"), 1),
        ("usage-as-json", ("apply", "--json"), 2),
    ],
)
def test_wrong_use(name: str, arguments: tuple[str, ...], code: int, shows: Shows) -> None:
    assert shows(f"wrong-{name}", *arguments)[0] == code


def test_wrong_use_as_json() -> None:
    assert "is missing" in json.loads(call("apply", "--json")[1])["error"]["message"]


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_no_credentials(form: tuple[str, ...], tmp_path: Path, snapshot: Callable[[str, str], None]) -> None:
    """In a process of its own, because the SDK reads them when it is imported."""
    arguments = ("apply", "b200-eagle-bf16kv", "--yes", *form)
    told = typed(*arguments, HOME=str(tmp_path), GLMDEPLOY_HOME=str(tmp_path / "home"))
    snapshot(f"wrong-no-credentials{'-json' * len(form)}", transcript(arguments, *told))
    assert told[0] == 1


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    heavy = "{'modal', 'jsonschema', 'huggingface_hub', 'pydantic', 'yaml', 'rich', 'jinja2', 'aiohttp', 'grpclib'}"
    code = f"import sys, glmdeploy.cli; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_validate_loads_neither_modal_nor_the_hub() -> None:
    code = (
        "import sys; from glmdeploy.cli import run; code = run(['validate', 'b200-eagle-bf16kv']);"
        "print(code, sorted({'modal', 'huggingface_hub', 'rich', 'aiohttp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_a_closed_pipe_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m glmdeploy schema | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "{\n"
    assert done.stderr == ""
