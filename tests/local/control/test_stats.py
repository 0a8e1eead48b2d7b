"""What was asked of functions and Servers, and of their containers, as the real SDK tells it."""

from __future__ import annotations

import json
import shutil
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import modal
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modal_proto import api_pb2
from support import PATIENCE, call, connect, wait_until

from glmdeploy.local.asleep import asleep
from glmdeploy.local.daemon import in_thread
from glmdeploy.local.state import traffic
from glmdeploy.local.state.store import Run, Store, Tally
from glmdeploy.local.state.traffic import EXECUTION, KEPT, MINUTE, SUCCESS, Traffic, minute, percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

    from glmdeploy.local.daemon import Running

WEEK = timedelta(days=7)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with in_thread(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def client(running: Running) -> modal.Client:
    return connect(running.cloud)


@pytest.fixture(scope="module")
def act(client: modal.Client, load_app: Callable[[str], ModuleType]) -> modal.Function:
    """A function that was called: five times well, twice not, and once for too long."""
    app = modal.App("counted")
    app.function(name="act", timeout=6, startup_timeout=600, max_containers=1, scaledown_window=3600)(
        load_app("functions").act
    )
    app.deploy(client=client)
    found = modal.Function.from_name("counted", "act", client=client)
    assert list(found.map(["double"] * 5, range(5))) == [0, 2, 4, 6, 8]
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            found.remote("refuse", "no")
    with pytest.raises(modal.exception.FunctionTimeoutError):
        found.remote("sleep", 600)
    return found


def shares(distribution: Any) -> dict[float, float]:
    return {each.percentile: each.value for each in distribution.percentiles}


def get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.fixture
def loaded(client: modal.Client, load_app: Callable[[str], ModuleType]) -> Callable[..., str]:
    """Deploy a file of ``apps``; its app's id."""

    def load(name: str, **environment: str) -> str:
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in environment.items():
                patch.setenv(variable, value)
            patch.delitem(sys.modules, name, raising=False)
            return str(load_app(name).app.deploy(client=client).app_id)

    return load


class TestFunction:
    def test_counts_inputs_and_containers(self, act: modal.Function) -> None:
        stats = act.stats()
        assert (stats.input_success_count, stats.input_failure_count, stats.input_timeout_count) == (5, 2, 1)
        assert stats.input_running_at_end_count == 0
        # The one that was ended with the input that took too long is no container that failed.
        assert stats.container_started_count >= 1
        assert stats.container_total_count >= stats.container_started_count
        assert (stats.variant_count, stats.all_variants) == (0, False)
        execution = shares(stats.input_percentile_stats["Execution time (s)"])
        assert execution[50] < 6 * 0.9 < execution[99]
        whole = shares(stats.input_percentile_stats["End-to-end latency (s)"])
        assert all(whole[each] >= execution[each] for each in (50, 90, 99))
        startup = shares(stats.container_percentile_stats["Startup time (s)"])
        assert 0 < startup[50] <= startup[99] < PATIENCE
        assert set(stats.container_percentile_stats) == {"Startup time (s)"}
        assert timedelta(hours=1) <= stats.until - stats.since <= timedelta(hours=1, minutes=1)

    def test_of_one_container(self, act: modal.Function, running: Running) -> None:
        record = running.backend.store.functions.get(tag="act")
        assert record is not None
        runs = running.backend.store.runs.all(app_id=record.app_id)
        each = [act.stats(container=run.id) for run in runs]
        assert [stats.container_total_count for stats in each] == [1] * len(runs)
        assert sum(stats.input_success_count for stats in each) == 5
        with pytest.raises(modal.exception.NotFoundError, match="Container ta-none not found"):
            act.stats(container="ta-none")

    def test_of_a_time_in_which_nothing_was(self, act: modal.Function) -> None:
        hour_ago = datetime.now(UTC) - timedelta(hours=1)
        stats = act.stats(since=hour_ago - timedelta(hours=1), until=hour_ago)
        assert (stats.input_success_count, stats.container_total_count) == (0, 0)
        assert not stats.input_percentile_stats
        assert stats.since.second == stats.until.second == 0

    def test_refuses_a_time_that_is_too_long_or_too_old(self, act: modal.Function) -> None:
        now = datetime.now(UTC)
        for since, until in ((now - WEEK - timedelta(minutes=1), now), (now - 2 * WEEK, now - WEEK - WEEK / 7)):
            with pytest.raises(modal.exception.InvalidError, match="seven days"):
                act.stats(since=since, until=until)
        assert act.stats(since=now - WEEK, until=now).input_success_count == 5

    def test_of_an_app_that_was_stopped(self, running: Running, client: modal.Client, act: modal.Function) -> None:
        app_id = call(running.cloud, "AppGetByDeploymentName", named("counted")).app_id
        stats = modal.App.lookup("counted", client=client).stats()
        assert (stats.functions["act"].counts.calls.total, stats.functions["act"].counts.calls.failed) == (8, 3)
        assert stats.functions.total == stats.functions["act"].counts
        assert stats.functions["act"].object_id == act.object_id
        assert stats.functions.total.containers.total >= 1
        assert (len(stats.servers), stats.sandboxes.total, stats.deployment_count) == (0, 0, 1)
        assert stats.lifecycle.state == "deployed"
        modal.App.lookup("counted", client=client).stop()
        request = api_pb2.AppGetTimeRangeStatsRequest(app_id=app_id)
        request.since.FromDatetime(stats.since)
        request.until.GetCurrentTime()
        stopped = call(running.cloud, "AppGetTimeRangeStats", request)
        assert stopped.functions.by_name["act"].counts.calls.total == 8
        assert act.stats().input_success_count == 5


def named(app: str) -> api_pb2.AppGetByDeploymentNameRequest:
    return api_pb2.AppGetByDeploymentNameRequest(name=app)


def test_requests_to_a_web_function_are_its_inputs(
    client: modal.Client, loaded: Callable[..., str], tmp_path: Path
) -> None:
    loaded("website")
    served = modal.Cls.from_name("website", "Website", client=client)().serve
    url = served.get_web_url()
    assert get(f"{url}/task") == 200
    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(get, f"{url}/task?hold={tmp_path}")
        wait_until(lambda: any(tmp_path.iterdir()))
        wait_until(lambda: served.stats().input_running_at_end_count == 1)
        (tmp_path / "go").touch()
        assert held.result() == 200
    wait_until(lambda: served.stats().input_running_at_end_count == 0)
    answers = [get(f"{url}/nothing-there"), get(f"{url}/die")]

    def counted() -> Any:
        return modal.App.lookup("website", client=client).stats().functions["Website.*"].counts.calls

    # The server in the container breaks connections off for what it does not know, and where it dies.
    assert answers == [502, 502]
    wait_until(lambda: counted().total >= 4)
    assert (counted().succeeded, counted().failed) == (2, 2)
    broken = modal.Cls.from_name("website", "Broken", client=client)().serve.get_web_url()
    assert get(broken) == 503
    stats = modal.App.lookup("website", client=client).stats()
    assert stats.functions["Broken.*"].counts.calls.failed == 1
    assert stats.functions["Broken.*"].counts.containers.errors == 1
    assert stats.functions.total.calls.total == 5


def test_requests_to_a_server(client: modal.Client, loaded: Callable[..., str], tmp_path: Path) -> None:
    loaded("server", SETTINGS=json.dumps({"scaledown_window": 3600}))
    server = modal.Server.from_name("server", "Server", client=client)
    url = server.get_url()
    refused = 0
    while get(url) == 503:
        refused += 1
        time.sleep(0.2)
    assert refused
    assert get(url) == 200
    wait_until(lambda: server.stats().request_count == 2 + refused)
    stats = server.stats()
    assert stats.request_count_by_status_code == {200: 2, 500: refused}
    assert stats.request_rate_per_second == pytest.approx(
        stats.request_count / (stats.until - stats.since).total_seconds()
    )
    assert stats.container_started_count == stats.container_total_count == 1
    assert stats.container_creating_at_end_count == 0
    assert 0 < shares(stats.request_percentile_stats["End-to-end latency (s)"])[99] < PATIENCE
    assert stats.inference is None
    of_app = modal.App.lookup("server", client=client).stats()
    assert (of_app.servers["Server"].counts.requests.ok, of_app.servers.total.requests.failed) == (2, refused)
    assert len(of_app.functions) == 0

    # What runs is seen while it does.
    with urllib.request.urlopen(f"{url}/stream?hold={tmp_path}", timeout=PATIENCE) as stream:
        stream.readline()
        series = server.metrics.export(groups=["requests"])["running_requests_max"]
        assert all(point.value == 0 for point in series.points)  # the present minute is not over
        (tmp_path / "go").touch()
        stream.read()
    wait_until(lambda: server.stats().request_count == 3 + refused)


class TestMetrics:
    def test_are_what_the_schema_says(self, act: modal.Function) -> None:
        schema = act.metrics.schema()
        assert set(schema) == {"calls", "containers"}
        until = datetime.now(UTC) + timedelta(minutes=1)
        exported = act.metrics.export(until=until, bucket_size=timedelta(minutes=1))
        named = {each.name: each for group in schema.values() for each in group.definitions}
        assert exported.series.keys() == named.keys()
        assert all(series.unit == named[name].unit for name, series in exported.series.items())
        assert {len(series.points) for series in exported.series.values()} <= {60, 61}
        assert exported["successful_calls_count"].aggregation == "count"
        only = act.metrics.export(groups=["containers"])
        assert only.series.keys() == {each.name for each in schema["containers"].definitions}

    def test_have_buckets(self, running: Running, act: modal.Function) -> None:
        now = minute(time.time())
        store = running.backend.store
        record = store.functions.get(tag="act")
        assert record is not None
        for began, counts, seconds, ran in ((7200, {"success": 4, "failure": 1}, 10.0, 3), (7140, {}, 0.0, 2)):
            store.tallies.put(
                Tally(
                    minute=now - began,
                    function_id=record.id,
                    task_id="ta-old",
                    counts=counts,
                    seconds=seconds,
                    running=ran,
                )
            )
        store.runs.put(
            Run(
                id="ta-old",
                app_id=record.app_id,
                environment="main",
                function_id=record.id,
                gpu="",
                gpus=0,
                enqueued_at=now - 7200,
                started_at=now - 7200,
                ready_at=now - 7200 + 6,
                ended_at=now - 7200 + 30,
                result=api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_FAILURE).SerializeToString(),
            )
        )
        start = datetime.fromtimestamp(now - 7260, UTC)
        exported = act.metrics.export(since=start, until=start + timedelta(minutes=3), bucket_size=timedelta(minutes=1))
        values = {name: [point.value for point in series.points] for name, series in exported.series.items()}
        assert values == {
            "successful_calls_count": [0, 4, 0],
            "failed_calls_count": [0, 1, 0],
            "timed_out_calls_count": [0, 0, 0],
            "running_calls_max": [0, 3, 2],
            "execution_time_avg": [None, 2, None],
            "running_containers_avg": [0, 0.5, 0],
            "started_containers_count": [0, 1, 0],
            "failed_containers_count": [0, 1, 0],
            "startup_time_avg": [None, 6, None],
        }
        assert exported["running_calls_max"].points[0].time == start
        then = act.stats(since=start, until=start + timedelta(minutes=2))
        assert (then.input_running_at_end_count, then.container_error_count) == (3, 1)
        older = act.metrics.export(since=start - 2 * WEEK, until=start - 2 * WEEK + timedelta(hours=5))
        assert older.bucket_size == timedelta(minutes=5)
        assert {point.value for point in older["successful_calls_count"].points} == {None}

    @pytest.mark.parametrize(
        ("given", "match"),
        [
            ({"groups": ["gpu"]}, "'gpu' is not supported by the embedded cloud"),
            ({"groups": ["cals"]}, "there are calls, containers"),
            ({"bucket_size": timedelta(seconds=90)}, "whole minutes"),
        ],
    )
    def test_refuses(self, act: modal.Function, given: dict[str, Any], match: str) -> None:
        with pytest.raises(modal.exception.Error, match=match):
            act.metrics.export(**given)


class TestTraffic:
    def test_is_added_up_and_forgotten(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "s.sqlite3")
        now = minute(time.time())
        for began in (now - KEPT - MINUTE, now - KEPT + MINUTE, now - MINUTE):
            store.tallies.insert(Tally(minute=began, function_id="fu-1", task_id="ta-1", counts={SUCCESS: 1}))
        loads: dict[tuple[str, str], int] = {}
        counting = Traffic(store, lambda: loads)
        before = store.changes
        for _ in range(2):
            with counting.visit("fu-1", answered(), by_status=False) as visit:
                visit.begins("ta-1")
            counting.write()
        counting.write()
        assert store.changes == before
        rows = store.tallies.all()
        assert [row.minute for row in rows][:2] == [now - KEPT + MINUTE, now - MINUTE]
        assert sum(row.counts[SUCCESS] for row in rows[2:]) == 2
        assert sum(times for row in rows[2:] for name, times in row.counts.items() if name.startswith(EXECUTION)) == 2
        store.close()

    def test_knows_what_runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = Store(tmp_path / "s.sqlite3")
        loads = {("fu-1", "ta-1"): 3}
        counting = Traffic(store, lambda: loads)
        moment = [1_800_000_000.0]
        monkeypatch.setattr(traffic.time, "time", lambda: moment[0])
        counting.write()
        loads.clear()
        counting.write()
        assert [row.running for row in store.tallies.all()] == [0]
        loads["fu-1", "ta-1"] = 2
        counting.write()
        moment[0] += MINUTE
        counting.write()
        loads.clear()
        moment[0] += MINUTE
        counting.write()
        assert [row.running for row in store.tallies.all()] == [2, 2]
        store.close()

    def test_waits_for_a_store_that_cannot_be_written(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "s.sqlite3")
        counting = Traffic(store, dict)
        with counting.visit("fu-1", answered(), by_status=False):
            pass
        store._connection.execute("PRAGMA query_only = 1")
        counting.write()
        store._connection.execute("PRAGMA query_only = 0")
        counting.write()
        counting.write()
        assert [row.counts for row in store.tallies.all()] == [{SUCCESS: 1}]
        store.close()

    @given(st.lists(st.floats(0.001, 80_000), min_size=1, max_size=50), st.sampled_from([0.5, 0.9, 0.99]))
    def test_tells_percentiles_to_a_tenth(self, times: list[float], share: float) -> None:
        counts: dict[str, int] = {}
        for seconds in times:
            name = f"{EXECUTION}.{traffic._class(seconds)}"
            counts[name] = counts.get(name, 0) + 1
        rank = max(1, -int(-share * len(times) // 1))
        assert percentile(counts, EXECUTION, share) == pytest.approx(sorted(times)[rank - 1], rel=0.1)
        assert percentile(counts, "whole", share) is None


def answered() -> traffic.Outcome:
    class Answered:
        status = 200
        whole = True
        fault = ""

    return Answered()


def test_counts_survive_kill_9(tmp_path: Path, load_app: Callable[[str], ModuleType]) -> None:
    """What was written is there with no daemon; nothing else of it is needed."""
    with in_thread(tmp_path / "living") as running:
        client = connect(running.cloud)
        app = modal.App("kept")
        app.function(max_containers=1)(load_app("functions").double)
        app.deploy(client=client)
        function = modal.Function.from_name("kept", "double", client=client)
        assert function.remote(2) == 4
        wait_until(lambda: bool(running.backend.store.tallies.all()))
        shutil.copytree(tmp_path / "living", tmp_path / "left", symlinks=True)
    with asleep(tmp_path / "left") as sleeping:
        client = connect(sleeping)
        stats = modal.App.lookup("kept", client=client).stats()
        assert stats.functions["double"].counts.calls.succeeded == 1
        function = modal.Function.from_name("kept", "double", client=client)
        assert function.stats().input_success_count == 1
        assert function.metrics.schema()
        assert function.metrics.export(groups=["calls"]).point_count
