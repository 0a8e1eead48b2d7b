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
    from collections.abc import Callable, Collection
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


HEAVY = (
    *("aiohttp", "asyncio", "concurrent", "email", "google", "grpclib", "hf_xet", "http", "huggingface_hub", "jinja2"),
    *("jsonschema", "modal", "modal_proto", "multidict", "multiprocessing", "pickle", "pydantic", "referencing"),
    *("rich", "safetensors", "socket", "ssl", "subprocess", "tempfile", "tree_sitter", "unittest", "yarl"),
)
"""What takes longer to import than a profile to judge."""
UNREAD = (*HEAVY, "glmdeploy.profile", "glmdeploy.report", "glmdeploy.rules", "glmdeploy.sglang", "logging", "yaml")
"""What a call that reads no profile needs as little."""
PROFILE = "b200-eagle-bf16kv"


@pytest.mark.parametrize(
    ("arguments", "absent", "code"),
    [
        (["--version"], UNREAD, 0),
        (["--help"], UNREAD, 0),
        (["validate", PROFILE], HEAVY, 0),
        (["explain", PROFILE], HEAVY, 0),
        (["command", PROFILE], HEAVY, 0),
        (["diff", PROFILE, "b200-nospec-bf16kv"], HEAVY, 1),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_command_that_asks_nobody_loads_nothing_heavy(
    arguments: list[str], absent: Collection[str], code: int
) -> None:
    told = (
        f"import sys; from glmdeploy.cli import run; code = run({arguments}); "
        f"print(code, sorted({set(absent)} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"{code} []"


def test_no_profile_needs_the_schema_or_a_table_to_be_parsed() -> None:
    """What explains a refusal is read for one; the rules of the tables are kept as JSON."""
    code = (
        "import sys; from glmdeploy.cli import run; from glmdeploy.profile.text import yaml12; read = [];"
        "compose = yaml12.compose; yaml12.compose = lambda source, **more: read.append(1) or compose(source, **more);"
        f"run(['validate', '{PROFILE}']); print(len(read), 'glmdeploy.profile.schema' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "1 False"


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
