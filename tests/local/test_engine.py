"""Which engine answers, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import asked
import pytest

from glmdeploy.errors import LocalCloudError
from glmdeploy.local.engine import ENGINE_VARIABLE, engine

if TYPE_CHECKING:
    from support import Shell

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


def test_apply_says_which_and_why(fresh: Shell) -> None:
    apply = ("apply", "local-cpu", "--target", "local", "--dry-run")
    assert "\nEngine: a stand-in for SGLang: the real engine is not installed.\n" in fresh.run(*apply).stdout
    for_a_gpu = fresh.json("apply", "b200-eagle-bf16kv", "--target", "local", "--dry-run")
    why = "the profile is for a GPU, and there is none here"
    assert for_a_gpu["engine"] == {"name": "standin", "why": why, "text": f"a stand-in for SGLang: {why}"}
    refused = fresh.run(*apply, "--set", f"sglang.env.{ENGINE_VARIABLE}=sglang", code=1).stderr
    assert "asks for the real SGLang, which cannot be: the real engine is not installed" in refused
    assert "`glmdeploy local engine install`" in refused
    fresh.run("local", "start")
    assert "engine     a stand-in, since the real one is not installed" in fresh.run("local", "status").stdout
    assert fresh.json("local", "status")["real_engine"] is None


@pytest.mark.thorough
def test_the_container_says_it_too(fresh: Shell) -> None:
    fresh.run("apply", "local-cpu-embedding", "--target", "local", "--yes", "--make-secrets")
    why = "the real engine is not installed"
    logs = fresh.modal("app", "logs", "local-cpu-embedding").stdout
    assert f"Engine: a stand-in for SGLang: {why}\n" in logs
    url = fresh.json("apply", "local-cpu-embedding", "--target", "local")["url"]
    key = fresh.run("local", "secret", "glm-local-api-key", "API_KEY").stdout.strip()
    info = asked.ask(f"{url}/server_info", key).data
    assert (info["engine"], info["engine_because"]) == ("glmdeploy-stand-in", why)
    asked.check_embeddings(url, key)
