"""Standard streams that fail: each command ends well when nobody reads on, and says once that a disk is full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import stream_process
from support import PATIENCE, STRANGE, Shell

from glmdeploy.cli import COMMANDS

ROOT = Path(__file__).parents[2]
PROFILE = "b200-nospec-bf16kv"

PRINTING: dict[str, int] = {
    "--help": 0,
    "--version": 0,
    "validate broken.yaml": 1,
    "plan --target local local-cpu": 0,
    "diff launch.yaml launch.yaml": 0,
    f"explain {PROFILE}": 0,
    f"size {PROFILE}": 0,
    f"report {PROFILE}": 0,
    "rules": 0,
    f"upgrade {PROFILE} --to 0.5.23": 0,
    "import launch.sh": 0,
    f"render {PROFILE}": 0,
    f"command {PROFILE}": 0,
    "catalog diff 0.5.22 0.5.23": 1,
    "schema": 0,
    "completion bash": 0,
    "help size": 0,
    "help validate": 0,
    "list --target local": 0,
    "logs -f": 0,
}
"""Calls that need no network and no embedded cloud, and print; their exit codes where that is read."""

FAILING = (
    *("apply nothing.yaml", "show nothing.plan", "pin nothing.yaml", "init /nothing/at/all", "local env"),
    *("status app --target local", "history app --target local", "open app --target local"),
    *("cost app --target local", "clean --target local", "verify app --target local"),
    *("destroy app --target local --yes", "rollback app --target local --yes", "rollover app --target local --yes"),
)
"""Calls that fail before their first word: with exit code 1, and `init` with 2."""

CALLS = [
    *((call, way) for call in PRINTING for way in ("gone", "full")),
    *((call, "mute") for call in (*FAILING, "--version", "validate broken.yaml", "logs -f")),
    *((call, "closed") for call in ("--version", "validate broken.yaml")),
]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    """What came of each call in each way."""
    folder = tmp_path_factory.mktemp("streams")
    (folder / "broken.yaml").write_text("extends: b200-nospec-bf16kv\nsglang: {args: {tp: 4}}\n")
    (folder / "launch.yaml").write_text("extends: b200-nospec-bf16kv\n")
    (folder / "launch.sh").write_text("python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8\n")
    env = {key: value for key, value in os.environ.items() if not key.startswith((*STRANGE, "COLUMNS"))}
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    done = subprocess.run(
        [sys.executable, stream_process.__file__],
        input=json.dumps({"calls": [(call.split(), way) for call, way in CALLS], "folder": str(folder)}),
        capture_output=True,
        text=True,
        env={**env, "HOME": str(folder), "GLMDEPLOY_HOME": str(folder / "home"), "PYTHONPATH": paths},
        check=False,
        timeout=PATIENCE,
    )
    Shell(folder / "home").stop()  # one of them starts it
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {(" ".join(each["call"]), each["way"]): each for each in lines}


def test_every_command_is_called() -> None:
    assert {call.split()[0] for call, _ in CALLS} >= {*COMMANDS}


@pytest.mark.parametrize(("call", "way"), CALLS)
def test_streams_that_fail(call: str, way: str, told: dict[tuple[str, str], dict[str, Any]]) -> None:
    one = told[call, way]
    code, err = one["code"], one["err"]
    expected = PRINTING.get(call, 2 if call.startswith("init") else 1)
    assert [word for word in ("Traceback", "Exception ignored", "has a bug") if word in err] == [], err
    # Who reads no more takes nothing from what the command came to.
    assert code == expected if way == "gone" else code == (expected or 1), err
    why = {"full": "No space left on device", "closed": "it is closed"}
    if way in why:
        assert err.count(f"error: cannot write to standard output: {why[way]}\n") == 1, err
    else:
        assert "cannot write" not in err
