"""The command line as a user types it, without a network: output, exit codes, JSON, errors, start-up cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from glmdeploy import __version__

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(*arguments: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MODAL_", "GLMDEPLOY_"))}
    return subprocess.run(
        [sys.executable, "-m", "glmdeploy", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env={**env, "NO_COLOR": "1", **environment},
        check=False,
        timeout=60,
    )


def test_version() -> None:
    assert run("--version").stdout == f"glmdeploy, version {__version__}\n"


def test_validate_says_where_what_and_how() -> None:
    done = run("validate", str(EXAMPLES / "bad" / "fp8_with_eagle.yaml"))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{EXAMPLES}/bad/fp8_with_eagle.yaml:5:21: error GLM001: the KV cache is fp8_e4m3")
    assert lines[1:3] == ["  5 |     kv-cache-dtype: fp8_e4m3", "    |                     ^^^^^^^^"]
    assert "  fix: write `kv-cache-dtype: bfloat16`" in done.stdout
    assert "https://github.com/sgl-project/sglang/issues/22359" in done.stdout
    assert "  waived: measured on our traffic" in done.stdout
    assert lines[-1].startswith("1 error, 0 warnings")


def test_validate_json() -> None:
    bad = str(EXAMPLES / "bad" / "unknown_key.yaml")
    done = run("validate", "b200-eagle-bf16kv", bad, "--json")
    assert done.returncode == 1
    assert done.stderr == ""
    data = json.loads(done.stdout)
    assert data["ok"] is False
    good, wrong = data["profiles"]
    assert good["valid"]
    assert len(good["digest"]) == 64
    [finding] = wrong["findings"]
    assert finding == {
        "id": "schema",
        "severity": "error",
        "message": "unknown key `scaledown_windw` in `server`",
        "file": bad,
        "line": 3,
        "column": 10,
        "path": "server.scaledown_windw",
        "expected": finding["expected"],
        "fix": "did you mean `scaledown_window`?",
    }


def test_strict_fails_on_warnings() -> None:
    warned = str(EXAMPLES / "bad" / "fp8_without_eagle.yaml")
    assert run("validate", warned).returncode == 0
    assert run("validate", warned, "--strict").returncode == 1
    assert run("validate", str(EXAMPLES / "good" / "waived.yaml"), "--strict").returncode == 0


def test_validate_reads_standard_input() -> None:
    done = run("validate", "-", stdin="schema: 2\n")
    assert done.returncode == 1
    assert "`schema` is 2" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("b200-eagle-bf16kv", "b200-eagle-bf16kv", 0),
        ("b200-eagle-bf16kv", str(EXAMPLES / "good" / "public.yaml"), 1),
        ("b200-eagle-bf16kv", str(EXAMPLES / "bad" / "unknown_key.yaml"), 2),
        ("b200-eagle-bf16kv", "no-such-profile", 2),
    ],
)
def test_diff_exit_codes(old: str, new: str, code: int) -> None:
    done = run("diff", old, new)
    assert done.returncode == code, done.stdout + done.stderr
    as_json = run("diff", old, new, "--json")
    assert as_json.returncode == code
    data = json.loads(as_json.stdout)
    assert data["same"] == (code == 0) if code < 2 else data["error"]["findings"]


def test_diff_shows_exactly_the_change(tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    new.write_text(
        "extends: b200-eagle-bf16kv\nsglang: {args: {mem-fraction-static: 0.85}}\nserver: {max_containers: 2}\n"
    )
    assert run("diff", "b200-eagle-bf16kv", str(new)).stdout.splitlines() == [
        "compile command",
        "  ~ --mem-fraction-static: 0.88 -> 0.85",
        "server",
        "  ~ max_containers: 3 -> 2",
        "sglang",
        "  ~ --mem-fraction-static: 0.88 -> 0.85",
    ]


def test_command_shows_the_key_as_a_variable() -> None:
    text = run("command", "b200-eagle-bf16kv").stdout
    assert text.splitlines()[0] == "python3 -m sglang.launch_server \\"
    assert text.splitlines()[-1] == '  --api-key "$API_KEY"'
    data = json.loads(run("command", "b200-eagle-bf16kv", "--json").stdout)
    assert data["api_key_env"] == "API_KEY"
    assert "--api-key" not in data["command"]


def test_command_survives_a_shell() -> None:
    value = 'it\'s $HOME `x` "y" \\'
    text = run("command", "b200-eagle-bf16kv", "--set", f"sglang.args.chat-template={json.dumps(value)}").stdout
    script = f"set -- {text.removeprefix('python3 -m sglang.launch_server')}\nprintf '%s\\0' \"$@\""
    words = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split("\0")
    assert value in words


def test_schema_is_the_committed_one() -> None:
    assert run("schema").stdout == (Path(__file__).parent.parent.parent / "schemas/profile.schema.json").read_text()


def test_render_to_a_file(tmp_path: Path) -> None:
    target = tmp_path / "deploy.py"
    assert run("render", "b200-eagle-bf16kv", "-o", str(target)).returncode == 0
    assert target.read_text() == run("render", "b200-eagle-bf16kv").stdout
    failed = run("render", "b200-eagle-bf16kv", "-o", str(tmp_path / "none" / "deploy.py"))
    assert failed.returncode == 1
    assert "No such file or directory" in failed.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    assert "_GLMDEPLOY_COMPLETE" in run("completion", shell).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("validate",), 2, "Missing argument"),
        (("valdate", "x"), 2, "No such command"),
        (("validate", "no-such-profile"), 1, "no-such-profile"),
        (("apply", "b200-eagle-bf16kv", "--target", "aws"), 2, "'aws' is not one of"),
        (("apply", "b200-eagle-bf16kv", "--yes"), 1, "no Modal credentials"),
        (("apply", "b200-eagle-bf16kv", "--yes"), 1, "--target local"),
        (("validate", "b200-eagle-bf16kv", "--set", "gpu"), 1, "--set"),
        (("local", "env"), 1, "glmdeploy local start"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], code: int, words: str, tmp_path: Path) -> None:
    done = run(*arguments, HOME=str(tmp_path), GLMDEPLOY_HOME=str(tmp_path / "home"))
    assert done.returncode == code
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_errors_as_json(tmp_path: Path) -> None:
    done = run("apply", "b200-eagle-bf16kv", "--yes", "--json", HOME=str(tmp_path), GLMDEPLOY_HOME=str(tmp_path))
    error = json.loads(done.stdout)["error"]
    assert error["message"] == "there are no Modal credentials on this machine"
    assert "modal setup" in error["advice"]
    usage = run("apply", "--json")
    assert usage.returncode == 2
    assert "Missing argument" in json.loads(usage.stdout)["error"]["message"]


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
