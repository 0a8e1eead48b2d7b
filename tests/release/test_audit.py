"""`.ci/audit.py`: only what was asked about is good. pip-audit is played by a program that says what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

AUDIT = Path(__file__).parents[2] / ".ci" / "audit.py"
GOOD = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"], "aliases": []}]}
UNASKED = {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (4)"}


@pytest.mark.parametrize(
    ("said", "last", "code"),
    [
        ([GOOD], "no known vulnerabilities in 1 packages", 0),
        ([GOOD, BAD], "1 known vulnerabilities", 1),
        ([BAD, UNASKED], "1 known vulnerabilities, and not all was checked", 1),
        ([GOOD, UNASKED], "not checked: the advisories could not be asked about 1 packages", 1),
        ([UNASKED], "not checked: the advisories could not be asked", 1),
        ([], "not checked: the advisories could not be asked", 1),
        (None, "not checked: the advisories could not be asked", 1),
    ],
)
def test_what_it_says_at_the_end(said: list[dict[str, Any]] | None, last: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    answer = "no connection" if said is None else json.dumps({"dependencies": said, "fixes": []})
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\nexit 1\n")
    program.chmod(0o700)
    command = [str(tmp_path / "python"), str(AUDIT), "lock.txt"]
    env = {**os.environ, "PYTHONHOME": sys.base_prefix}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == last, done.stderr
    assert done.returncode == code
