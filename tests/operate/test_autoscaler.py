"""What Modal is told of replicas: it counts containers."""

from __future__ import annotations

import pytest
from modal_proto import api_pb2

from glmdeploy.operate.autoscaler import in_containers


@pytest.mark.parametrize("nodes", range(1, 33))
def test_any_number_of_containers_comes_back_as_it_was(nodes: int) -> None:
    """Also one that is no multiple, which somebody else may have set: a failed rollout sets it again."""
    for count in range(300):
        told = in_containers({"max_containers": count / nodes, "scaledown_window": 900}, nodes)
        assert api_pb2.AutoscalerSettings(**told) == api_pb2.AutoscalerSettings(
            max_containers=count, scaledown_window=900
        )


def test_no_bound_stays_none() -> None:
    assert in_containers({"max_containers": None, "min_containers": 0}, 2) == {
        "max_containers": None,
        "min_containers": 0,
    }
