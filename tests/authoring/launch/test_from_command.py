"""What `glmdeploy command` prints comes back through `glmdeploy import`, whoever publishes the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.authoring.launch.imported import import_script
from glmdeploy.authoring.launch.script import ImportOptions, Script
from glmdeploy.cli import group
from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load
from glmdeploy.resources import profiles_dir

if TYPE_CHECKING:
    from pathlib import Path

    from glmdeploy.authoring.launch.imported import Imported
    from glmdeploy.plan.plan import Plan

ORGANISATIONS = ("meta-llama", "nvidia", "Qwen", "zai-org", "deepseek-ai", "acme", "0x", "a.b-c_d")
NAMES = ("Llama-3.1-8B-Instruct", "GLM-5.2-NVFP4", "Qwen3-8B", "GLM-5.1-FP8", "m", "a.b_c-1")


def command(*arguments: str) -> str:
    result = CliRunner().invoke(group, ["command", *arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def back(text: str, plan: Plan) -> Imported:
    assert isinstance(plan.gpu, str)
    wanted = ImportOptions(gpu=plan.gpu, sglang_version=plan.sglang, public=plan.api_key is None)
    result = import_script(Script(file="launch.sh", text=text), wanted)
    assert result.complete
    assert result.data is not None
    assert result.data["model"] == {"repo": plan.model.repo, "served_name": plan.model.served_name}
    assert result.data["volumes"]["weights"]["mount"] == plan.weights.mount
    return result


PART = r"m[A-Za-z0-9]{0,6}([-._][a-z0-9]{1,4}){0,2}"


@settings(deadline=None, max_examples=examples(25), suppress_health_check=[HealthCheck.too_slow])
@given(
    organisation=st.sampled_from(ORGANISATIONS) | st.from_regex(PART, fullmatch=True),
    name=st.sampled_from(NAMES) | st.from_regex(PART, fullmatch=True),
    mount=st.sampled_from(["/model-cache", "/models", "/data/models/nvidia", "/m"]),
)
def test_every_organisation_comes_back(organisation: str, name: str, mount: str) -> None:
    sets = (f'model.repo="{organisation}/{name}"', f"volumes.weights.mount={mount}")
    plan, _ = plan_of(load("local-cpu", sets=sets))
    back(command("local-cpu", *(word for each in sets for word in ("--set", each))), plan)


@pytest.mark.parametrize("file", sorted(profiles_dir().glob("*.yaml")), ids=lambda file: file.stem)
def test_every_shipped_profile_comes_back(file: Path) -> None:
    plan, _ = plan_of(load(str(file)))
    result = back(command(str(file)), plan)
    assert result.checked is not None
    assert result.checked.facts is not None
    assert result.checked.facts.command == plan.server.command


def test_the_repository_stands_in_the_json_too() -> None:
    assert json.loads(command("b200-eagle-bf16kv", "--json"))["model"] == "zai-org/GLM-5.1-FP8"
