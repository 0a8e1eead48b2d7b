"""Rules whose lesser cases are lesser findings: what each says of a case, and how gravely."""

from __future__ import annotations

from datetime import date

import pytest

from glmdeploy.findings import Severity
from glmdeploy.profile.text.load import load
from glmdeploy.resources import profiles_dir
from glmdeploy.rules.check import check

TODAY = date(2026, 11, 29)
AIR_0_5_23 = ("sglang.version=0.5.23", "sglang.image=lmsysorg/sglang:v0.5.23")


@pytest.mark.parametrize(
    ("rule", "profile", "sets", "severity"),
    [
        ("GLM002", "b200-eagle-bf16kv", ("sglang.args.kv-cache-dtype=null",), Severity.ERROR),
        ("GLM002", "b200-nospec-bf16kv", ("sglang.args.kv-cache-dtype=null",), Severity.WARNING),
        ("GLM166", "h100-glm45-air-fp8", ("sglang.args.device=xpu",), Severity.ERROR),
        ("GLM166", "h100-glm45-air-fp8", ("sglang.args.device=cpu",), Severity.WARNING),
        (
            "GLM176",
            "h100-glm45-air-fp8",
            ("sglang.args.speculative-algorithm=EAGLE3", "model.repo=acme/other"),
            Severity.WARNING,
        ),
        (
            "GLM176",
            "h100-glm45-air-fp8",
            ("sglang.args.speculative-algorithm=STANDALONE", "model.repo=acme/other"),
            Severity.ERROR,
        ),
        ("GLM202", "b200-eagle-bf16kv", (), Severity.INFO),
        (
            "GLM202",
            "b200-eagle-bf16kv",
            ("sglang.version=0.5.14", "sglang.image=lmsysorg/sglang:v0.5.14-cu130"),
            Severity.WARNING,
        ),
    ],
)
def test_how_grave_a_case_is(rule: str, profile: str, sets: tuple[str, ...], severity: Severity) -> None:
    found = check(load(str(profiles_dir() / f"{profile}.yaml"), sets=sets), today=TODAY).findings
    assert {finding.severity for finding in found if finding.id == rule} == {severity}


@pytest.mark.parametrize(
    ("sets", "speaks"),
    [
        (("sglang.args.attention-backend=trtllm_mla", "gpu=B200:4"), True),
        # Of a model that is not known nothing is concluded.
        (("sglang.args.attention-backend=trtllm_mla", "gpu=B200:4", "model.repo=acme/other"), False),
    ],
)
def test_a_kind_of_attention_must_be_known(sets: tuple[str, ...], speaks: bool) -> None:
    found = check(
        load(str(profiles_dir() / "h100-glm45-air-fp8.yaml"), sets=(*AIR_0_5_23, *sets)), today=TODAY
    ).findings
    assert ("GLM167" in {finding.id for finding in found}) is speaks


@pytest.mark.parametrize(
    "adapters", ['["a=/x", "a=/y"]', '["a=/x", "{\\"lora_name\\": \\"a\\", \\"lora_path\\": \\"/y\\"}"]']
)
def test_adapters_have_names_however_they_are_written(adapters: str) -> None:
    sets = ("sglang.args.speculative-algorithm=null", f"sglang.args.lora-paths={adapters}")
    found = check(load(str(profiles_dir() / "h100-glm45-air-fp8.yaml"), sets=sets), today=TODAY).findings
    assert [finding.message for finding in found if finding.id == "GLM173"] == [
        "two adapters are called `a`, and clients choose them by name"
    ]
