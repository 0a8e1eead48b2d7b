"""The real SGLang on a CPU judges its arguments: by its parser, and with the configuration of a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from real_engine import engine_interpreter

from glmdeploy.local import tiny_model
from glmdeploy.profile.text.load import load
from glmdeploy.runtime.preflight_image import Judgement, judge_arguments
from glmdeploy.sglang import catalog, command
from glmdeploy.sglang.real import environment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("further", "refused"),
    [
        ([], ""),
        (["--kv-cache-dtype", "fp9"], "argument --kv-cache-dtype: invalid choice: 'fp9' (choose from "),
        (["--kv-cach-dtype", "auto"], "unrecognized arguments: --kv-cach-dtype auto"),
        (["--served-model-name", "a:b"], "served_model_name cannot contain a colon (':') character"),
        (["--context-length", "9999999"], "User-specified context_length (9999999) is greater than the derived"),
    ],
    ids=["taken", "choice", "unknown", "the launch's check", "the checkpoint's configuration"],
)
def test_what_the_engine_is_started_with(
    further: list[str], refused: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("--engine"):
        pytest.skip("needs --engine")
    tiny_model.write(tmp_path / "model", "zai-org/GLM-4.5-Air")
    own = load("local-cpu").data["sglang"]
    release = catalog.load(environment.ENGINE_VERSION)
    settings, problems = command.read(own["args"], release)
    assert not problems
    served = command.server_command(
        settings, release, model_path=str(tmp_path / "model"), served_name="tiny", port=8000
    )
    interpreter = engine_interpreter()
    variables = {**environment.engine_variables(interpreter, tmp_path), **own["env"]}
    found = judge_arguments(str(interpreter), variables, {"server": [*served[3:], *further]}, seconds=600, resolve=True)
    if refused:
        assert (found.release, found.unjudged) == (environment.ENGINE_VERSION, "")
        assert refused in found.refused["server"]
    else:
        assert found == Judgement(release=environment.ENGINE_VERSION)
