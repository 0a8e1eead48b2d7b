"""What decides the kernels, and no more, is in their key: else GPUs are rented for nothing, or kernels are stale."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.errors import ProfileError
from glmdeploy.plan import kernels
from glmdeploy.plan.make import make, plan_of
from glmdeploy.profile.text.load import load
from glmdeploy.rules.check import check
from glmdeploy.sglang import catalog, indifferent, releases
from glmdeploy.sglang.command import NOT_FOR_THE_COMPILER, read

if TYPE_CHECKING:
    from glmdeploy.plan.plan import Compile, Plan

PROFILE = "b200-eagle-bf16kv"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def plan(*sets: str, profile: str = PROFILE) -> Plan:
    return plan_of(load(profile, sets=sets))[0]


def stage(*sets: str) -> Compile:
    """The stage, also of a profile that a guard objects to: the key must not hang on what they know."""
    facts = check(load(PROFILE, sets=sets)).facts
    assert facts is not None
    found = make(facts).compile
    assert found is not None
    return found


def key(*sets: str) -> str:
    (found,) = stage(*sets).keys.values()
    return found


SAME = (
    "sglang.args.max-running-requests=40",
    "sglang.args.max-prefill-tokens=16384",
    "sglang.args.max-total-tokens=131072",
    "sglang.args.mem-fraction-static=0.85",
    "sglang.args.schedule-policy=fcfs",
    "sglang.args.watchdog-timeout=900",
    "sglang.args.log-requests=true",
    "sglang.args.enable-metrics=null",
    "sglang.args.weight-loader-prefetch-checkpoints=true",
    "sglang.args.load-format=fastsafetensors",
    "sglang.args.cuda-graph-max-bs=32",
    "sglang.args.reasoning-parser=null",
    'sglang.args.model-loader-extra-config={"num_threads": 16}',
    'server.env.HF_HUB_OFFLINE="0"',
    "model.served_name=other",
    "server.max_containers=1",
    "server.scaledown_window=30m",
    "server.max_inputs=8",
    "compile.timeout=2h",
    "volumes.weights.mount=/weights",
    "app=other",
    "secrets.api_key.name=other",
)


@given(sets=st.sets(st.sampled_from(SAME)))
@settings(max_examples=examples(25))
def test_what_decides_nothing_never_changes_the_key(sets: set[str]) -> None:
    assert key(*sorted(sets)) == key()


OTHER = (
    ("sglang.args.tp=4",),
    ("sglang.args.ep=8",),
    ("sglang.args.chunked-prefill-size=8192",),
    ("sglang.args.nsa-decode-backend=flashmla_kv",),
    ("sglang.args.moe-runner-backend=null",),
    ("sglang.args.page-size=64",),
    ("sglang.args.speculative-num-draft-tokens=6", "sglang.args.speculative-num-steps=5"),
    ("sglang.args.context-length=65536",),
    ("sglang.args.load-format=dummy",),
    ('sglang.args.model-loader-extra-config={"tp_size": 8}',),
    ('sglang.env.SGLANG_JIT_DEEPGEMM_FAST_WARMUP="1"',),
    ('server.env.SGLANG_JIT_DEEPGEMM_FAST_WARMUP="1"',),
    ('sglang.env.SOMETHING_NOBODY_KNOWS="1"',),
    ("sglang.env.SGLANG_DG_CACHE_DIR=/dg-cache/other",),
    ("sglang.image=lmsysorg/sglang:v0.5.11-cu129",),
    ("model.revision=abc",),
    ("gpu=B200:4", "sglang.args.tp=4"),
    ("sglang.version=0.5.12.post1",),
)


@pytest.mark.parametrize("sets", OTHER, ids=" ".join)
@pytest.mark.parametrize("beside", [(), SAME[:6]], ids=["alone", "with others"])
def test_what_decides_the_kernels_changes_the_key(sets: tuple[str, ...], beside: tuple[str, ...]) -> None:
    assert key(*beside, *sets) != key()


OPTIONS = [option for option in catalog.load("0.5.23").options if option.action != "removed"]


@given(data=st.data())
@settings(max_examples=examples(200))
def test_an_option_counts_unless_it_is_known_not_to(data: st.DataObject) -> None:
    """Of any option of a release: one that is not in the list is among what decides, one of the list never is."""
    option = data.draw(st.sampled_from(OPTIONS))
    value = data.draw(st.just(value=True) if not option.takes_value else st.sampled_from(values(option)))
    found, problems = read({option.canonical.removeprefix("--"): value}, catalog.load("0.5.23"))
    assume(not problems)
    setting = found[option.dest]
    deciding = kernels.decides({}, {}, found)
    assert (option.canonical in deciding) == (not indifferent.option(option.dest, setting.value))
    assert list(deciding.values()) == [kernels._spelled(option.canonical, setting.words)] * len(deciding)


def values(option: Any) -> list[Any]:
    own = ["fastsafetensors", "dummy", '{"num_threads": 4}', {"enable_multithread_load": True}, {"other": 1}]
    return [*(option.choices or ()), *own, "x", 1, 0.5, ["x"]]


def test_every_name_in_the_list_is_an_option_or_variable_of_some_release() -> None:
    every = [catalog.load(version) for version in catalog.versions()]
    known = {option.dest for one in every for option in one.options}
    assert {name for entry in indifferent.OPTIONS for name in entry.names} <= known
    assert indifferent.VALUES.keys() | indifferent.KEYS.keys() <= known
    listed = {name for entry in indifferent.VARIABLES for name in entry.names if name.startswith("SGLANG_")}
    assert all(any(releases.is_read(name, one) for one in every) for name in listed)


def test_what_the_compiler_does_not_get_decides_nothing() -> None:
    """It could not: but then a plan would say that it runs again for an option that it does not see."""
    assert all(indifferent.option(dest, value=True) for dest in NOT_FOR_THE_COMPILER)


def test_the_commit_decides_in_place_of_the_branch() -> None:
    at = plan().at(COMMIT).compile
    assert at is not None
    assert at.keys == stage(f"model.revision={COMMIT}").keys
    assert at.keys != stage().keys


def test_a_key_for_each_gpu() -> None:
    deciding = {"--tp-size": "8"}
    found = kernels.keys(deciding, ["B200:8", "H200:8"])
    assert list(found) == ["B200:8", "H200:8"]
    assert len(set(found.values())) == 2
    assert kernels.keys(deciding, ["H200:8"])["H200:8"] == found["H200:8"]


def test_the_plan_shows_what_decides() -> None:
    data = json.loads(plan().canonical())["compile"]
    assert data["keys"] == {"B200:8": key()}
    assert data["decides"]["--tp-size"] == "8"
    assert data["decides"]["--trust-remote-code"] == "true"
    assert data["decides"]["SGLANG_DG_CACHE_DIR"] == "/dg-cache"
    assert "--max-running-requests" not in data["decides"]


def test_a_profile_without_the_stage_has_no_key() -> None:
    assert plan("compile=null").compile is None
    with pytest.raises(ProfileError):
        plan("volumes.kernels=null")
