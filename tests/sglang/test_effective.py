"""What the table of SGLang's decisions says, case by case. The values were read from the real resolution."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy import gpus
from glmdeploy.sglang import catalog, command, models
from glmdeploy.sglang.decisions import memory
from glmdeploy.sglang.decisions.table import DECISIONS, UNMODELLED
from glmdeploy.sglang.effective import RAW, REPORTED, Effective, Origin, effective

VERSIONS = [version for version in catalog.versions() if version not in ("0.5.8", "0.5.9")]
FP8 = "zai-org/GLM-5.1-FP8"
EAGLE = {"speculative-algorithm": "EAGLE"}


def table(
    version: str, gpu: str, args: dict[str, Any] | None = None, *, repo: str = FP8, env: dict[str, str] | None = None
) -> dict[str, Effective]:
    release = catalog.load(version)
    settings, problems = command.read({"tp-size": 8, **(args or {})}, release)
    assert problems == []
    return effective(
        settings,
        release,
        gpus.parse(gpu),
        models.architecture(repo),
        quantization=models.quantization(repo),
        env=env,
        own={"model_path": "/model-cache/GLM-5.1-FP8"},
    )


def values(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return {name: found.value for name, found in table(*args, **kwargs).items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_set_on_blackwell(version: str) -> None:
    found = values(version, "B200:8")
    assert found["kv_cache_dtype"] == "fp8_e4m3"
    assert (found["dsa_prefill_backend"], found["dsa_decode_backend"]) == ("trtllm", "trtllm")
    assert found["moe_runner_backend"] == "flashinfer_trtllm"
    assert found["disable_shared_experts_fusion"] is True
    assert (found["page_size"], found["chunked_prefill_size"]) == (64, 16384)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("gpu", ["H200:8", "H100:8"])
def test_nothing_set_on_hopper(version: str, gpu: str) -> None:
    found = values(version, gpu)
    assert found["kv_cache_dtype"] == "bfloat16"
    assert (found["dsa_prefill_backend"], found["dsa_decode_backend"]) == ("flashmla_sparse", "fa3")
    assert found["moe_runner_backend"] == "auto"
    assert found["disable_shared_experts_fusion"] is False
    assert (found["page_size"], found["chunked_prefill_size"]) == (64, 8192)


@pytest.mark.parametrize(
    ("version", "gpu", "args", "name", "value"),
    [
        ("0.5.12.post1", "B200:8", {}, "attention_backend", "nsa"),
        ("0.5.13.post1", "B200:8", {}, "attention_backend", "dsa"),
        ("0.5.16", "B200:8", {"attention-backend": "nsa"}, "attention_backend", "nsa"),
        ("0.5.16", "B200:8", {"kv-cache-dtype": "bf16"}, "kv_cache_dtype", "bfloat16"),
        ("0.5.16", "B200:8", {"kv-cache-dtype": "bf16"}, "dsa_prefill_backend", "flashmla_sparse"),
        ("0.5.16", "B200:8", {"kv-cache-dtype": "bf16"}, "dsa_decode_backend", "trtllm"),
        # 0.5.10 replaces what is asked for.
        ("0.5.10.post1", "B200:8", {"nsa-prefill-backend": "flashmla_sparse"}, "dsa_prefill_backend", "trtllm"),
        ("0.5.11", "B200:8", {"nsa-prefill-backend": "flashmla_sparse"}, "dsa_prefill_backend", "flashmla_sparse"),
        ("0.5.16", "B200:8", {"nsa-prefill-backend": "flashmla_kv"}, "dsa_prefill_backend", "flashmla_kv"),
        ("0.5.10", "H200:8", {"kv-cache-dtype": "fp8_e4m3"}, "dsa_prefill_backend", "flashmla_auto"),
        ("0.5.11", "H200:8", {"kv-cache-dtype": "fp8_e4m3"}, "dsa_prefill_backend", "flashmla_kv"),
        ("0.5.10", "B200:8", {}, "allreduce_fusion", "off"),
        ("0.5.10", "B200:8", {"enable-flashinfer-allreduce-fusion": True}, "allreduce_fusion", "on"),
        ("0.5.11", "B200:8", {}, "allreduce_fusion", "on"),
        ("0.5.14", "B200:8", {}, "allreduce_fusion", "auto"),
        ("0.5.14", "B200:8", {"tp-size": 1}, "allreduce_fusion", "off"),
        ("0.5.14", "B200:8", {"tp-size": 2}, "allreduce_fusion", "auto"),
        ("0.5.14", "B200:8", {"dp-size": 8, "enable-dp-attention": True}, "allreduce_fusion", "off"),
        ("0.5.14", "B200:8", {"flashinfer-allreduce-fusion-backend": "trtllm"}, "allreduce_fusion", "trtllm"),
        ("0.5.14", "B200:8", {"enforce-disable-flashinfer-allreduce-fusion": True}, "allreduce_fusion", "off"),
        ("0.5.12.post1", "B200:8", {}, "prefill_cuda_graph", "disabled"),
        ("0.5.13.post1", "B200:8", {}, "prefill_cuda_graph", "piecewise"),
        ("0.5.13.post1", "B200:8", {"disable-piecewise-cuda-graph": True}, "prefill_cuda_graph", "disabled"),
        ("0.5.14", "B200:8", {}, "prefill_cuda_graph", "piecewise"),
        ("0.5.16", "B200:8", {}, "prefill_cuda_graph", "disabled"),
        ("0.5.16", "B200:8", {"cuda-graph-backend-prefill": "breakable"}, "prefill_cuda_graph", "breakable"),
        ("0.5.17", "B200:8", {}, "prefill_cuda_graph", "breakable"),
        ("0.5.18", "B200:8", {"pp-size": 2}, "prefill_cuda_graph", "breakable"),
        ("0.5.19", "B200:8", {"pp-size": 2}, "prefill_cuda_graph", "disabled"),
        ("0.5.10", "B200:8", {}, "mem_fraction_static", 0.852),
        ("0.5.10", "B200:8", EAGLE, "mem_fraction_static", 0.83),
        ("0.5.10", "H200:8", {}, "mem_fraction_static", 0.897),
        ("0.5.10", "H100:8", {"dp-size": 8, "enable-dp-attention": True}, "mem_fraction_static", 0.592),
        ("0.5.13.post1", "B200:8", {}, "mem_fraction_static", 0.844),
        ("0.5.16", "B200:8", EAGLE, "mem_fraction_static", 0.852),
        ("0.5.23", "B200:8", EAGLE, "mem_fraction_static", 0.844),
        ("0.5.23", "B200:8", {"max-running-requests": 10}, "mem_fraction_static", 0.849),
        ("0.5.23", "B200:8", {"dp-size": 8, "enable-dp-attention": True}, "chunked_prefill_size", 2048),
        ("0.5.23", "B200:8", {"attn-dp-size": 8}, "chunked_prefill_size", 2048),
        ("0.5.16", "B200:8", {"moe-runner-backend": "triton"}, "speculative_moe_runner_backend", "triton"),
        ("0.5.11", "B200:8", {}, "speculative_moe_runner_backend", "auto"),
        ("0.5.12.post1", "B200:8", {}, "speculative_moe_runner_backend", "flashinfer_trtllm"),
        ("0.5.16", "B200:8", {"pp-size": 2}, "disable_overlap_schedule", True),
    ],
)
def test_a_value(version: str, gpu: str, args: dict[str, Any], name: str, value: Any) -> None:
    assert values(version, gpu, args)[name] == value


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("algorithm", ["EAGLE", "NEXTN"])
def test_eagle_decides_for_itself(version: str, algorithm: str) -> None:
    found = values(version, "B200:8", {"speculative-algorithm": algorithm})
    assert found["speculative_algorithm"] == "EAGLE"
    parts = ("speculative_num_steps", "speculative_eagle_topk", "speculative_num_draft_tokens")
    assert [found[part] for part in parts] == [3, 1, 4]
    assert found["speculative_draft_model_path"] == "/model-cache/GLM-5.1-FP8"
    assert found["max_running_requests"] == 48


@pytest.mark.parametrize(
    ("version", "env", "off"),
    [
        ("0.5.10", {}, True),
        ("0.5.10", {"SGLANG_ENABLE_SPEC_V2": "1"}, False),
        ("0.5.11", {}, False),
        ("0.5.11", {"SGLANG_ENABLE_SPEC_V2": "false"}, True),
        ("0.5.14", {"SGLANG_ENABLE_SPEC_V2": "0"}, False),
    ],
)
def test_the_overlap_schedule_of_eagle(version: str, env: dict[str, str], off: bool) -> None:
    assert values(version, "B200:8", EAGLE, env=env)["disable_overlap_schedule"] is off


def test_a_variable_has_the_last_word_in_0510() -> None:
    args = EAGLE | {"disable-overlap-schedule": True}
    decided = table("0.5.10", "B200:8", args, env={"SGLANG_ENABLE_SPEC_V2": "true"})["disable_overlap_schedule"]
    assert (decided.value, decided.origin) == (False, Origin.SGLANG)
    kept = table("0.5.11", "B200:8", args)["disable_overlap_schedule"]
    assert (kept.value, kept.origin) == (True, Origin.PROFILE)


def test_unquantised_experts() -> None:
    assert values("0.5.11", "B200:8", repo="zai-org/GLM-5.1")["moe_runner_backend"] == "auto"
    assert values("0.5.12.post1", "B200:8", repo="zai-org/GLM-5.1")["moe_runner_backend"] == "flashinfer_trtllm"
    four_bits = values("0.5.16", "B200:8", repo="nvidia/GLM-5-NVFP4")
    assert four_bits["moe_runner_backend"] == "flashinfer_trtllm"
    assert four_bits["disable_shared_experts_fusion"] is True


def test_origins() -> None:
    found = table("0.5.16", "B200:8", {"kv-cache-dtype": "bfloat16"})
    assert found["kv_cache_dtype"] == Effective(value="bfloat16", origin=Origin.PROFILE)
    assert found["disable_radix_cache"] == Effective(value=False, origin=Origin.DEFAULT)
    pages = found["page_size"]
    assert (pages.value, pages.origin) == (64, Origin.SGLANG)
    assert pages.why
    assert pages.file == "sglang/srt/arg_groups/overrides.py"
    assert table("0.5.10", "B200:8")["page_size"].file == "sglang/srt/server_args.py"
    assert table("0.5.19", "B200:8")["page_size"].file == "sglang/srt/arg_groups/model_overrides/deepseek_v2.py"


@pytest.mark.parametrize(
    ("version", "gpu", "repo", "args", "reason"),
    [
        ("0.5.16", "B200:8", "someone/something", {}, "this model"),
        ("0.5.9", "B200:8", FP8, {}, "0.5.9"),
        ("0.5.16", "T4:8", FP8, {}, "T4"),
        ("0.5.16", "B200:8", FP8, {"moe-a2a-backend": "mooncake"}, "`moe-a2a-backend`"),
        ("0.5.16", "B200:8", FP8, {"enable-hisparse": True}, "`enable-hisparse`"),
    ],
)
def test_what_is_not_known_is_said(version: str, gpu: str, repo: str, args: dict[str, Any], reason: str) -> None:
    found = table(version, gpu, {"mem-fraction-static": 0.8, "kv-cache-dtype": "auto", **args}, repo=repo)
    assert found["mem_fraction_static"] == Effective(value=0.8, origin=Origin.PROFILE)
    for name in ("kv_cache_dtype", "attention_backend", "page_size"):
        assert not found[name].known
        assert found[name].value is None
        assert reason in (found[name].why or "")
    assert found["speculative_algorithm"] == Effective(value=None, origin=Origin.DEFAULT)


@pytest.mark.parametrize(
    ("gpu", "args", "name"),
    [
        ("B200:8", {}, "max_running_requests"),
        ("B200+:8", {}, "chunked_prefill_size"),
        ("B200+:8", {}, "mem_fraction_static"),
    ],
)
def test_a_single_value_can_be_unknown(gpu: str, args: dict[str, Any], name: str) -> None:
    found = table("0.5.16", gpu, args)
    assert not found[name].known
    assert found["page_size"].value == 64


def test_everything_that_is_decided_is_reported() -> None:
    assert {row.name for row in DECISIONS} <= set(REPORTED)
    assert len(set(REPORTED)) == len(REPORTED)


def test_the_options_named_in_the_table_exist() -> None:
    """A misspelt name would never be set, and so never be an obstacle."""
    fields = {option.dest for version in VERSIONS for option in catalog.load(version).options}
    raw = {name for names in RAW.values() for name in names}
    assert {*UNMODELLED, *memory.GRAPH_OPTIONS, *memory.NO_PIECEWISE, *raw} <= fields
    assert set(REPORTED) - fields == set(RAW) - fields


options = st.fixed_dictionaries(
    {},
    optional={
        "kv-cache-dtype": st.sampled_from(["auto", "bf16", "bfloat16", "fp8_e4m3"]),
        "moe-runner-backend": st.sampled_from(["auto", "triton", "flashinfer_trtllm"]),
        "speculative-algorithm": st.sampled_from(["EAGLE", "NEXTN"]),
        "speculative-num-steps": st.integers(1, 5),
        "speculative-eagle-topk": st.just(1),
        "max-running-requests": st.integers(1, 600),
        "chunked-prefill-size": st.integers(-1, 65536),
        "mem-fraction-static": st.floats(0.5, 0.95),
        "page-size": st.integers(1, 128),
        "disable-overlap-schedule": st.booleans(),
        "disable-radix-cache": st.booleans(),
    },
)


@given(st.sampled_from(VERSIONS), st.sampled_from(["B200:8", "H200:8", "H100:8"]), options)
def test_every_value_has_an_owner(version: str, gpu: str, args: dict[str, Any]) -> None:
    found = table(version, gpu, args)
    written = {key.replace("-", "_") for key in args}
    for name in REPORTED:
        value = found[name]
        if value.origin is Origin.PROFILE:
            assert name in written
        if value.origin is Origin.SGLANG:
            assert value.why
            assert bool(value.file) == value.known
        if not value.known:
            assert value.value is None
    for name in ("mem_fraction_static", "disable_radix_cache"):
        if name in written and args[name.replace("_", "-")]:
            assert (found[name].value, found[name].origin) == (args[name.replace("_", "-")], Origin.PROFILE)
