"""Whether a new version fits beside the one that serves is judged before anything is rented."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from support import copied_cloud, wait_until

from glmdeploy.operate.capacity import Capacity, Demand, demand, shortage
from glmdeploy.plan.autoscaler import deployment_digest
from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load

if TYPE_CHECKING:
    from pathlib import Path

PROFILE = "b200-eagle-bf16kv"
TWO = Demand(kind="B200", gpus=16, fresh=8)


def found(most: int | None, used: int = 8, *, spent: bool = False) -> Capacity:
    return Capacity(most=most, used=used, spent=spent)


@pytest.mark.parametrize(
    ("there", "most", "says"),
    [
        (None, None, None),
        (found(None), None, None),
        (found(16), 16, None),
        (found(15), None, "it needs 16 B200 at once, and the Environment may have 15"),
        (None, 15, "it needs 16 B200 at once, and the workspace may have 15 (workspace.max_gpus)"),
        (found(100), 15, "it needs 16 B200 at once, and the workspace may have 15 (workspace.max_gpus)"),
        (found(None, spent=True), None, "the Environment's limit of spending is reached: nothing new starts"),
    ],
)
def test_what_cannot_fit_whatever_is_waited_for(there: Capacity | None, most: int | None, says: str | None) -> None:
    lack = shortage(TWO, there, most)
    assert (lack.text if lack else None) == says
    assert lack is None or lack.certain


def test_what_may_fit_later() -> None:
    lack = shortage(TWO, found(20, used=14))
    assert lack is not None
    assert not lack.certain
    assert lack.text == "the Environment may have 20 GPUs at once and uses 14: 8 more do not fit now"


def test_what_the_workspace_may_have_is_of_no_deployment() -> None:
    plan, limited = (plan_of(load(PROFILE, sets=sets))[0] for sets in ((), ("workspace.max_gpus=8",)))
    assert (plan.max_gpus, limited.max_gpus) == (None, 8)
    assert plan.digest == limited.digest
    assert deployment_digest(plan.data()) == deployment_digest(limited.data())
    assert dataclasses.replace(plan, max_gpus=8) == limited
    assert demand(plan, 2) == Demand(kind="B200", gpus=24, fresh=8)


def test_a_cluster_needs_the_gpus_of_all_of_its_containers() -> None:
    plan = plan_of(load("h200-two-hosts-bf16"))[0]
    assert demand(plan, 0) == Demand(kind="H200", gpus=16, fresh=16)
    assert demand(plan, 2) == Demand(kind="H200", gpus=32, fresh=16), "two containers are one cluster that runs"


@pytest.mark.thorough
def test_an_environment_that_is_full(template: Path, tmp_path: Path) -> None:
    with copied_cloud(template, tmp_path, GLMDEPLOY_LOCAL_MAX_GPUS="8") as cloud:
        options = ("--target", "local", "--yes", "--no-preflight")
        cloud.run("local", "start")
        first = cloud.json("apply", PROFILE, *options, "--set", "server.min_containers=1")
        wait_until(lambda: len(cloud.containers("glm51-fp8")) > 0)
        change = ("--set", "server.min_containers=1", "--set", "server.max_inputs=19")
        planned = cloud.run("plan", PROFILE, "--target", "local", *change).stdout
        assert "! No room: it needs 16 B200 at once, and the Environment may have 8." in planned
        refused = cloud.run("apply", PROFILE, *options, *change, code=1)
        assert (
            "there is no room for a new version beside the one that serves: it needs 16 B200 at once" in refused.stderr
        )
        assert "--strategy recreate" in refused.stderr
        assert cloud.deployments("glm51-fp8") == first.get("version", 1)
        done = cloud.json("apply", PROFILE, *options, *change, "--strategy", "recreate")
        assert done["proven"]
