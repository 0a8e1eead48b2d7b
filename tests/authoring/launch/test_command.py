"""`glmdeploy import` as a user types it: options, output, exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from glmdeploy.cli import group
from glmdeploy.errors import GlmdeployError, ProfileError, UsageError
from glmdeploy.plan.make import made
from glmdeploy.profile.text.load import load, read_text
from glmdeploy.rules.check import check

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

LAUNCH = "python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8 --kv-cache-dtype bf16"


def run(*arguments: str, stdin: str | bytes = LAUNCH, code: int = 0) -> Result:
    # Through the group: click keeps a command's help option as the first context to ask for it has it.
    result = CliRunner().invoke(group, ["import", *arguments], input=stdin, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    assert result.return_value == code, result.output
    return result


def profile(*arguments: str, stdin: str = LAUNCH, code: int = 0) -> dict[str, Any]:
    return read_text(run(*arguments, stdin=stdin, code=code).stdout, "x").data


def test_the_profile_goes_to_standard_output_and_notes_to_standard_error() -> None:
    result = run()
    assert made(check(read_text(result.stdout, "x"))) is not None
    assert result.stdout.startswith("# Imported from <stdin>.")
    assert "<stdin>:1:1: warning import: the text does not say which SGLang it is for" in result.stderr
    assert "B200:8 was assumed" in result.stderr


def test_options() -> None:
    data = profile(
        *("--app", "my-app", "--name", "mine", "--gpu", "H200:8", "--sglang-version", "0.5.11", "--repo", "me/mine")
    )
    assert (data["app"], data["name"], data["gpu"]) == ("my-app", "mine", "H200:8")
    assert data["sglang"]["version"] == "0.5.11"
    assert data["sglang"]["image"] == "lmsysorg/sglang:v0.5.11"
    assert data["model"]["repo"] == "me/mine"
    assert data["volumes"]["weights"]["name"] == "my-app-weights"


@pytest.mark.parametrize(
    ("options", "gpu"),
    [
        ("", "B200:1"),
        ("--tp 4", "B200:4"),
        ("--tp 2 --pp-size 2", "B200:4"),
        ("--tp 2 --dp 4", "B200:8"),
        ("--tp 8 --dp 8 --enable-dp-attention", "B200:8"),
    ],
)
def test_the_gpus_are_as_many_as_it_uses(options: str, gpu: str) -> None:
    text = f"sglang serve Qwen/Qwen3-8B {options}"
    assert profile("--sglang-version", "0.5.11", stdin=text)["gpu"] == gpu


def test_a_key_is_added_unless_the_endpoint_shall_be_public() -> None:
    assert profile()["secrets"]["api_key"]["keys"] == ["API_KEY"]
    public = profile("--public")
    assert public["server"]["public"] is True
    assert "secrets" not in public


def test_the_model_of_a_folder() -> None:
    cached = "/hub/models--zai-org--GLM-5.1-FP8/snapshots/" + "0123456789" * 4
    text = "sglang serve --tp 8 --kv-cache-dtype bf16 --model-path "
    assert profile(stdin=text + cached)["model"] == {
        "repo": "zai-org/GLM-5.1-FP8",
        "revision": "0123456789" * 4,
        "served_name": cached,
    }
    guessed = profile(stdin=f"{text}/data/GLM-5.1-FP8")
    assert guessed["model"]["repo"] == "zai-org/GLM-5.1-FP8"
    assert guessed["volumes"]["weights"]["mount"] == "/data"
    told = profile("--repo", "me/mine", stdin=f"{text}/data/x")
    assert told["volumes"]["weights"]["mount"] == "/model-cache"
    assert run(stdin=f"{text}/data/x", code=1).stdout == ""


def test_a_kernels_folder_brings_the_compile_stage() -> None:
    data = profile(stdin=f"SGLANG_DG_CACHE_DIR=/dg-cache {LAUNCH}")
    assert data["volumes"]["kernels"]["mount"] == "/dg-cache"
    assert data["compile"] == {"timeout": 3600}
    assert "compile" not in profile(stdin=f"SGLANG_DG_CACHE_DIR=/model-cache/dg {LAUNCH}")


def test_guard_rules_object_without_failing_the_import() -> None:
    arguments = ("--gpu", "B200:8", "--sglang-version", "0.5.11")
    launch = LAUNCH.replace("bf16", "auto")
    assert run(*arguments, stdin=launch).stderr.endswith("warnings: `glmdeploy validate` shows them\n")
    found = json.loads(run(*arguments, "--json", stdin=launch).stdout)["findings"]
    assert {"id": "GLM002", "severity": "warning"}.items() <= next(e for e in found if e["id"] == "GLM002").items()


def test_output(tmp_path: Path) -> None:
    file, target = tmp_path / "run.sh", tmp_path / "p.yaml"
    file.write_text(LAUNCH)
    result = run(str(file), "--output", str(target))
    assert result.stdout == ""
    assert f"wrote {target}" in result.stderr
    assert made(check(load(str(target)))) is not None
    with pytest.raises(GlmdeployError, match="cannot write"):
        run(str(file), "-o", str(tmp_path / "none" / "p.yaml"))


def test_a_command_in_the_place_of_a_file_is_told_where_it_goes() -> None:
    with pytest.raises(GlmdeployError, match="No such file") as caught:
        run("python -m sglang.launch_server --model-path m")
    assert "glmdeploy import -" in (caught.value.advice or "")


def test_a_gpu_in_small_letters() -> None:
    assert profile("--gpu", "h200:8") == profile("--gpu", "H200:8")


def test_json() -> None:
    data = json.loads(run("--json").stdout)
    assert (data["complete"], data["valid"], len(data["digest"])) == (True, True, 64)
    assert read_text(data["text"], "x").data == data["profile"]
    assert "import" in {found["id"] for found in data["findings"]}
    assert not [found for found in data["findings"] if found["severity"] == "error"]
    broken = json.loads(run("--json", stdin=f"{LAUNCH} --nope", code=1).stdout)
    assert broken["complete"] is False
    nothing = json.loads(run("--json", stdin="sglang serve --tp 8", code=1).stdout)
    assert nothing["profile"] is None


@pytest.mark.parametrize(
    ("arguments", "stdin", "error", "words"),
    [
        (("no-such-file",), "", GlmdeployError, "cannot read no-such-file"),
        ((), b"\xff", GlmdeployError, "not UTF-8"),
        ((), b" " * 1_048_577, GlmdeployError, "larger than 1 MiB"),
        ((), "ls", ProfileError, "nothing in this text launches SGLang"),
        (("--sglang-version", "0.4.0"), LAUNCH, UsageError, "no option catalog of SGLang 0.4.0"),
        (("--gpu", "B400:8"), LAUNCH, UsageError, "--gpu"),
        (("--app", "a b"), LAUNCH, UsageError, "--app"),
        (("--name", "x" * 64), LAUNCH, UsageError, "--name"),
        (("--repo", "mine"), LAUNCH, UsageError, "--repo"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], stdin: str | bytes, error: type[GlmdeployError], words: str) -> None:
    with pytest.raises(error, match=words):
        run(*arguments, stdin=stdin)
