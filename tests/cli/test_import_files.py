"""What `glmdeploy import` reads and what it refuses, at once, and that it writes nothing then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from reporting import call
from support import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

LAUNCH = "python3 -m sglang.launch_server --model-path Qwen/Qwen3-8B\n"
SECONDS = 20 * PATIENCE


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "glmdeploy", "import", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=SECONDS, check=False)


def test_what_is_no_file_is_refused_by_its_kind(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    kinds = {"/dev/zero": "a device", "/dev/null": "a device", str(tmp_path): "a directory", str(pipe): "a pipe"}
    for place, kind in kinds.items():
        target = tmp_path / "profile.yaml"
        code, out, err = call("import", place, "-o", str(target))
        assert (code, out) == (1, "")
        assert f"cannot read {place}: it is {kind}" in " ".join(err.split())
        assert not target.exists()
        told = json.loads(call("import", place, "--json")[1])
        assert kind in told["error"]["message"]


def test_a_file_that_exists_is_overwritten_only_with_force(tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    target.write_text("# mine\n")
    code, out, err = call("import", "-", "-o", str(target), stdin=LAUNCH)
    assert (code, out, target.read_text()) == (1, "", "# mine\n")
    assert f"{target} exists already, and was left as it is" in " ".join(err.split())
    assert call("import", "-", "-o", str(target), "--force", stdin=LAUNCH)[0] == 0
    assert "repo: Qwen/Qwen3-8B" in target.read_text()


@pytest.mark.parametrize("how", ["file", "stdin"])
def test_more_than_a_mebibyte_is_refused(tmp_path: Path, how: str) -> None:
    data = LAUNCH.encode() + b"#" * 2**20
    file = tmp_path / "big.sh"
    file.write_bytes(data)
    result = run(str(file)) if how == "file" else run("-", stdin=data)
    assert result.returncode == 1
    assert b"larger than 1 MiB" in result.stderr


def test_an_endless_input_ends() -> None:
    script = f"{sys.executable} -m glmdeploy import - < /dev/zero"
    result = subprocess.run(["bash", "-c", script], capture_output=True, timeout=SECONDS, check=False)
    assert result.returncode == 1
    assert b"larger than 1 MiB" in result.stderr


def test_a_substituted_process_is_read() -> None:
    script = f"{sys.executable} -m glmdeploy import <(echo '{LAUNCH.strip()}')"
    result = subprocess.run(["bash", "-c", script], capture_output=True, timeout=SECONDS, check=False)
    assert result.returncode == 0, result.stderr
    assert b"repo: Qwen/Qwen3-8B" in result.stdout


def test_standard_input_by_its_other_name() -> None:
    assert b"repo: Qwen/Qwen3-8B" in run("/dev/stdin", stdin=LAUNCH.encode()).stdout


def test_json_says_what_the_text_does() -> None:
    code, text, err = call("import", "-", stdin=LAUNCH.strip() + " --nope\n")
    told = json.loads(call("import", "-", "--json", stdin=LAUNCH.strip() + " --nope\n")[1])
    assert code == 1
    assert text == told["text"]
    for finding in told["findings"]:
        # What the rules find in the profile `validate` shows; here it is a number.
        assert (finding["message"] in err) == (finding["id"] == "import" or finding["severity"] == "error")
    if warnings := sum(each["id"] != "import" and each["severity"] == "warning" for each in told["findings"]):
        assert f"{warnings} warning" in err
