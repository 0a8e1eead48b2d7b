"""Facts that follow from a profile: limits, releases, and what a checkpoint's own configuration adds."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged import facts_of

from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load
from glmdeploy.rules.container import SETTLE
from glmdeploy.rules.gaps import Gap, gaps
from glmdeploy.sglang import catalog

ENDS = st.none() | st.sampled_from(catalog.versions())


@pytest.mark.parametrize(("limit", "seconds"), [("1h", 3540), ("2m", 60), ("90", 45), ("60", 30)])
def test_the_compiler_gives_up_before_its_stage_ends(limit: str, seconds: int) -> None:
    assert facts_of(f"compile.timeout={limit}").compiler_gives_up_after == seconds


def test_the_plan_has_the_facts_limits_and_words() -> None:
    facts, (plan, _) = facts_of(), plan_of(load("b200-eagle-bf16kv"))
    assert plan.compile is not None
    assert plan.compile.command[-1] == str(facts.compiler_gives_up_after)
    assert plan.server.command == facts.command
    assert plan.model.path == facts.model_path
    assert facts_of("compile=null").compiler_gives_up_after is None


def test_the_container_waits_as_long_as_the_rules_say() -> None:
    plan, _ = plan_of(load("b200-eagle-bf16kv", sets=["server.startup_timeout=10m", "compile.timeout=1h"]))
    assert plan.server.gives_up_after == 600 - SETTLE
    assert plan.compile is not None
    assert plan.compile.gives_up_after == 3600 - SETTLE
    assert facts_of("server.startup_timeout=10m").ready_within == 600 - SETTLE


@given(st.sampled_from(catalog.versions()), ENDS, ENDS)
def test_releases_between(version: str, since: str | None, until: str | None) -> None:
    facts = dataclasses.replace(facts_of(), catalog=catalog.load(version))
    known = catalog.versions()
    first = known.index(since) if since else 0
    last = known.index(until) if until else len(known) - 1
    assert facts.between(since, until) is (first <= known.index(version) <= last)


def test_a_checkpoint_that_its_configuration_names() -> None:
    named = facts_of("sglang.args.kv-cache-dtype=null", profile="b200-nospec-bf16kv")
    other = facts_of("model.repo=acme/other", "sglang.args.kv-cache-dtype=null", profile="b200-nospec-bf16kv")
    assert not other.effective["kv_cache_dtype"].known
    assert named.architecture is not None
    assert named.quantization is not None
    recognised = other.recognised(named.architecture, named.quantization)
    assert {**recognised.effective, "model_path": None} == {**named.effective, "model_path": None}
    assert not other.effective["kv_cache_dtype"].known, "the other facts are as they were"


@pytest.mark.parametrize(
    ("sets", "groups"),
    [
        ((), 1),
        (("sglang.args.dp=2",), 1),
        (("sglang.args.dp=0", "sglang.args.enable-dp-attention=true", "model.repo=acme/other"), 1),
        (("sglang.args.dp=2", "sglang.args.enable-dp-attention=true"), 2),
        (("sglang.args.dp=8", "sglang.args.enable-dp-attention=true"), 8),
    ],
)
def test_groups_of_attention(sets: tuple[str, ...], groups: int) -> None:
    assert facts_of(*sets).attention_groups == groups


@pytest.mark.parametrize("also", [(), ("sglang.args.dp=4", "sglang.args.enable-dp-attention=true")])
def test_groups_of_attention_by_their_own_option(also: tuple[str, ...]) -> None:
    assert facts_of("sglang.args.attn-dp-size=2", *also, profile="b200-eagle-bf16kv-0.5.23").attention_groups == 2


def test_an_option_that_holds_a_secret_is_withheld_and_one_that_is_wrong_is_not() -> None:
    assert facts_of("sglang.args.api-key=sk-1234567890", "sglang.args.nope=1").withheld == {"api_key": "api-key"}


def test_what_is_refused_leaves_memory_open_although_something_is_counted() -> None:
    facts = facts_of("sglang.args.max-total-tokens=many")
    with gaps() as met:
        assert facts.memory is not None
    assert met == {Gap.REFUSED, Gap.MEMORY}


@pytest.mark.parametrize(
    ("sets", "read_only"),
    [
        ((), True),
        (("volumes.weights.read_only=false",), False),
        (("sglang.args.load-format=presharded",), False),
        (("sglang.args.load-format=presharded", "volumes.weights.read_only=true"), True),
    ],
)
def test_weights_are_mounted_read_only_unless_sglang_writes_there(sets: tuple[str, ...], *, read_only: bool) -> None:
    assert facts_of(*sets, profile="b200-eagle-bf16kv-0.5.23").weights_read_only is read_only


def test_the_memory_of_a_gpu_is_missed_where_there_is_one() -> None:
    for sets, profile, missed in (
        ((), "local-cpu", set()),
        (("model.repo=acme/other",), "b200-eagle-bf16kv", {Gap.MEMORY}),
    ):
        facts = facts_of(*sets, profile=profile)
        with gaps() as met:
            assert facts.memory is None
        assert met == missed


@pytest.mark.parametrize(("sets", "compiled"), [((), True), (("compile=null",), False)])
def test_a_start_compiles_what_no_stage_has(sets: tuple[str, ...], *, compiled: bool) -> None:
    facts = facts_of(*sets)
    assert facts.cold_start() == facts.cold_start(compiled=compiled)
    assert facts.cold_start() != facts.cold_start(compiled=not compiled)


@pytest.mark.parametrize(
    ("sets", "serves"),
    [
        ((), True),
        (("sglang.args.fp8-gemm-backend=triton",), False),
        (("sglang.args.fp8-gemm-backend=triton", "sglang.args.moe-runner-backend=deep_gemm"), True),
    ],
)
def test_deep_gemm_multiplies_layers_or_experts(sets: tuple[str, ...], *, serves: bool) -> None:
    assert facts_of(*sets, profile="h200-eagle-bf16kv").serves_with_deep_gemm is serves


@pytest.mark.parametrize(
    ("sets", "adapts"),
    [
        ((), False),
        (("sglang.args.lora-paths=[a=/model-cache/a]",), True),
        (("sglang.args.enable-lora=true",), True),
        # A switch that is off is a word less on the command line: SGLang sees the paths alone.
        (("sglang.args.enable-lora=false", "sglang.args.lora-paths=[a=/model-cache/a]"), True),
    ],
)
def test_paths_of_adapters_switch_them_on(sets: tuple[str, ...], *, adapts: bool) -> None:
    assert facts_of(*sets).adapts is adapts


def test_the_models_own_tokenizer_is_no_other() -> None:
    own = facts_of("sglang.args.tokenizer-path=zai-org/GLM-5.1-FP8").settings
    assert "tokenizer_path" not in own
    assert own.keys() == facts_of().settings.keys()
    assert "tokenizer_path" in facts_of("sglang.args.tokenizer-path=acme/other").settings


def test_an_option_that_is_left_out_would_stand_under_its_own_name() -> None:
    assert facts_of().path("watchdog_timeout") == ("sglang", "args", "watchdog-timeout")
    assert facts_of().path("tp_size") == ("sglang", "args", "tp")
    assert facts_of().path("no_such_option") == ("sglang", "args")
