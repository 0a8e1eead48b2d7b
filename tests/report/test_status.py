"""``status`` and ``list`` as text, from frozen data, at 80 and at 120 columns."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import click
import pytest
from looked_at import APP, BERLIN, NOW, container, ill, past, running, version, well

from glmdeploy.operate.history import History
from glmdeploy.operate.listing import Listed
from glmdeploy.operate.status import PENDING, READY, REFUSED, STARTED, STARTING, Status
from glmdeploy.report.grid import UNLIMITED
from glmdeploy.report.status import listing_data, listing_text, status_data, status_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.operate.status import Container

FOREIGN = History(app_id="ap-9", production=2, versions=(version(2, None, ago=200, tag="mine"),))
LISTED = (
    Listed(app=APP, history=past(), containers=2),
    Listed(app="qwen", history=past(7), containers=0),
    Listed(app="somebody-elses-app", history=FOREIGN, containers=1),
    Listed(app="empty", history=History(app_id="ap-8", production=0, versions=()), containers=0),
)


def text(status: Status, width: int, *, local: bool = False) -> str:
    return click.unstyle("\n".join(status_text(status, width, zone=BERLIN, local=local)))


@pytest.mark.parametrize("width", [40, 80, 120])
class TestSnapshots:
    def test_well(self, width: int, snapshot: Callable[[str, str], None]) -> None:
        snapshot(f"status-well-{width}", text(well(), width))

    def test_ill(self, width: int, snapshot: Callable[[str, str], None]) -> None:
        snapshot(f"status-ill-{width}", text(ill(), width))

    def test_list(self, width: int, snapshot: Callable[[str, str], None]) -> None:
        few = listing_text(LISTED, width, NOW, everything=False, zone=BERLIN)
        every = listing_text(LISTED, width, NOW, everything=True, zone=BERLIN)
        snapshot(f"list-{width}", click.unstyle("\n".join((*few, "", *every))))


def test_lines_that_fit_keep_to_the_terminal() -> None:
    for width in (80, 120):
        assert max(map(len, text(well(), width).splitlines())) <= width


def test_without_a_terminal_nothing_is_broken() -> None:
    assert len(text(ill(), UNLIMITED).splitlines()) == 5


def test_what_is_not_known_is_not_shown() -> None:
    found = replace(running(), data=None, plan=None)
    bare = Status(app=APP, at=NOW, deployed=found, containers=(container(READY),), log_read=True)
    assert text(bare, 120).splitlines()[1:] == ["  containers  1 ready", "  drift       last error: none in 24 h"]


def test_not_deployed() -> None:
    gone = Status(app=APP, at=NOW, deployed=None)
    assert text(gone, 80) == "glm51-fp8   not deployed"
    assert status_data(gone)["state"] == "not deployed"
    assert not gone.healthy


def test_the_embedded_cloud_bills_nothing() -> None:
    assert "would cost $100 an hour on Modal" in text(well(), 120, local=True)


def test_a_version_whose_containers_all_refuse_is_not_healthy() -> None:
    refused = replace(well(), containers=(container(READY, outdated=True), container(REFUSED)))
    assert not refused.healthy
    assert replace(well(), containers=()).healthy
    assert ill().healthy  # one of its containers has yet to speak


def test_what_waits_for_a_machine_costs_nothing() -> None:
    assert ill().now == pytest.approx(2 * 49.9968)


def test_data_is_json_with_what_the_text_says() -> None:
    data = json.loads(json.dumps(status_data(ill())))
    assert [each["state"] for each in data["containers"]] == ["ready", "refused", "pending"]
    assert [each["kind"] for each in data["drift"]] == ["autoscaler", "volume"]
    assert data["requests"] == {"running": 3, "waiting": None, "told_by": "engine", "of_one_container": True}
    assert (data["version"], data["profile"], data["since"]) == (8, "b200-eagle-bf16kv", "2026-11-27T09:30:00Z")
    assert data["last_error"]["at"] == "2026-11-27T13:56:00Z"


def test_data_of_a_list() -> None:
    data = listing_data(LISTED)
    assert [(each["app"], each["version"], each["foreign"]) for each in data] == [
        (APP, 8, False),
        ("qwen", 7, False),
        ("somebody-elses-app", 2, True),
        ("empty", None, True),
    ]


def test_a_hostile_name_steers_no_terminal() -> None:
    lines = status_text(
        replace(
            well(),
            deployed=running(
                History(app_id="ap-1", production=8, versions=(replace(past().versions[0], by="\x1b[2Jme"),))
            ),
        ),
        UNLIMITED,
    )
    assert "\x1b[2J" not in click.unstyle("\n".join(lines))


def test_minutes_of_long_ago() -> None:
    assert "29 Dec 2025" not in text(well(), 80)
    old = replace(past(), versions=(replace(past().versions[0], at=NOW - timedelta(days=400)),))
    assert "since 23 Oct 2025" in text(replace(well(), deployed=running(old)), 120)


def of_clusters(*containers: Container, nodes: int = 2) -> str:
    """The line of the containers."""
    found = replace(well(), nodes=nodes, containers=containers)
    return text(found, UNLIMITED).splitlines()[2].partition(", 0 to 3")[0].strip()


def test_a_cluster_counts_once_whatever_it_has_said() -> None:
    both = [replace(container(READY), cluster="cu-1", rank=rank) for rank in (1, 0)]
    others = [replace(container(STARTING), cluster="cu-2", rank=rank) for rank in (1, 2)]
    assert of_clusters(*both) == "containers  1 ready"
    assert of_clusters(*others, nodes=3).startswith("containers  1 starting (30 min"), "its rank 0 is not there"
    assert of_clusters(*[container(PENDING)] * 2) == "containers  1 pending (waiting for a machine for 30 min 20 s)"
    assert of_clusters(*[container(STARTED)] * 3) == "containers  2 started"
    assert of_clusters(*both, *[container(PENDING)] * 4).startswith("containers  1 ready, 2 pending")


def test_beside_a_cluster_one_that_served_alone_counts() -> None:
    alone = [container(READY, outdated=True)] * 2
    both = [replace(container(STARTING), cluster="cu-1", rank=rank) for rank in (0, 1)]
    assert of_clusters(*alone, *both).endswith(", 2 outdated (2 ready)")
