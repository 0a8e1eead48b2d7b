"""The variables that SGLang's processes get beside the profile's own: caches where a stage fills them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from glmdeploy.plan.make import make
from glmdeploy.plan.supervision import CACHE_FOLDERS
from glmdeploy.profile.text.load import load
from glmdeploy.rules.check import check
from glmdeploy.runtime import stages
from glmdeploy.runtime.caches import CACHES

if TYPE_CHECKING:
    from glmdeploy.plan.plan import Plan

OPEN = "sglang.env.SGLANG_DG_CACHE_DIR=null"


def plan(*sets: str) -> Plan:
    facts = check(load("b200-eagle-bf16kv", sets=sets)).facts
    assert facts is not None
    return make(facts)


def caches(*sets: str) -> set[str]:
    """The cache variables that the plan sets, the same for both stages, each at a folder of its own."""
    found = plan(*sets)
    own = {name: value for name, value in found.server.defaults.items() if name in CACHE_FOLDERS}
    assert len(set(own.values())) == len(own)
    assert all(value.startswith(f"{CACHES}/") for value in own.values())
    if found.compile:
        assert {name: found.compile.defaults.get(name) for name in own} == own
    return set(own)


EVERYWHERE = {
    "TRITON_CACHE_DIR",
    "TORCHINDUCTOR_CACHE_DIR",
    "TVM_FFI_CACHE_DIR",
    "CUDA_CACHE_PATH",
    "TILELANG_CACHE_DIR",
}
FLASHINFER, GENERAL, JIT, DEEP_GEMM = (
    {name} for name in ("FLASHINFER_WORKSPACE_BASE", "SGLANG_CACHE_DIR", "SGLANG_JIT_CACHE_DIR", "SGLANG_DG_CACHE_DIR")
)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.5.10", EVERYWHERE | FLASHINFER | DEEP_GEMM),
        ("0.5.11", EVERYWHERE | FLASHINFER | DEEP_GEMM | GENERAL),
        ("0.5.16", EVERYWHERE | DEEP_GEMM | GENERAL),
        ("0.5.18", EVERYWHERE | FLASHINFER | DEEP_GEMM | GENERAL | JIT),
        ("0.5.23", EVERYWHERE | FLASHINFER | DEEP_GEMM | GENERAL | JIT),
    ],
)
def test_every_cache_that_the_release_has(version: str, expected: set[str]) -> None:
    assert caches(f"sglang.version={version}", OPEN) == expected


def test_what_the_profile_sets_stays() -> None:
    assert "SGLANG_DG_CACHE_DIR" not in caches(), "the page keeps DeepGEMM's kernels at /dg-cache"
    assert "TRITON_CACHE_DIR" not in caches("server.env.TRITON_CACHE_DIR=/tmp/triton")


def test_the_general_folder_of_a_profile_moves_the_others_where_sglang_does() -> None:
    general = "sglang.env.SGLANG_CACHE_DIR=/tmp/sglang"
    left = {"SGLANG_JIT_CACHE_DIR", "TVM_FFI_CACHE_DIR"}
    assert caches("sglang.version=0.5.23", OPEN, general) == left
    assert caches("sglang.version=0.5.18", OPEN, general) == {*left, "TILELANG_CACHE_DIR"}
    assert caches("sglang.version=0.5.17", OPEN, general) == EVERYWHERE | DEEP_GEMM


def test_nothing_is_moved_where_nothing_is_kept() -> None:
    assert caches("compile=null") == set()


@pytest.mark.parametrize(("stage", "expected"), [("compile", "0"), ("server", "1")])
def test_the_compile_stage_may_compile(stage: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = plan("sglang.version=0.5.23", 'sglang.env.SGLANG_CRASH_ON_JIT_COMPILE="1"')
    monkeypatch.setattr(stages, "PLAN", found.data())
    environment = stages.engine_env(stage)
    assert environment["SGLANG_CRASH_ON_JIT_COMPILE"] == expected
    assert environment["TRITON_CACHE_DIR"] == f"{CACHES}/triton"


def test_no_crash_waits_for_a_core_dump() -> None:
    name = "SGLANG_CUDA_COREDUMP_BEFORE_CRASH"
    assert plan("sglang.version=0.5.23", OPEN).server.defaults[name] == "0"
    assert name not in plan("sglang.version=0.5.11", OPEN).server.defaults
    assert name not in plan("sglang.version=0.5.23", OPEN, f"sglang.env.{name}=1").server.defaults
