"""What a change has run again, and the value that says why: nothing for scheduling, memory or scaling."""

from __future__ import annotations

from typing import Any

import pytest

from glmdeploy.plan.impact import impact
from glmdeploy.plan.make import make
from glmdeploy.profile.text.load import load
from glmdeploy.rules.check import check

COMMITS = ("0123456789abcdef0123456789abcdef01234567", "89abcdef0123456789abcdef0123456789abcdef")


def data(*sets: str, commit: str = COMMITS[0]) -> dict[str, Any]:
    """A plan's data, also of a profile that a guard objects to."""
    facts = check(load("b200-eagle-bf16kv", sets=sets)).facts
    assert facts is not None
    return make(facts).at(commit).data()


def again(old: dict[str, Any], new: dict[str, Any]) -> dict[str, list[tuple[Any, ...]]]:
    found = impact(old, new)
    return {
        name: [(change.section, change.name, change.old, change.new) for change in changes]
        for name, changes in (("download", found.download), ("compile", found.compile))
        if changes
    }


@pytest.mark.parametrize(
    "sets",
    [
        ("sglang.args.max-running-requests=40",),
        ("sglang.args.mem-fraction-static=0.8", "sglang.args.max-total-tokens=131072"),
        ("server.max_containers=5", "server.scaledown_window=30m", "server.max_inputs=8"),
        ("compile.timeout=2h", "app=other", "model.served_name=other"),
        ("compile=null",),
    ],
)
def test_nothing_runs_again(sets: tuple[str, ...]) -> None:
    assert again(data(), data(*sets)) == {}


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (("sglang.version=0.5.12.post1",), {"compile": [("sglang", "version", "0.5.11", "0.5.12.post1")]}),
        (("sglang.image=a/b:c",), {"compile": [("sglang", "image", "lmsysorg/sglang:v0.5.11-cu130", "a/b:c")]}),
        (("gpu=B200:4",), {"compile": [("app", "gpu", "B200:8", "B200:4")]}),
        (("sglang.args.tp=4",), {"compile": [("sglang", "--tp-size", "8", "4")]}),
        (("sglang.env.SOMETHING=1",), {"compile": [("environment", "SOMETHING", None, "1")]}),
        (
            ("volumes.kernels.name=other",),
            {"compile": [("kernels", "name", "glm51-deepgemm-cache", "other")]},
        ),
        (
            ("volumes.weights.name=other",),
            {"download": [("weights", "name", "glm51-model-weights", "other")]},
        ),
    ],
)
def test_what_runs_again_and_why(sets: tuple[str, ...], expected: dict[str, list[tuple[Any, ...]]]) -> None:
    assert again(data(), data(*sets)) == expected


def test_a_plan_without_a_commit_is_compared_by_its_revision() -> None:
    """As plans of before commits were looked up are, on either side."""
    bare = data()
    del bare["model"]["commit"]
    assert again(bare, data()) == {}
    assert again(data(), bare) == {}
    other = {**bare, "model": {**bare["model"], "revision": "other"}}
    told = ("model", "revision", "other", bare["model"]["revision"])
    assert again(other, data())["download"] == [told]
    assert again(other, bare)["download"] == [told]


def test_types_of_gpus_count_and_not_their_order() -> None:
    old = data()
    [key] = old["compile"]["keys"].values()
    several = [
        {**old, "compile": {**old["compile"], "keys": dict.fromkeys(names, key)}} for names in ("AB", "BA", "ABC")
    ]
    assert again(several[0], several[1]) == {}
    assert again(several[2], several[0]) == {}
    assert again(several[0], several[2]) == {"compile": [("app", "gpu", "A, B", "A, B, C")]}


def test_another_commit_runs_both() -> None:
    assert again(data(), data(commit=COMMITS[1])) == {
        "download": [("model", "commit", *COMMITS)],
        "compile": [("model", "revision", *COMMITS)],
    }


def test_a_branch_and_its_commit_are_the_same() -> None:
    assert again(data(), data(f"model.revision={COMMITS[0]}")) == {}


def test_a_stage_that_was_not_there() -> None:
    assert again(data("compile=null"), data()) == {"compile": [("compile", "stage", None, "compile")]}


def test_a_plan_of_an_earlier_release_that_did_not_say_what_decides() -> None:
    old = data()
    del old["compile"]["decides"], old["compile"]["keys"]
    old["compile"]["key"] = "0123456789abcdef"
    assert again(old, data("sglang.args.max-running-requests=40")) == {
        "compile": [("glmdeploy", "key of the kernels", "an earlier release's", "this one's")]
    }


def test_one_gpu_more_of_several() -> None:
    old, new = data(), data()
    new["compile"]["keys"]["H200:8"] = "0123456789abcdef"
    assert again(old, new) == {"compile": [("app", "gpu", "B200:8", "B200:8, H200:8")]}
    assert again(new, old) == {}
