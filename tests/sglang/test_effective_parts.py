"""The parts of the effective values: names of RAW, the groups of attention, what a container sets, what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy import gpus
from glmdeploy.sglang import catalog, command, models
from glmdeploy.sglang.command import Setting
from glmdeploy.sglang.decisions import recorded
from glmdeploy.sglang.decisions.table import DECISIONS
from glmdeploy.sglang.effective import RAW, REPORTED, Basis, Effective, Origin, asked, effective, resolved

if TYPE_CHECKING:
    from collections.abc import Collection

EAGLE = {"speculative-algorithm": "EAGLE"}
GLM, LLAMA = "GlmMoeDsaForCausalLM", "LlamaForCausalLM"

UNDECIDED = {
    "dsa_prefill_backend": None,
    "dsa_decode_backend": None,
    "allreduce_fusion": "off",
    "prefill_cuda_graph": None,
    "cuda_graph_max_bs": None,
}
LATER = {"cuda_graph_backend_prefill": None}
"""Of releases from 0.5.14 on, where ``disable_cuda_graph`` is about prefill too."""


def table(
    args: dict[str, Any],
    architecture: str | None = LLAMA,
    version: str = "0.5.16",
    gpu: str = "H200:8",
    **more: Any,
) -> dict[str, Effective]:
    release = catalog.load(version)
    settings, problems = command.read(args, release)
    assert problems == []
    return effective(settings, release, gpus.parse(gpu), architecture, **more)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, {}),
        ({"nsa_prefill_backend": "fa3"}, {"dsa_prefill_backend": "fa3"}),
        ({"nsa_prefill_backend": None, "dsa_prefill_backend": "fa3"}, {"dsa_prefill_backend": "fa3"}),
        ({"nsa_decode_backend": "fa3"}, {"dsa_decode_backend": "fa3"}),
        ({"dsa_decode_backend": "fa3"}, {"dsa_decode_backend": "fa3"}),
        ({"enable_flashinfer_allreduce_fusion": True}, {"allreduce_fusion": "on"}),
        ({"enable_flashinfer_allreduce_fusion": False}, {"allreduce_fusion": "off"}),
        ({"flashinfer_allreduce_fusion_backend": None}, {"allreduce_fusion": "off"}),
        (
            {"flashinfer_allreduce_fusion_backend": None, "enable_flashinfer_allreduce_fusion": True},
            {"allreduce_fusion": "auto"},
        ),
        (
            {"flashinfer_allreduce_fusion_backend": "mnnvl", "enable_flashinfer_allreduce_fusion": True},
            {"allreduce_fusion": "mnnvl"},
        ),
        ({"cuda_graph_max_bs": 8}, {"cuda_graph_max_bs": 8}),
        ({"cuda_graph_max_bs_decode": 16, "cuda_graph_max_bs": 8}, {"cuda_graph_max_bs": 16}),
        (
            {"enforce_piecewise_cuda_graph": True, "disable_piecewise_cuda_graph": True},
            {"prefill_cuda_graph": "piecewise"},
        ),
        ({"enforce_piecewise_cuda_graph": True} | LATER, {"prefill_cuda_graph": "piecewise"}),
        ({"cuda_graph_backend_prefill": "full"}, {"prefill_cuda_graph": "full"}),
        ({"cuda_graph_backend_prefill": "tc_piecewise"}, {"prefill_cuda_graph": "piecewise"}),
        ({"disable_piecewise_cuda_graph": True}, {"prefill_cuda_graph": "disabled"}),
        ({"disable_piecewise_cuda_graph": False}, {}),
        ({"disable_prefill_cuda_graph": True} | LATER, {"prefill_cuda_graph": "disabled"}),
        ({"disable_cuda_graph": True}, {}),
        ({"disable_cuda_graph": True} | LATER, {"prefill_cuda_graph": "disabled"}),
        ({"cuda_graph_config": {"prefill": {"backend": "tc_piecewise"}}}, {"prefill_cuda_graph": "piecewise"}),
        (
            {"cuda_graph_config": {"prefill": {"backend": "full"}}, "disable_cuda_graph": True, **LATER},
            {"prefill_cuda_graph": "full"},
        ),
        ({"cuda_graph_config": {"decode": {}}, "cuda_graph_backend_prefill": "full"}, {"prefill_cuda_graph": "full"}),
        ({"cuda_graph_config": {"prefill": {}}}, {}),
        ({"cuda_graph_config": '{"prefill": {}}'}, {}),
    ],
)
def test_names_that_hold_for_all_releases(values: dict[str, Any], told: dict[str, Any]) -> None:
    assert asked(values) == UNDECIDED | told


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"disable_piecewise_cuda_graph": True, "cuda_graph_max_bs": 8}, ("disabled", 8)),
        ({"disable_piecewise_cuda_graph": False, "cuda_graph_max_bs": 8}, ("piecewise", 8)),
        (
            {
                "cuda_graph_max_bs_decode": 8,
                "cuda_graph_config": {"prefill": {"backend": "breakable"}, "decode": {"max_bs": 512}},
            },
            ("breakable", 512),
        ),
        (
            {"cuda_graph_config": {"prefill": {"backend": "tc_piecewise"}, "decode": {"max_bs": None}}},
            ("piecewise", None),
        ),
    ],
)
def test_what_a_resolution_made_of_them(values: dict[str, Any], told: tuple[str, int | None]) -> None:
    found = resolved(values | {"nsa_prefill_backend": "fa3"})
    assert (found["prefill_cuda_graph"], found["cuda_graph_max_bs"]) == told
    assert found["dsa_prefill_backend"] == "fa3"


@pytest.mark.parametrize(
    ("version", "args", "replicas", "groups"),
    [
        ("0.5.21", {"dp-size": 8, "enable-dp-attention": True}, 8, None),
        ("0.5.22", {"dp-size": 8, "enable-dp-attention": True}, 1, 8),
        ("0.5.23", {"dp-size": 2, "enable-dp-attention": True}, 1, 2),
        ("0.5.23", {"dp-size": 8}, 8, 1),
        ("0.5.23", {"attn-dp-size": 4}, 1, 4),
        # SGLang takes the option of its own, and leaves the other one alone.
        ("0.5.23", {"attn-dp-size": 4, "enable-dp-attention": True}, 1, 4),
        ("0.5.23", {"attn-dp-size": 4, "dp-size": 2, "enable-dp-attention": True}, 2, 4),
        ("0.5.23", {"enable-dp-attention": True}, 1, 1),
    ],
)
def test_groups_of_attention(version: str, args: dict[str, Any], replicas: int, groups: int | None) -> None:
    """``handle_deprecated_dp_attention`` (``sglang/srt/arg_groups/parallel_hook.py``, 0.5.22 and 0.5.23)."""
    found = table({"tp-size": 8, **args}, None, version)
    assert found["dp_size"].value == replicas
    assert (found["attn_dp_size"].value if "attn_dp_size" in found else None) == groups
    if replicas != args.get("dp-size", 1):
        assert found["dp_size"] == Effective(
            value=1,
            origin=Origin.SGLANG,
            why="data-parallel attention has its groups in `attn-dp-size`, and `dp-size` means replicas",
            file="sglang/srt/arg_groups/parallel_hook.py",
            basis=Basis.RECORDED,
        )


def test_what_a_container_sets_is_its_own() -> None:
    own = {"host": "0.0.0.0"}
    assert table({}, own=own)["host"] == Effective(value="0.0.0.0", origin=Origin.CONTAINER)
    release = catalog.load("0.5.16")
    option = next(each for each in release.options if each.dest == "host")
    written = {"host": Setting(option=option, key="host", value="0.0.0.0", words=())}
    found = effective(written, release, gpus.parse("H200:8"), LLAMA, own=own)
    assert found["host"] == Effective(value="0.0.0.0", origin=Origin.PROFILE)
    assert table({}, own={"host": "127.0.0.1"})["host"] == Effective(value="127.0.0.1", origin=Origin.PROFILE)
    assert table({})["host"].origin is Origin.DEFAULT


def test_a_name_is_the_profiles_where_its_option_is() -> None:
    found = table({"cuda-graph-max-bs-decode": 64, "tp-size": 8})
    assert found["cuda_graph_max_bs"] == Effective(value=64, origin=Origin.PROFILE)
    assert found["tp_size"] == Effective(value=8, origin=Origin.PROFILE)
    assert found["dp_size"] == Effective(value=1, origin=Origin.DEFAULT)


def test_the_checkpoints_configuration_tells_how_it_is_quantised() -> None:
    config = {"quantization_config": {"quant_method": "fp8"}}
    assert table({}, GLM, gpu="B200:8", config=config)["moe_runner_backend"].value == "flashinfer_trtllm"
    # What is known beside it goes first.
    assert table({}, GLM, gpu="B200:8", config=config, quantization="awq")["moe_runner_backend"].value == "auto"


def test_what_is_not_known_is_left_open_where_sglang_decides() -> None:
    found = table({"page-size": 16, "kv-cache-dtype": "auto"}, "OtherForCausalLM")
    why = "SGLang decides, and what it decides for OtherForCausalLM is not known here"
    left = Effective(value=None, origin=Origin.SGLANG, why=why, known=False)
    assert found["page_size"] == Effective(value=16, origin=Origin.PROFILE)
    assert {found[name] == left for name in ("kv_cache_dtype", "attention_backend", "sampling_backend", "dtype")} == {
        True
    }
    assert found["speculative_algorithm"] == Effective(value=None, origin=Origin.DEFAULT)
    assert {name for name, one in found.items() if one == left} <= set(recorded.names())
    # A variable is read, but of an unknown model's decisions nothing follows from it.
    assert table({"page-size": 16}, None)["attention_backend"].why == why.replace("OtherForCausalLM", "this model")


def test_where_no_recording_holds_the_rows_tell_what_they_do() -> None:
    """With `speculative-adaptive` no recording holds; the rows do not ask for it."""
    found = table({"tp-size": 8, "speculative-adaptive": True}, GLM, "0.5.23", quantization="fp8")
    assert found["page_size"].basis is Basis.DERIVED
    assert found["attention_backend"].value == "dsa"
    assert found["sampling_backend"] == Effective(
        value=None,
        origin=Origin.SGLANG,
        why="SGLang decides, and what it decides with `speculative-adaptive` is not known here",
        known=False,
    )
    rows = {row.name for row in DECISIONS}
    assert not {name for name in REPORTED if name not in rows and not found[name].known}


def test_recordings_confirm_what_the_rows_say() -> None:
    found = table({"tp-size": 8}, GLM, "0.5.23", "B200:8", quantization="fp8")
    assert found["page_size"].basis is Basis.RECORDED
    assert found["page_size"].why == "sparse attention (DSA) has pages of 64 tokens, whatever is asked for"
    assert found["max_running_requests"] == Effective(
        value=None,
        origin=Origin.SGLANG,
        why="worked out at start from the memory that is left for the KV cache",
        known=False,
        basis=Basis.AT_START,
    )
    # Beside them: what only recordings tell.
    assert found["sampling_backend"].origin is Origin.SGLANG
    assert found["sampling_backend"].known


ROWS_ALONE = {"tp-size": 8, "speculative-adaptive": True}
"""No recording has `speculative-adaptive`, and the rows do not ask for it."""


def test_rows_that_no_recording_stands_beside() -> None:
    found = table(ROWS_ALONE, GLM, "0.5.23", quantization="fp8")
    assert found["max_running_requests"].basis is Basis.AT_START
    assert found["dsa_decode_backend"] == Effective(
        value="fa3",
        origin=Origin.SGLANG,
        why="on Hopper flashmla_kv for an FP8 KV cache, fa3 for BF16",
        file="sglang/srt/arg_groups/overrides.py",
        basis=Basis.DERIVED,
    )
    found = table(ROWS_ALONE, GLM, "0.5.23", quantization="awq", gpu="B200:8")
    assert found["moe_runner_backend"] == Effective(
        value=None, origin=Origin.SGLANG, why="depends on how the checkpoint is quantised", known=False
    )


def test_rows_cover_eagle_alone() -> None:
    args = ROWS_ALONE | {"speculative-algorithm": "NGRAM", "speculative-num-draft-tokens": 16}
    found = table(args, GLM, "0.5.23", quantization="fp8")
    left = Effective(value=None, origin=Origin.SGLANG, why="only EAGLE (NEXTN) is covered", known=False)
    names = ("max_running_requests", "disable_overlap_schedule", "speculative_num_steps", "speculative_eagle_topk")
    assert [found[name] for name in names] == [left] * 4
    assert found["speculative_num_draft_tokens"] == Effective(value=16, origin=Origin.PROFILE)


def test_rows_that_hang_on_what_is_refused() -> None:
    found = refused({"speculative-adaptive": True}, ["kv_cache_dtype"], version="0.5.23")
    assert found["dsa_prefill_backend"] == found["dsa_decode_backend"] == lost("`kv-cache-dtype`")
    assert found["page_size"].basis is found["chunked_prefill_size"].basis is Basis.DERIVED
    assert found["max_running_requests"].basis is Basis.AT_START
    why = "SGLang decides, and what it decides with `speculative-adaptive` is not known here"
    assert found["sampling_backend"] == Effective(value=None, origin=Origin.SGLANG, why=why, known=False)
    assert found["disable_radix_cache"] == Effective(value=False, origin=Origin.DEFAULT)
    # The static fraction hangs on it by way of the graphs of prefill alone.
    found = refused({"speculative-adaptive": True}, ["enable_lora"], version="0.5.13.post1")
    assert found["prefill_cuda_graph"] == found["mem_fraction_static"] == lost("`enable-lora`")
    assert found["page_size"].value == 64


def test_recordings_say_more_of_what_hangs_on_what_is_refused() -> None:
    """The rows have pages of 64 whatever is asked for, and recordings have others with some backends of attention."""
    found = refused({}, ["attention_backend"], version="0.5.23")
    assert found["page_size"] == lost("`attention-backend`")
    assert found["kv_cache_dtype"].basis is Basis.DERIVED


def test_recordings_tell_what_rows_leave_open_beside_something_refused() -> None:
    more: dict[str, Any] = {"quantization": "awq", "refused": ["kv_cache_dtype"]}
    assert table({"tp-size": 8}, GLM, gpu="B200:8", **more)["moe_runner_backend"].value == "auto"
    found = table(ROWS_ALONE, GLM, gpu="B200:8", **more)
    assert not found["moe_runner_backend"].known


def test_recordings_tell_what_the_real_one_was_asked() -> None:
    found = table({"tp-size": 8}, LLAMA, "0.5.23", config={"architectures": [LLAMA]})
    assert found["max_running_requests"].basis is Basis.AT_START
    assert found["attention_backend"] == Effective(
        value="fa3",
        origin=Origin.SGLANG,
        why=found["attention_backend"].why,
        file="sglang/srt/arg_groups/attention_hook.py",
        basis=Basis.RECORDED,
    )
    found = table({"tp-size": 8}, LLAMA, "0.5.23", "H100:8", config={"architectures": [LLAMA]})
    assert (found["attention_backend"].value, found["attention_backend"].basis) == ("fa3", Basis.DERIVED)
    found = table({"tp-size": 8, "max-running-requests": 16}, LLAMA, "0.5.23")
    assert found["max_running_requests"] == Effective(value=16, origin=Origin.PROFILE)
    found = table({"tp-size": 8, **EAGLE}, LLAMA, "0.5.23")
    assert (found["max_running_requests"].value, found["max_running_requests"].known) == (48, True)


def refused(
    args: dict[str, Any], names: Collection[str], architecture: str | None = GLM, *, settled: bool = True, **more: Any
) -> dict[str, Effective]:
    return table({"tp-size": 8, **args}, architecture, refused=names, settled=settled, quantization="fp8", **more)


def lost(what: str) -> Effective:
    why = f"it depends on {what}, which is refused"
    return Effective(value=None, origin=Origin.SGLANG, why=why, known=False, basis=Basis.REFUSED)


def test_what_depends_on_a_refused_value_is_not_known() -> None:
    found = refused({}, ["kv_cache_dtype"])
    gone = lost("`kv-cache-dtype`")
    assert found["kv_cache_dtype"] == found["dsa_prefill_backend"] == found["dsa_decode_backend"] == gone
    assert (found["page_size"].value, found["page_size"].basis) == (64, Basis.DERIVED)
    assert found["chunked_prefill_size"].value == 8192
    assert found["tp_size"] == Effective(value=8, origin=Origin.PROFILE)


def test_all_that_are_refused_are_named() -> None:
    found = refused({}, ["kv_cache_dtype", "chunked_prefill_size"])
    assert (
        found["kv_cache_dtype"] == found["mem_fraction_static"] == lost("`chunked-prefill-size` and `kv-cache-dtype`")
    )


def test_a_name_of_raw_goes_with_its_option() -> None:
    found = refused({}, ["disable_prefill_cuda_graph"])
    gone = lost("`disable-prefill-cuda-graph`")
    assert found["prefill_cuda_graph"] == found["mem_fraction_static"] == gone
    assert found["cuda_graph_max_bs"] != gone
    assert set(RAW) - {"prefill_cuda_graph"} <= {name for name, one in found.items() if one != gone}


@pytest.mark.parametrize("architecture", [GLM, LLAMA, "OtherForCausalLM", None])
def test_where_the_machine_is_refused_nothing_is_decided(architecture: str | None) -> None:
    found = refused({"page-size": 16}, [], architecture, settled=False)
    gone = lost("a value")
    assert found["page_size"] == Effective(value=16, origin=Origin.PROFILE)
    assert found["attention_backend"] == found["mem_fraction_static"] == found["kv_cache_dtype"] == gone
    assert found["tp_size"] == Effective(value=8, origin=Origin.PROFILE)
    assert found["speculative_algorithm"] == Effective(value=None, origin=Origin.DEFAULT)


@pytest.mark.parametrize("architecture", [LLAMA, GLM])
def test_an_option_that_decides_whether_anything_is_known(architecture: str) -> None:
    """`encoder_only` is among what must not be set: refused, nobody knows whether it is."""
    found = refused({}, ["encoder_only"], architecture)
    assert found["attention_backend"] == found["encoder_only"] == lost("`encoder-only`")


def test_how_many_machines_decides_fusion_alone() -> None:
    found = refused({"tp-size": 8}, ["nnodes"], GLM)
    assert found["allreduce_fusion"] == found["nnodes"] == lost("`nnodes`")
    assert found["attention_backend"].known


def test_recordings_tell_what_does_not_depend_on_it() -> None:
    found = refused({}, ["kv_cache_dtype"], LLAMA, gpu="H200:8")
    assert found["kv_cache_dtype"] == lost("`kv-cache-dtype`")
    assert found["chunked_prefill_size"].value == 8192
    assert found["sampling_backend"].value == "flashinfer"
    # A backend of attention decides whether prefill has graphs.
    assert found["attention_backend"] == found["mem_fraction_static"] == lost("`kv-cache-dtype`")
    found = refused({}, ["chunked_prefill_size"], LLAMA, gpu="H200:8")
    assert found["mem_fraction_static"] == found["chunked_prefill_size"] == lost("`chunked-prefill-size`")


def test_of_a_model_that_nobody_recorded() -> None:
    found = refused({"page-size": 16}, ["kv_cache_dtype"], "OtherForCausalLM")
    assert found["kv_cache_dtype"] == lost("`kv-cache-dtype`")
    why = "SGLang decides, and what it decides for OtherForCausalLM is not known here"
    left = Effective(value=None, origin=Origin.SGLANG, why=why, known=False)
    assert found["attention_backend"] == found["sampling_backend"] == left
    assert found["page_size"] == Effective(value=16, origin=Origin.PROFILE)


def test_groups_of_attention_beside_something_refused() -> None:
    found = refused({"dp-size": 8, "enable-dp-attention": True}, ["kv_cache_dtype"], LLAMA, version="0.5.23")
    assert (found["dp_size"].value, found["attn_dp_size"].value) == (1, 8)
    found = refused({"dp-size": 8, "enable-dp-attention": True}, ["dp_size"], LLAMA, version="0.5.23")
    assert found["dp_size"] == lost("`dp-size`")


def test_glm_is_what_is_covered() -> None:
    assert models.architecture("zai-org/GLM-5.1-FP8") == GLM
