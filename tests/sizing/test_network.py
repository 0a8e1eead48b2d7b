"""What crosses between the hosts of a cluster, and how many hosts a model needs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy import gpus
from glmdeploy.gpus import TYPES
from glmdeploy.sizing.cost import Traffic, spend
from glmdeploy.sizing.enough import enough, weights_fit
from glmdeploy.sizing.memory import MIB, loaded
from glmdeploy.sizing.model import Model, known
from glmdeploy.sizing.network import Network, network

GLM, DENSE = "zai-org/GLM-5.1", "meta-llama/Llama-3.1-70B-Instruct"
LAYERS, STATE = 78, 2 * 6144
"""Of GLM-5.1: its layers, and the bytes of a token's hidden state."""


def model(repo: str = GLM) -> Model:
    found = known(repo)
    assert found is not None
    return found


def crossing(
    values: dict[str, Any], *, nodes: int = 2, gpu: str = "B200:8", rdma: bool = True, repo: str = GLM
) -> Network:
    found = network(model(repo), gpus.parse(gpu), values.get, nodes=nodes, rdma=rdma)
    assert found is not None
    return found


def test_two_sums_a_layer_with_tensor_parallelism() -> None:
    found = crossing({"tp_size": 16})
    assert (found.token_bytes, found.waits) == (LAYERS * 2 * STATE, 2 * LAYERS)
    assert (found.hosts, found.apart) == (2, False)


def test_a_ring_of_more_hosts_sends_more() -> None:
    # Of each sum a host sends 2 (h - 1) / h.
    assert crossing({"tp_size": 32}, nodes=4).token_bytes == LAYERS * 2 * STATE * 3 // 2


def test_groups_within_a_host_leave_one_sum() -> None:
    groups = {"tp_size": 16, "dp_size": 2, "enable_dp_attention": True}
    assert crossing(groups).token_bytes == LAYERS * STATE
    assert crossing({"tp_size": 16, "attn_dp_size": 16}).waits == LAYERS


def test_a_pipeline_hands_two_states_on() -> None:
    found = crossing({"tp_size": 8, "pp_size": 2})
    assert (found.token_bytes, found.waits) == (2 * STATE, 1)


def test_stages_of_several_hosts_do_both() -> None:
    found = crossing({"tp_size": 16, "pp_size": 2}, nodes=4)
    assert found.token_bytes == LAYERS // 2 * 2 * STATE + STATE
    assert found.waits == LAYERS // 2 * 2 + 1


def test_more_stages_than_hosts() -> None:
    assert crossing({"tp_size": 4, "pp_size": 4}).waits == 1


def test_tokens_that_go_to_their_experts() -> None:
    values = {"tp_size": 16, "dp_size": 16, "enable_dp_attention": True, "moe_a2a_backend": "deepep"}
    found = crossing(values)
    # Eight experts, half of them on the other host, there and back, and half of the tokens are each host's.
    assert found.token_bytes == LAYERS * 2 * 8 * STATE // 2 // 2
    assert found.apart
    assert found.waits == 2 * LAYERS


def test_a_dense_model_has_no_experts_to_send_to() -> None:
    assert not crossing({"tp_size": 16, "moe_a2a_backend": "deepep"}, repo=DENSE).apart


@pytest.mark.parametrize(
    ("gpu", "rdma", "gigabits"), [("B200:8", True, 3200), ("B300:8", True, 6400), ("B200:8", False, None)]
)
def test_the_networks_speed(gpu: str, gigabits: int | None, *, rdma: bool) -> None:
    found = crossing({"tp_size": 16}, gpu=gpu, rdma=rdma)
    assert found.gigabits == gigabits
    seconds = found.seconds(1000)
    assert seconds == (gigabits and pytest.approx(1000 * found.token_bytes / (gigabits / 8 * 1e9)))


def test_one_host_has_no_network() -> None:
    assert network(model(), gpus.parse("B200:8"), {"tp_size": 8}.get, nodes=1, rdma=True) is None
    assert network(model(), gpus.parse("B200:8"), {}.get, nodes=2, rdma=True) is None


@given(nodes=st.integers(2, 32), stages=st.sampled_from([1, 2, 4, 8]), groups=st.sampled_from([1, 2, 4]))
def test_more_is_never_sent_than_all_states_twice(nodes: int, stages: int, groups: int) -> None:
    values = {"tp_size": 8 * nodes * 4 // stages, "pp_size": stages, "attn_dp_size": groups}
    found = network(model(), gpus.parse("H200:8"), values.get, nodes=nodes, rdma=True)
    assert found is None or 0 <= found.token_bytes <= (LAYERS * 2 * 2 + 2) * STATE


@pytest.mark.parametrize(
    ("repo", "gpu", "gpus_", "nodes"),
    [
        ("zai-org/GLM-5.1", "B200", 16, 2),
        ("zai-org/GLM-5.1", "B300", 8, 1),
        ("zai-org/GLM-5.1", "H100", 32, 4),
        ("zai-org/GLM-5.1-FP8", "B200", 8, 1),
        ("deepseek-ai/DeepSeek-V3", "H100", 16, 2),
    ],
)
def test_enough(repo: str, gpu: str, gpus_: int, nodes: int) -> None:
    one = model(repo)
    found = enough(gpu, one, {"tp_size": 1}.get, weights_fit(gpu, one, {"tp_size": 1}.get))
    assert found is not None
    assert (found.gpus, found.nodes) == (gpus_, nodes)
    if nodes > 1:
        assert f"cluster: {{nodes: {nodes}}}" in str(found)
        assert f"tp: {gpus_}" in str(found)
    assert loaded(one, {"tp_size": gpus_}.get) < (TYPES[gpu].memory_mib or 0) * MIB * 0.8


def test_hosts_that_rdma_does_not_join_are_not_offered() -> None:
    one = model("zai-org/GLM-5.1")
    assert enough("A100-80GB", one, {}.get, lambda tensor: tensor > 8) is None
    assert enough("H100", one, {"tp_size": 1}.get, lambda tensor: tensor > 8, beyond=4) is None


def test_more_hosts_do_not_mend_what_is_no_want_of_room() -> None:
    one = model("zai-org/GLM-5.1-FP8")
    assert enough("B200", one, {"tp_size": 8}.get, lambda tensor: tensor > 8) is None


def test_a_replica_costs_what_its_containers_do() -> None:
    price = gpus.Price(dollars=2.0, date="2026-11-29", source="a test")
    traffic = Traffic(busy_hours=8)
    alone = spend(price, gpus=8, containers=(1, 3), cold_start=600, scaledown_window=1200, traffic=traffic)
    both = spend(price, gpus=8, containers=(1, 3), cold_start=600, scaledown_window=1200, traffic=traffic, nodes=2)
    assert both.container == alone.container == alone.replica == 16
    assert both.replica == 32
    assert both.day
    assert alone.day
    pairs = ((both.least, alone.least), (both.most, alone.most), (both.cold_start, alone.cold_start))
    assert all(two == pytest.approx(2 * one) for two, one in (*pairs, (both.day.most, alone.day.most)))
    assert both.day.hours == alone.day.hours
