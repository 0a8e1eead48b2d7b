"""GPUs that are limited, and what they cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import modal
import pytest
from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2
from support import call, connect, wait_until

from glmdeploy.local.daemon import in_thread
from glmdeploy.local.state.ledger import Ledger
from glmdeploy.local.state.store import App, Run, Store
from glmdeploy.local.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

    from glmdeploy.local.daemon import Running

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
"""The present hour, which is not over."""


def ran(task: str, start: timedelta, end: timedelta, gpus: int = 8, gpu: str = "B200") -> Run:
    """A container's record; times are from the beginning of this hour."""
    began, ended = ((HOUR + moment).timestamp() for moment in (start, end))
    return Run(
        id=f"ta-{task}",
        app_id="ap-billed",
        environment="main",
        function_id="fu-1",
        gpu=gpu,
        gpus=gpus,
        enqueued_at=began,
        started_at=began,
        ended_at=ended,
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    store = Store(home / "state.sqlite3")
    store.apps.insert(App(id="ap-billed", name="billed", environment="main", state=5, created_at=1, tags={"team": "a"}))
    for run in (
        ran("1", timedelta(hours=-3), timedelta(hours=-1, minutes=-30)),
        ran("2", timedelta(hours=-2), timedelta(hours=-1, minutes=-45), gpus=1, gpu="H200"),
        ran("3", timedelta(minutes=-15), timedelta(0), gpus=0, gpu=""),
    ):
        store.runs.insert(run)
    store.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLMDEPLOY_LOCAL_MAX_GPUS", "2")
        with in_thread(home) as running:
            yield running


@pytest.fixture(scope="module")
def client(running: Running) -> modal.Client:
    return connect(running.cloud)


class TestReport:
    def test_has_full_hours_by_app_and_resource(self, client: modal.Client) -> None:
        workspace = modal.Workspace.from_context(client=client)
        start = HOUR - timedelta(hours=4)
        items = workspace.billing.report(start=start, end=HOUR, resolution="h", tag_names=["*"])
        assert [(each.interval_start - HOUR, each.cost, each.cost_by_resource) for each in items] == [
            (timedelta(hours=-3), 8, {"B200": 8}),
            (timedelta(hours=-2), Decimal("4.25"), {"B200": 4, "H200": Decimal("0.25")}),
        ]
        assert {(each.object_id, each.description, each.tags["team"]) for each in items} == {
            ("ap-billed", "billed", "a")
        }
        # The beginning is rounded down, an hour that is not over is left out.
        late = workspace.billing.report(start=HOUR - timedelta(hours=2, minutes=-20), resolution="h")
        assert [each.interval_start for each in late] == [HOUR - timedelta(hours=2)]
        assert late[0].tags == {}
        environment = modal.Environment.from_name("main", client=client)
        assert environment.billing.report(start=start, end=HOUR, resolution="h", tag_names=["*"]) == items

    def test_is_summed_up(self, client: modal.Client) -> None:
        cycle = (HOUR - timedelta(hours=2)).replace(day=1, hour=0)
        summary = modal.Workspace.from_context(client=client).billing.summary(cycle)
        assert summary.metered_cost == sum(summary.metered_cost_breakdown.values()) > 0
        of_main = modal.Environment.from_name("main", client=client).billing.summary(cycle)
        assert of_main.metered_cost_breakdown == summary.metered_cost_breakdown

    def test_a_cheaper_plan_has_none(self, client: modal.Client, running: Running) -> None:
        terms = running.backend.subscription
        object.__setattr__(running.backend, "subscription", Subscription(paid=False))
        try:
            with pytest.raises(modal.exception.PermissionDeniedError, match="not part of this workspace's plan"):
                modal.Workspace.from_context(client=client).billing.report(start=HOUR - timedelta(hours=1))
        finally:
            object.__setattr__(running.backend, "subscription", terms)

    def test_counts_what_runs_until_it_was_last_seen(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "s.sqlite3")
        ledger = Ledger(store)
        ledger.open(ran("1", timedelta(hours=-2), timedelta(hours=-1), gpus=1))
        start, end = (HOUR - timedelta(hours=3)).timestamp(), HOUR.timestamp()
        assert [cost.dollars for cost in ledger.costs(start, end, 3600)] == [1]
        assert [cost.dollars for cost in ledger.costs(start, end, 3600, {"ta-1"})] == [1, 1]
        ledger.alive(["ta-1"])
        assert [cost.dollars for cost in ledger.costs(start, end, 3600)] == [1, 1]
        store.close()


def test_a_container_waits_for_its_gpus(
    client: modal.Client, running: Running, load_app: Callable[[str], ModuleType]
) -> None:
    def environment() -> api_pb2.EnvironmentListItem:
        answer = call(running.cloud, "EnvironmentList", Empty())
        return next(item for item in answer.items if item.name == "main")

    app = modal.App("limited")
    for name, gpu, minimum in (("first", "H100:2", 1), ("second", "H100", 0)):
        app.function(gpu=gpu, name=name, min_containers=minimum, scaledown_window=3600)(load_app("functions").double)
    app_id = app.deploy(client=client).app_id

    def tasks() -> list[api_pb2.TaskStats]:
        return list(call(running.cloud, "TaskList", api_pb2.TaskListRequest(app_id=app_id)).tasks)

    wait_until(lambda: [bool(task.started_at) for task in tasks()] == [True])
    modal.Function.from_name("limited", "second", client=client).autoscaler.update(min_containers=1)
    assert [bool(task.started_at) for task in tasks()] == [True, False]
    item = environment()
    assert (item.max_concurrent_gpus, item.current_concurrent_gpus) == (2, 2)
    assert not item.spend_limit_reached
    waiting = [task.task_id for task in tasks() if not task.started_at]
    started = [task.task_id for task in tasks() if task.started_at]
    assert all(task.enqueued_at for task in tasks())
    info = call(running.cloud, "TaskGetInfo", api_pb2.TaskGetInfoRequest(task_id=started[0])).info
    assert (info.gpu_type, info.gpu_config.count, info.finished_at) == ("H100", 2, 0)
    first = modal.Function.from_name("limited", "first", client=client)
    first.autoscaler.update(min_containers=0)
    call(running.cloud, "ContainerStop", api_pb2.ContainerStopRequest(task_id=started[0]))
    wait_until(lambda: [task.task_id for task in tasks() if task.started_at] == waiting)
    info = call(running.cloud, "TaskGetInfo", api_pb2.TaskGetInfoRequest(task_id=started[0])).info
    assert info.finished_at >= info.started_at > 0
    assert info.HasField("result")
    assert environment().current_concurrent_gpus == 1
    modal.App.lookup("limited", client=client).stop()
    wait_until(lambda: environment().current_concurrent_gpus == 0)
