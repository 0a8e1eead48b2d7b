"""What an import writes is good at once: limits and stages as the rules ask for them, the schema where it is found."""

from __future__ import annotations

import pytest

from glmdeploy.authoring.launch.imported import Imported, import_script
from glmdeploy.authoring.launch.script import ImportOptions, Script
from glmdeploy.findings import Severity

LAUNCH = "python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8 --kv-cache-dtype bf16"
OF_TIME = {"GLM017", "GLM040", "GLM041", "GLM042", "GLM043", "GLM044", "GLM045", "GLM046"}
"""Rules about limits and stages that a profile could have had at once."""


def imported(text: str, gpu: str = "B200:8", version: str = "0.5.11") -> Imported:
    return import_script(Script(file="x.sh", text=text), ImportOptions(gpu=gpu, sglang_version=version))


def rules(result: Imported) -> set[str]:
    assert result.checked is not None
    return {found.id for found in result.checked.findings if found.severity is not Severity.INFO}


@pytest.mark.parametrize(
    ("text", "gpu"),
    [
        (LAUNCH, "B200:8"),
        (LAUNCH, "H200:8"),
        (f"{LAUNCH} --fp8-gemm-backend triton", "H200:8"),
        (f"SGLANG_ENABLE_JIT_DEEPGEMM=0 {LAUNCH}", "H200:8"),
        (f"SGLANG_DG_CACHE_DIR=/dg {LAUNCH}", "H200:8"),
        ("python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3.2 --tp 8", "B200:8"),
        ("python3 -m sglang.launch_server --model-path zai-org/GLM-5.1 --tp 8", "B300:8"),
        ("python3 -m sglang.launch_server --model-path Qwen/Qwen3-32B --tp 2", "H200:2"),
    ],
)
def test_no_warning_that_a_limit_could_have_avoided(text: str, gpu: str) -> None:
    assert not rules(imported(text, gpu)) & OF_TIME


def test_the_stage_has_a_volume_and_its_reason_stands_in_the_profile() -> None:
    result = imported(LAUNCH)
    assert result.data is not None
    assert result.data["compile"] == {"timeout": 3600}
    assert result.data["volumes"]["kernels"] == {"name": "glm-5.1-fp8-kernels", "mount": "/kernels"}
    assert result.text is not None
    head = result.text.partition("schema: 1")[0]
    assert "# Added, because the launch says nothing of it:" in head
    assert "`compile` and `volumes.kernels`: there is no stage `compile`" in head
    assert [note.severity for note in result.notes if "compile" in note.message] == [Severity.INFO]


def test_where_the_launch_keeps_kernels_elsewhere_no_stage_is_added() -> None:
    result = imported(f"SGLANG_DG_CACHE_DIR=/model-cache/dg {LAUNCH}")
    assert result.data is not None
    assert "compile" not in result.data
    assert result.data["server"]["startup_timeout"] > 900, "then the server has the time to compile them"


def test_what_sglang_is_given_stays_the_launch_s() -> None:
    result = imported(LAUNCH)
    assert result.data is not None
    assert result.data["sglang"]["args"] == {"tp-size": 8, "kv-cache-dtype": "bf16"}
