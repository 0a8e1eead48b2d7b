"""Published launch commands become profiles; broken ones are told where they break."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy.authoring.launch.find import launches
from glmdeploy.authoring.launch.imported import import_script
from glmdeploy.authoring.launch.script import ImportOptions, Script
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity
from glmdeploy.sglang import catalog, command
from glmdeploy.sglang.parser import build_parser

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.imported import Imported

HERE = Path(__file__).parent
RECIPES = sorted((HERE / "recipes").glob("*.sh"))
BROKEN = sorted((HERE / "broken").glob("*.sh"))
OWN_PLACE = {"model_path", "served_model_name", "host", "port", "revision"}


def header(text: str, name: str) -> list[str]:
    """The words behind ``# name:`` in a file's comments."""
    match = re.search(rf"^# {name}: (.*)$", text, re.MULTILINE)
    return shlex.split(match[1]) if match else []


def wanted(text: str) -> ImportOptions:
    words = header(text, "options")
    options = {
        name.removeprefix("--").replace("-", "_"): value for name, value in zip(words[::2], words[1::2], strict=True)
    }
    return ImportOptions(**options)


def imported(file: Path) -> Imported:
    text = file.read_text(encoding="utf-8")
    return import_script(Script(file=file.name, text=text), wanted(text))


def test_there_are_enough_recipes() -> None:
    assert len([file for file in RECIPES if not header(file.read_text(), "rules")]) >= 20


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_recipe(file: Path) -> None:
    result = imported(file)
    assert [note for note in result.notes if note.severity is Severity.ERROR] == []
    assert result.complete
    assert result.checked is not None
    objections = {found.id for found in result.checked.findings if found.severity is Severity.ERROR}
    assert objections == set(header(file.read_text(), "rules")), "a recipe that works has no error but those it names"


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_recipe_means_what_it_said(file: Path) -> None:
    """The release's own parser reads the same values from the recipe's words and from the profile's."""
    result = imported(file)
    assert result.data is not None
    release = catalog.load(result.data["sglang"]["version"])
    parser = build_parser(release)
    [launch] = launches(file.read_text(encoding="utf-8"))
    before = vars(parser.parse_args([word.text for word in launch.words]))
    settings, problems = command.read(result.data["sglang"].get("args", {}), release)
    assert problems == []
    words = command.server_command(settings, release, model_path="m", served_name="n", port=1)
    after = vars(parser.parse_args(words[3:]))
    assert different(before, after) <= OWN_PLACE
    assert result.data["model"]["repo"] == before["model_path"]
    assert result.data["model"]["served_name"] == (before["served_model_name"] or before["model_path"])
    assert result.data["model"].get("revision") == before["revision"]
    assert result.data["server"]["port"] == before["port"]


def different(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_broken(file: Path) -> None:
    match = re.search(r"^# expect: error (\d+):(\d+) (.+)$", file.read_text(), re.MULTILINE)
    assert match, f"{file.name} does not say what is expected"
    try:
        result = imported(file)
    except ProfileError as error:
        findings = list(error.findings)
    else:
        assert not result.complete
        findings = [note for note in result.notes if note.severity is Severity.ERROR]
    [found] = findings
    assert (str(found.location.line), str(found.location.column)) == (match[1], match[2])
    assert match[3] in found.message
    assert found.location.text == file.read_text().splitlines()[found.location.line - 1]
    if "left out" in found.message:
        assert result.data is not None, "the rest is imported"


def test_docker_gives_environment_image_and_notes() -> None:
    result = imported(HERE / "recipes" / "dgx_station_nvidia.sh")
    assert result.data is not None
    assert result.data["sglang"]["image"] == "lmsysorg/sglang:latest-cu130"
    assert result.data["secrets"]["huggingface"] == {"name": "huggingface-secret", "keys": ["HF_TOKEN"]}
    assert "env" not in result.data["sglang"]
    told = {note.message.split()[0] for note in result.notes}
    assert {"--ipc", "--ulimit"} <= told


def test_the_release_of_an_image_decides() -> None:
    result = imported(HERE / "recipes" / "glm51_fp8_b300_inferencex.sh")
    assert result.data is not None
    assert result.data["sglang"]["version"] == "0.5.15.post1"
    near = imported(HERE / "recipes" / "glm5_fp8_h200_mtp_inferencex.sh")
    assert near.data is not None
    assert near.data["sglang"]["version"] == "0.5.12.post1"
    assert near.data["sglang"]["env"] == {"SGLANG_ENABLE_SPEC_V2": "1"}


def test_a_value_under_a_condition_is_told() -> None:
    result = imported(HERE / "recipes" / "dsr1_fp8_b200_inferencemax.sh")
    assert result.data is not None
    assert result.data["sglang"]["args"]["scheduler-recv-interval"] == 10
    [note] = [note for note in result.notes if "condition" in note.message]
    assert note.location.text[note.location.column - 1 :].startswith("$SCHEDULER_RECV_INTERVAL")


def test_profile_text_is_like_the_shipped_ones() -> None:
    result = imported(HERE / "recipes" / "glm51_fp8_h200_cookbook.sh")
    assert result.text is not None
    lines = result.text.splitlines()
    assert lines[0] == "# Imported from glm51_fp8_h200_cookbook.sh.", "no schema, for it is not known where it will lie"
    assert "#   line 3: the launch has no --api-key, but on Modal anyone could reach it: a key was added" in lines
    body = result.text[result.text.index("schema: 1") :]
    assert body == (
        "schema: 1\n"
        "name: glm-5.1-fp8-h200\n"
        "description: GLM-5.1-FP8 with SGLang 0.5.11\n"
        "app: glm-5.1-fp8\n"
        "\n"
        "model:\n"
        "  repo: zai-org/GLM-5.1-FP8\n"
        "  served_name: zai-org/GLM-5.1-FP8\n"
        "\n"
        "gpu: H200:8\n"
        "\n"
        "volumes:\n"
        "  weights: {name: glm-5.1-fp8-weights, mount: /model-cache}\n"
        "  kernels: {name: glm-5.1-fp8-kernels, mount: /kernels}\n"
        "\n"
        "secrets:\n"
        "  api_key: {name: glm-5.1-fp8-api-key, keys: [API_KEY]}\n"
        "\n"
        "compile:\n"
        "  timeout: 3600\n"
        "\n"
        "server:\n"
        "  port: 30000\n"
        "\n"
        "sglang:\n"
        "  version: 0.5.11\n"
        "  image: lmsysorg/sglang:v0.5.11\n"
        "  env:\n"
        '    SGLANG_ENABLE_SPEC_V2: "1"\n'
        "  args:\n"
        "    tp-size: 8\n"
        "    reasoning-parser: glm45\n"
        "    tool-call-parser: glm47\n"
        "    speculative-algorithm: EAGLE\n"
        "    speculative-num-steps: 3\n"
        "    speculative-eagle-topk: 1\n"
        "    speculative-num-draft-tokens: 4\n"
        "    mem-fraction-static: 0.85\n"
    )
