"""A cluster's life: it is planned, started, shown, replaced and ended as one, and one reason ends all of its ranks."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from real_engine import engine_interpreter
from served import status
from support import Shell, own_cloud, some, wait_until
from traffic import traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fault_rows import Fault

PROFILE, APP, MODEL = "h200-two-hosts-bf16", "glm51-bf16", "glm-5.1"
LOCAL = ("--target", "local")
APPLY = ("apply", PROFILE, *LOCAL, "--yes", "--no-preflight", "--make-secrets")
QUICK = ("--set", "server.health={interval: 1, timeout: 6, limit: 5}")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with own_cloud(tmp_path) as one:
        yield one


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A cloud that has the weights: what is deployed on it serves at once."""
    with own_cloud(tmp_path_factory.mktemp("clusters")) as one:
        yield one


def shown(shell: Shell) -> dict[str, Any]:
    found: dict[str, Any] = shell.json("status", APP, *LOCAL)
    return found


def clusters(shell: Shell) -> dict[str, list[str]]:
    """The containers of each cluster, by rank."""
    found: dict[str, list[str]] = {}
    for each in sorted(shown(shell)["containers"], key=lambda one: one["rank"]):
        found.setdefault(each["cluster"], []).append(each["id"])
    return found


def said(shell: Shell, *words: str) -> list[dict[str, Any]]:
    """The lines of the log."""
    return [json.loads(line) for line in shell.run("logs", APP, *LOCAL, "--json", *words).stdout.splitlines()]


def engine_of(shell: Shell, task: str) -> int:
    """The process of the container that serves."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"--node-rank" in words and f"{shell.home}/containers/{task}/".encode() in words:
            return int(folder.name)
    raise AssertionError(f"no engine of {task}")


def key(shell: Shell) -> str:
    return shell.run("local", "secret", "glm51-api-key", "API_KEY").stdout.strip()


def test_a_whole_life(shell: Shell, pytestconfig: pytest.Config) -> None:
    everything = pytestconfig.getoption("--all")
    planned = shell.json("plan", PROFILE, *LOCAL)
    assert planned["estimate"]["replica_hour_dollars"] == 2 * planned["estimate"]["container_hour_dollars"]
    created = shell.json("apply", PROFILE, *LOCAL, "--yes", "--make-secrets")
    assert (created["proven"], created["version"], created["key_required"]) == (True, 1, True)
    assert not shell.json("plan", PROFILE, *LOCAL)["acts"]

    now = shown(shell)
    assert [(each["state"], each["rank"]) for each in now["containers"]] == [("ready", 0), ("ready", 1)]
    assert (now["nodes"], now["min_containers"], now["max_containers"]) == (2, 0, 1), "Modal counts containers: 0, 2"
    assert now["dollars_an_hour"] == 2 * now["container_dollars_an_hour"]
    text = shell.run("status", APP, *LOCAL).stdout
    assert "1 ready, 0 to 1 allowed, each of 2 containers: 2 now" in re.sub(r"\s+", " ", text)

    started = [line["text"] for line in said(shell) if "server_args=" in line["text"]]
    assert len(started) == 2
    assert len({re.findall(r"dist_init_addr='([\d.]+:\d+)'", line)[0] for line in started}) == 1
    for rank, line in enumerate(sorted(started, key=lambda each: "node_rank=1" in each)):
        assert "nnodes=2" in line
        assert "tp_size=16" in line
        assert ("node_rank=1" in line) == (rank == 1)

    [[leader, follower]] = clusters(shell).values()
    for rank, task in enumerate((leader, follower)):
        lines = said(shell, "--rank", str(rank))
        assert {line["container"] for line in lines} == {task}
        assert any(f"glmdeploy start rank {rank} of 2 in cluster cu-" in line["text"] for line in lines)
    assert said(shell, "--rank", "2") == []

    with traffic(created["url"], key(shell), MODEL) as clients:
        [first] = clusters(shell)
        updated = shell.json(*APPLY, "--set", "sglang.args.max-running-requests=40")
        assert (updated["version"], updated["proven"], updated["guarded"]) == (2, True, True)
        clients.goes_on()
        [second] = clusters(shell)
        assert second != first, "the first cluster is gone, and served until the second one did"

        back = shell.json("rollback", APP, *LOCAL, "--yes")
        assert back["proven"]
        assert not shell.json("plan", PROFILE, *LOCAL)["changed"], "the plan of version 1 runs again"
        clients.goes_on()
        if everything:
            scaled = shell.json(*APPLY, "--set", "server.max_containers=2")
            assert scaled["rescaled"] == {"max_containers": 2}, "clusters: nothing was deployed"
            assert shown(shell)["max_containers"] == 2
            assert shell.json("rollover", APP, *LOCAL, "--yes")["proven"]
            clients.goes_on()
    if everything:
        assert shell.json("verify", PROFILE, *LOCAL, "--no-load", "--no-canary")["ok"]

    gone = shell.json("destroy", APP, *LOCAL, "--yes", "--volumes")
    assert gone["removed_volumes"]
    assert shell.containers(APP) == set()
    assert shell.json("list", *LOCAL) == []


def crash(shell: Shell, task: str) -> None:
    os.kill(engine_of(shell, task), signal.SIGKILL)


def hang(shell: Shell, task: str) -> None:
    os.kill(engine_of(shell, task), signal.SIGSTOP)


def lose(shell: Shell, task: str) -> None:
    """What a host that fails does to a container: all of its processes are gone."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            mine = f"/containers/{task}".encode() in (folder / "environ").read_bytes()
        except OSError:
            continue
        if mine:
            os.kill(int(folder.name), signal.SIGKILL)


ENDS: dict[str, tuple[Callable[[Shell, str], None], int, str]] = {
    "rank 1 crashes": (crash, 1, r"rank 1: SGLang ended with exit code -9 \(SIGKILL\).*"),
    "rank 0 crashes": (crash, 0, r"rank 0: SGLang ended with exit code -9 \(SIGKILL\).*"),
    "rank 1 hangs": (hang, 1, r"rank 1: hung \(S\): process \d+ .* was in state T for \d+ s"),
    "rank 0 hangs": (hang, 0, r"rank 0: hung \(\w\): .*"),
    "rank 1 is gone": (lose, 1, r"rank 1: its container is gone.*"),
    "rank 0 is gone": (lose, 0, r"rank 0: its container is gone.*"),
}


@pytest.mark.parametrize("end", some(ENDS, "rank 1 crashes", "rank 1 hangs"))
def test_one_reason_ends_both(shared: Shell, end: str, fault: Fault) -> None:
    harm, rank, reason = ENDS[end]
    url = shared.json(*APPLY, *QUICK)["url"]
    wait_until(lambda: status(url) == 200)
    [both] = clusters(shared).values()
    harm(shared, both[rank])
    began = time.monotonic()
    wait_until(lambda: not shared.containers(APP) & set(both))
    seconds = time.monotonic() - began
    told = {
        task: [line["text"] for line in said(shared, "--container", task) if re.fullmatch(reason, line["text"])]
        for task in both
    }
    heard = [task for task in both if harm is not lose or task != both[rank]]
    assert all(len(told[task]) == 1 for task in heard), "\n".join(line["text"] for line in said(shared)[-40:])
    assert len({told[task][0] for task in heard}) == 1, "the same words"
    wait_until(lambda: status(url) == 200)
    [again] = clusters(shared).values()
    assert not set(again) & set(both), "another cluster serves"
    fault(f"cluster of two: {end}, `limit: 5`", f"of both containers: {told[heard[0]][0]}", seconds=seconds)


@pytest.mark.thorough
def test_a_rank_that_cannot_start_refuses_for_all(shared: Shell) -> None:
    shared.json(*APPLY)
    failed = shared.run(*APPLY, "--set", "sglang.env.GLMDEPLOY_STANDIN_FAIL_START='1'", code=1, container_failed=True)
    assert re.search(r"refuses to serve: rank [01]: SGLang ended while starting", failed.stderr)
    assert "was taken back: version" in failed.stderr
    refusals = [line["text"] for line in said(shared, "--ours") if "glmdeploy refused" in line["text"]]
    assert len({line.partition(": ")[2] for line in refusals[-2:]}) == 1
    wait_until(lambda: len(shared.containers(APP)) == 2)


@pytest.mark.thorough
def test_a_container_that_is_asked_to_end_takes_its_cluster_along(shared: Shell) -> None:
    url = shared.json(*APPLY)["url"]
    [both] = clusters(shared).values()
    done = shared.modal("container", "stop", "--yes", both[1])
    assert done.returncode == 0, done.stderr
    wait_until(lambda: not shared.containers(APP) & set(both))
    wait_until(lambda: status(url) == 200)
    assert len(shared.containers(APP)) == 2


REAL = (
    *("local-cpu", *LOCAL, "--set", "cluster={nodes: 2, rdma: false}", "--set", "server.kind=server"),
    *("--set", "server.max_inputs=null", "--set", "sglang.args.tp=2"),
    *("--set", 'server.env={HF_HUB_OFFLINE: "1", SGLANG_CPU_OMP_THREADS_BIND: "0|1"}'),
)
"""Two nodes of one processor each: SGLang wants the cores of more ranks than there are NUMA nodes to be named."""


def test_two_nodes_of_the_real_engine(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    if not pytestconfig.getoption("--engine"):
        pytest.skip("needs --engine")
    with own_cloud(tmp_path, GLMDEPLOY_ENGINE=str(engine_interpreter().parents[2])) as shell:
        created = shell.json("apply", *REAL, "--yes", "--make-secrets")
        assert created["proven"]
        lines = [
            json.loads(line)
            for line in shell.run("logs", "glm-local-cpu", *LOCAL, "--json", "--since", "1h").stdout.splitlines()
        ]
        told = [line["text"] for line in lines]
        assert [line for line in told if "TP1] Load weight end" in line]
        assert [line for line in told if "TP0] Load weight end" in line]
        assert [line for line in told if "Dummy health check server started" in line]
        updated = shell.json("apply", *REAL, "--yes", "--no-preflight", "--set", "sglang.args.max-running-requests=4")
        assert (updated["version"], updated["guarded"], updated["proven"]) == (2, True, True)
        containers = shell.json("status", "glm-local-cpu", *LOCAL)["containers"]
        [rank_1] = [each["id"] for each in containers if each["rank"] == 1]
        lose(shell, rank_1)
        wait_until(lambda: not shell.containers("glm-local-cpu") & {each["id"] for each in containers})
        shell.run("destroy", "glm-local-cpu", *LOCAL, "--yes")
        assert shell.containers("glm-local-cpu") == set()
