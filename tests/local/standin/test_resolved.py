"""What the stand-in says it runs with: what each shipped profile's plan expects, and what is changed behind it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy.local.standin.resolved import BEHIND_VARIABLE, GPU_VARIABLE, server_info
from glmdeploy.local.standin.settings import Checkpoint, settings
from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load
from glmdeploy.resources import profiles_dir
from glmdeploy.runtime.comparison import CONTEXT, differences
from glmdeploy.sglang import catalog
from glmdeploy.sglang.command import SERVER
from glmdeploy.sglang.parser import build_parser

if TYPE_CHECKING:
    from glmdeploy.local.standin.settings import Settings
    from glmdeploy.plan.plan import Plan

PROFILES = sorted(file.stem for file in profiles_dir().glob("*.yaml"))


def planned(name: str) -> Plan:
    return plan_of(load(name))[0]


def loaded(plan: Plan) -> Settings:
    parser = build_parser(catalog.load(plan.sglang), prog="launch_server.py")
    arguments = parser.parse_args([*plan.server.command[len(SERVER) :], "--api-key", "sk-secret"])
    checkpoint = Checkpoint(config={"max_position_embeddings": 202752}, tensors=0)
    return settings(arguments, checkpoint, plan.sglang, {}, "a test")


def told(plan: Plan, **variables: str) -> dict[str, Any]:
    return server_info(loaded(plan), {**plan.server.image.env, **plan.server.env, **variables}, 3)


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_runs_as_planned(name: str) -> None:
    plan = planned(name)
    info = told(plan, **{GPU_VARIABLE: plan.gpu})
    cards = [{"max_model_len": plan.server.expected.get(CONTEXT)}]
    assert differences(plan.server.expected, [], info, cards) == []
    assert "sk-secret" not in json.dumps(info)
    assert info["internal_states"][0]["num_running_reqs"] == 3


def test_what_is_changed_behind_the_plan() -> None:
    plan = planned("b200-eagle-bf16kv")
    changed = {BEHIND_VARIABLE: json.dumps({"tp_size": 4, "max_total_tokens": 64})}
    found = differences(plan.server.expected, [], told(plan, **{GPU_VARIABLE: plan.gpu}, **changed), [])
    assert found == ["tp_size is 4, the plan says 8", "max_total_num_tokens is 64, the plan says 65536"]


def test_without_a_gpu_nothing_is_resolved() -> None:
    state = told(planned("b200-nospec-bf16kv"))["internal_states"][0]
    assert state["chunked_prefill_size"] is None
