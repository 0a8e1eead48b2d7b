"""Where the rows for GLM-5 hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from glmdeploy import gpus
from glmdeploy.sglang.decisions.situation import Situation
from glmdeploy.sglang.decisions.table import UNMODELLED, obstacle
from glmdeploy.sglang.models import GLM_DSA

NOW = Situation(version="0.5.16", gpu=gpus.parse("H200:8"), quantization="fp8", env={}, values={})


@pytest.mark.parametrize(
    "now",
    [
        NOW,
        replace(NOW, version="0.5.10", gpu=gpus.parse("B200:8")),
        replace(NOW, version="0.5.23"),
        replace(NOW, values={"nnodes": 2, "device": None, "quantization": "fp8"}),
        replace(NOW, values={"dp_size": 1, "enable_dp_attention": False}),
        replace(NOW, values={"dp_size": 8, "enable_dp_attention": True}),
    ],
)
def test_they_hold(now: Situation) -> None:
    assert obstacle(now, GLM_DSA, {"nnodes": 1}) is None


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"quantization": "awq"}, "quantization"),
        ({"quantization": "awq", "dp_size": 1, "enable_dp_attention": True}, "quantization"),
        ({"dp_size": 1, "enable_dp_attention": True}, "enable-dp-attention"),
        *(({name: "something"}, name.replace("_", "-")) for name in UNMODELLED),
    ],
)
def test_an_option_decides_what_they_do_not_tell(values: dict[str, Any], name: str) -> None:
    why = f"SGLang decides, and what it decides with `{name}` is not known here"
    assert obstacle(replace(NOW, values=values), GLM_DSA, {"nnodes": 1}) == why


@pytest.mark.parametrize(
    ("now", "architecture", "what"),
    [
        (NOW, "OtherForCausalLM", "it decides for OtherForCausalLM"),
        (NOW, None, "it decides for this model"),
        (replace(NOW, version="0.5.9"), GLM_DSA, "0.5.9 decides"),
        (replace(NOW, gpu=gpus.parse("L40S:8")), GLM_DSA, "it decides on L40S"),
    ],
)
def test_they_are_of_other_models_releases_and_gpus(now: Situation, architecture: str | None, what: str) -> None:
    assert obstacle(now, architecture, {}) == f"SGLang decides, and what {what} is not known here"
