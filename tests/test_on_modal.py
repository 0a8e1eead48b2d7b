"""``benchmarks/on_modal.py``: the questions for an account, asked of the embedded cloud, so that their code is run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from modal_proto import api_pb2
from support import PATIENCE, Shell, call, exported

from glmdeploy import resources

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

ROOT = Path(resources.__file__).parents[1]
SCRIPT = ROOT / "benchmarks" / "on_modal.py"


def asked(shell: Shell, *arguments: str) -> Mapping[str, Any]:
    env = {**shell.env, **exported(shell.run("local", "env").stdout), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(SCRIPT), "--json", "--seconds", "6", *arguments]
    done = subprocess.run(command, env=env, text=True, capture_output=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return {each["name"]: each for each in json.loads(done.stdout)["questions"]}


@pytest.mark.thorough
def test_every_question_is_answered_and_nothing_stays(cloud: Shell) -> None:
    cloud.run("local", "start")
    found = asked(cloud)
    assert list(found) == ["rolling", "folders", "rollback", "cap", "ready", "pinned"]
    assert found["rolling"]["seen"]["answers"].keys() <= {"good", "failed: 503"}
    assert found["folders"]["seen"]["file"] == "content"
    assert found["ready"]["seen"]["entered"] is True
    assert found["pinned"]["seen"]["said"] == "earlier"
    assert cloud.deployed() == []
    assert not call(cloud.cloud, "VolumeList", api_pb2.VolumeListRequest()).items


def test_the_docs_name_every_question() -> None:
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    for name in ("rolling", "folders", "rollback", "cap", "ready", "pinned"):
        assert f"python benchmarks/on_modal.py --only {name}" in text
