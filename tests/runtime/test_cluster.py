"""A container's place in its cluster: what SGLang is told of it, and what the watch can see there."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from glmdeploy.runtime import cluster
from glmdeploy.runtime.cluster import NoPlace, Place, network, place_of, rehearsed, watched, with_place

PLACES = [Place("cu-1", rank, ("10.100.0.5", "10.100.0.9")) for rank in (0, 1)]
HEALTH = {"interval": 5, "timeout": 65, "limit": 60, "compiling": 300, "decoding": "lines", "ranks": 16}


def test_each_rank_has_a_command_of_its_own() -> None:
    words = ["python3", "-m", "sglang.launch_server", "--tp-size", "16"]
    assert with_place(words, None) == words
    assert [with_place(words, place)[5:] for place in PLACES] == [
        ["--nnodes", "2", "--node-rank", "0", "--dist-init-addr", "10.100.0.5:20000"],
        ["--nnodes", "2", "--node-rank", "1", "--dist-init-addr", "10.100.0.5:20000"],
    ]
    assert words[-1] == "16", "the plan's words are as they were"


def test_without_a_cluster_there_is_no_place() -> None:
    assert place_of({}) is None
    assert rehearsed({}) is None


def test_outside_of_a_cluster_nothing_is_served() -> None:
    with pytest.raises(NoPlace, match="this container is in no cluster: Cluster context is not initialized"):
        place_of({"cluster": {"nodes": 2, "rdma": True}})


def test_a_rehearsal_is_of_the_first_node() -> None:
    found = rehearsed({"cluster": {"nodes": 3, "rdma": False}})
    assert with_place([], found)[:4] == ["--nnodes", "3", "--node-rank", "0"]


def test_above_rank_0_the_watch_looks_at_processes() -> None:
    assert watched(HEALTH, None) == watched(HEALTH, PLACES[0]) == HEALTH
    assert watched(HEALTH, PLACES[1]) == {**HEALTH, "decoding": "off", "ranks": 0}


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="127.0.0.0/8 is loopback on Linux alone")
def test_sockets_take_the_interface_of_the_cluster() -> None:
    [loopback] = {name for _, name in socket.if_nameindex() if name.startswith("lo")}
    found = network(Place("cu-1", 1, ("127.9.9.1", "127.9.9.2")), {"TP_SOCKET_IFNAME": "eth7"})
    assert found == {
        "SGLANG_HOST_IP": "127.9.9.2",
        "NCCL_SOCKET_IFNAME": loopback,
        "GLOO_SOCKET_IFNAME": loopback,
        "NCCL_SOCKET_FAMILY": "AF_INET",
    }, "what the profile, or Modal, says stays"


def test_an_interface_that_is_not_found_is_not_guessed() -> None:
    assert network(Place("cu-1", 0, ("192.0.2.1", "192.0.2.2")), {}) == {"SGLANG_HOST_IP": "192.0.2.1"}
    assert network(None, {}) == {}


@pytest.mark.parametrize(
    ("rank", "addresses", "told"),
    [
        (0, ("10.0.0.1",), "Modal tells rank 0 of 1 addresses"),
        (2, ("10.0.0.1", "10.0.0.2"), "Modal tells rank 2 of 2 addresses"),
        (0, (), "Modal tells rank 0 of 0 addresses"),
    ],
)
def test_a_cluster_of_another_size_serves_nothing(
    monkeypatch: pytest.MonkeyPatch, rank: int, addresses: tuple[str, ...], told: str
) -> None:
    import modal._cluster

    context: dict[str, Any] = {"rank": rank, "cluster_id": "cu-1", "container_ips": [], "fabric_ids": []}
    known = modal._cluster.ClusterContext(**context, container_ipv4_ips=list(addresses))
    monkeypatch.setattr(modal._cluster, "current_cluster_context", known)
    with pytest.raises(NoPlace, match=f"the plan has 2 containers to a cluster, and {told}"):
        cluster.place_of({"cluster": {"nodes": 2, "rdma": True}})
