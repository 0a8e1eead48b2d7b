"""What could not be judged is said once; where everything was judged, nothing is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from judged import checked
from reporting import call

from glmdeploy.findings import Severity
from glmdeploy.profile.text.load import load
from glmdeploy.resources import profiles_dir
from glmdeploy.rules.check import check
from glmdeploy.sglang import models
from glmdeploy.sizing.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN = ("model.repo=someone/Own-Model-7B", "sglang.args.tp=1", "gpu=T4:1")


def gaps(*sets: str, profile: str = "b200-eagle-bf16kv") -> list[str]:
    return [found.message for found in checked(*sets, profile=profile).findings if found.id == "knowledge"]


@pytest.mark.parametrize("profile", sorted(file.stem for file in profiles_dir().glob("[bh]200-*.yaml")))
def test_a_profile_that_is_wholly_judged_says_nothing(profile: str) -> None:
    assert gaps(profile=profile) == []


def test_an_unknown_model_is_said_once_with_what_would_help() -> None:
    [message] = gaps(*UNKNOWN)
    assert message.startswith("memory, effective values and ")
    assert "the model someone/Own-Model-7B is not known" in message
    assert "`--model-config FILE`" in message


def test_the_number_of_rules_is_that_of_rules_that_could_not_judge() -> None:
    """With the configuration at hand fewer are left, and the rules that it allows then judge."""
    config = models.known("zai-org/GLM-5.1-FP8")
    assert config is not None
    document = load(
        "b200-eagle-bf16kv", sets=("model.repo=someone/Own-Model-7B", "sglang.args.kv-cache-dtype=fp8_e4m3")
    )
    blind = check(document)
    told = check(document, checkpoint=Checkpoint(config=config, weights=None))
    assert [found.id for found in blind.findings if found.id == "GLM001"] == []
    assert [found.id for found in told.findings if found.id == "GLM001"] == ["GLM001"]
    assert [found for found in told.findings if found.id == "knowledge"] == []


def test_memory_that_is_not_counted_is_said_where_it_is_not() -> None:
    draft = ("sglang.args.speculative-algorithm=STANDALONE", "sglang.args.speculative-draft-model-path=/model-cache/x")
    [message] = gaps(*draft)
    assert message.startswith("memory and ")
    assert message.endswith("rules were not judged: what the GPU holds with these options is not counted")


def test_strictly_it_is_an_error() -> None:
    found = checked(*UNKNOWN)
    assert {each.severity for each in found.findings if each.id == "knowledge"} == {Severity.INFO}
    assert {each.severity for each in found.strictly().findings if each.id == "knowledge"} == {Severity.ERROR}
    assert found.strictly().failed


def sets(*values: str) -> list[str]:
    return [word for value in values for word in ("--set", value)]


def test_validate_fails_on_it_only_when_told_to(tmp_path: Path) -> None:
    words = ["validate", "local-cpu", "--select", "knowledge", *sets("model.repo=someone/Own-Model-7B")]
    lenient, strict = call(*words), call(*words, "--strict-knowledge")
    assert (lenient[0], strict[0]) == (0, 1)
    assert "rules were not judged" in lenient[1].replace("\n", " ")
    assert "error knowledge" in strict[1]
    config = tmp_path / "config.json"
    config.write_text(json.dumps(models.known("zai-org/GLM-5.1-FP8")))
    told = [call(*words, "--model-config", str(given)) for given in (config, tmp_path)]  # the file, the folder with it
    assert told[0] == told[1] != lenient
    code, _, err = call(*words, "--model-config", str(config), "--ask-hub")
    assert code == 2
    assert "exclude each other" in err


def test_a_configuration_that_is_none_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text("[]")
    code, _, err = call("validate", "b200-eagle-bf16kv", "--model-config", str(config))
    assert code == 1
    assert str(config) in err


@pytest.mark.parametrize("names", [["Own Model"], [None], [], "GlmMoeDsaForCausalLM", [["x"]]])
def test_a_configuration_may_name_no_class(names: Any) -> None:
    told = check(load("b200-eagle-bf16kv"), checkpoint=Checkpoint(config={"architectures": names}, weights=None))
    assert [found.severity for found in told.findings if found.id == "knowledge"] == [Severity.INFO]
