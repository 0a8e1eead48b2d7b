"""Which engine answers, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from glmdeploy.errors import LocalCloudError
from glmdeploy.local.engine import ENGINE_VARIABLE, engine

PYTHON = Path("/engines/python")
CPU = ("--tp-size", "1", "--device", "cpu", "--port", "8000")


def test_a_profile_for_a_cpu_is_answered_by_the_real_one() -> None:
    for arguments in (CPU, ("--device=cpu",), ("--device", "cuda", "--device=cpu")):
        found = engine(arguments, "0.5.23", {"GLMDEPLOY_STANDIN_SGLANG_VERSION": "0.5.23"}, PYTHON)
        assert (found.python, found.name) == (PYTHON, "sglang")
    assert str(found) == "the real SGLang 0.5.23 on this machine's CPU: `device: cpu`, and this release is installed"


@pytest.mark.parametrize(
    ("arguments", "release", "variables", "python", "why"),
    [
        (CPU, "0.5.23", {}, None, "the real engine is not installed"),
        (CPU, "0.5.22", {}, PYTHON, "the profile pins SGLang 0.5.22, and the real engine is 0.5.23"),
        (("--tp-size", "8"), "0.5.23", {}, PYTHON, "the profile is for a GPU, and there is none here"),
        (("--device", "cuda"), "0.5.23", {}, PYTHON, "`device: cuda`, and there is none here"),
        (("--device",), "0.5.23", {}, PYTHON, "the profile is for a GPU, and there is none here"),
        (
            CPU,
            "0.5.23",
            {"GLMDEPLOY_STANDIN_HANG_FILE": "/x"},
            PYTHON,
            "only the stand-in knows GLMDEPLOY_STANDIN_HANG_FILE",
        ),
    ],
)
def test_what_speaks_against_the_real_one(
    arguments: tuple[str, ...], release: str, variables: dict[str, str], python: Path | None, why: str
) -> None:
    found = engine(arguments, release, variables, python)
    assert (found.python, found.name, found.why) == (None, "standin", why)
    with pytest.raises(LocalCloudError) as refusal:
        engine(arguments, release, {**variables, ENGINE_VARIABLE: "sglang"}, python)
    assert refusal.value.message == f"{ENGINE_VARIABLE} asks for the real SGLang, which cannot be: {why}"
    assert engine(arguments, release, {**variables, ENGINE_VARIABLE: "standin"}, python).python is None


def test_what_is_asked_for() -> None:
    assert engine(CPU, "0.5.23", {ENGINE_VARIABLE: "sglang"}, PYTHON).python == PYTHON
    assert engine(CPU, "0.5.23", {ENGINE_VARIABLE: "standin"}, PYTHON).why == f"{ENGINE_VARIABLE} asks for it"
    with pytest.raises(LocalCloudError, match="is 'vllm', which is no engine"):
        engine(CPU, "0.5.23", {ENGINE_VARIABLE: "vllm"}, PYTHON)
