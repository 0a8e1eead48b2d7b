"""One whole life of a deployment, from its creation to its end, while clients ask it all the time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import modal
import pytest
from modal_proto import api_pb2
from real_engine import engine_interpreter
from support import Shell, call, connect, own_cloud
from traffic import traffic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from traffic import Traffic

PROFILE, APP, MODEL = "local-cpu", "glm-local-cpu", "glm-tiny"
LOCAL = ("--target", "local")
QUICK = (*LOCAL, "--yes", "--no-preflight")
NEVER_STARTS = "sglang.env.GLMDEPLOY_STANDIN_FAIL_START='1'"
GARBAGE = "sglang.env.GLMDEPLOY_STANDIN_GARBAGE='<html>'"
"""Rehearsed by the stand-in, also where the real engine is installed."""
SLOWER = 1.0
"""Seconds by which a rollout may slow a request down."""


@pytest.fixture(params=["stand-in", "real"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shell]:
    extra = {}
    if request.param == "real":
        if not request.config.getoption("--engine"):
            pytest.skip("needs --engine")
        extra = {"GLMDEPLOY_ENGINE": str(engine_interpreter().parents[2])}
    with own_cloud(tmp_path, **extra) as one:
        yield one


def plan(shell: Shell, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = shell.json("plan", PROFILE, *LOCAL, *words)
    return found


def versions(shell: Shell) -> list[int]:
    return [each["version"] for each in shell.json("history", APP, *LOCAL)["versions"]]


def live(shell: Shell) -> int:
    found: int = shell.json("status", APP, *LOCAL)["version"]
    return found


def test_a_whole_life(shell: Shell, request: pytest.FixtureRequest) -> None:
    assert plan(shell)["now"] is None
    created = shell.json("apply", PROFILE, *LOCAL, "--yes", "--make-secrets")
    assert (created["proven"], created["version"], created["key_required"]) == (True, 1, True)
    key = shell.run("local", "secret", "glm-local-api-key", "API_KEY").stdout.strip()
    settled = plan(shell)
    assert (settled["acts"], settled["drift"], settled["live"]) == (False, [], [])

    with traffic(created["url"], key, MODEL) as clients:
        unchanged = shell.json("apply", PROFILE, *QUICK)
        assert not unchanged["acts"]
        assert versions(shell) == [1]

        scaled = shell.json("apply", PROFILE, *QUICK, "--set", "server.scaledown_window=200")
        assert scaled["rescaled"] == {"scaledown_window": 200}
        assert versions(shell) == [1], "nothing was deployed"
        assert not plan(shell, "--set", "server.scaledown_window=200")["acts"]
        shell.json("apply", PROFILE, *QUICK)

        began, before = time.monotonic(), clients.slowest()
        updated = shell.json("apply", PROFILE, *QUICK, "--set", "sglang.args.max-running-requests=6")
        assert (updated["version"], updated["proven"]) == (2, True)
        clients.goes_on()
        slow = clients.slowest(since=began) - before
        if request.config.getoption("--all") or request.config.getoption("--engine"):
            assert slow < SLOWER, "nobody waits for a container that starts"
            broken(shell, clients, "--set", NEVER_STARTS)
        broken(shell, clients, "--set", GARBAGE)
        drifted(shell, clients)

        back = shell.json("rollback", APP, *LOCAL, "--yes")
        assert back["proven"]
        assert not plan(shell)["changed"], "the plan of version 1 runs again"
        clients.goes_on()

        over = shell.json("rollover", APP, *LOCAL, "--yes")
        assert over["proven"]
        assert not plan(shell)["changed"]
        clients.goes_on()
    assert shell.json("verify", PROFILE, *LOCAL, "--no-load", "--no-canary")["ok"]

    assert [each["app"] for each in shell.json("cost", APP, *LOCAL)["apps"]] == [APP]
    gone = shell.json("destroy", APP, *LOCAL, "--yes", "--volumes")
    assert gone["removed_volumes"]
    assert shell.containers(APP) == set()
    assert shell.deployed() == []
    assert shell.json("list", *LOCAL) == []


def broken(shell: Shell, clients: Traffic, *words: str) -> None:
    """A version that cannot serve is taken back, and no client hears of it."""
    before = plan(shell)["now"]["digest"]
    failed = shell.run("apply", PROFILE, *QUICK, *words, code=1, container_failed=True)
    assert "was taken back: version" in failed.stderr
    assert "never stopped answering" in failed.stderr
    assert plan(shell)["now"]["digest"] == before
    clients.goes_on()


def drifted(shell: Shell, clients: Traffic) -> None:
    """What somebody changed behind our back is seen, and repaired."""
    client = connect(shell.cloud)
    modal.Cls.from_name(APP, "Server", client=client)().serve.autoscaler.update(max_containers=7)
    found = plan(shell, "--set", "sglang.args.max-running-requests=6")
    assert [(each["kind"], each["name"], each["found"]) for each in found["drift"]] == [
        ("autoscaler", "max_containers", 7)
    ]
    repaired = shell.json("apply", PROFILE, *QUICK, "--set", "sglang.args.max-running-requests=6")
    assert "max_containers" in repaired["rescaled"]
    app = call(shell.cloud, "AppGetByDeploymentName", api_pb2.AppGetByDeploymentNameRequest(name=APP))
    call(shell.cloud, "AppRollback", api_pb2.AppRollbackRequest(app_id=app.app_id, version=1))
    found = plan(shell, "--set", "sglang.args.max-running-requests=6")
    assert "rollback" in [each["kind"] for each in found["drift"]]
    assert found["changed"]
    shell.json("apply", PROFILE, *QUICK, "--set", "sglang.args.max-running-requests=6")
    clients.goes_on()
