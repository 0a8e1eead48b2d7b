"""Clustered Servers: their containers start and end as one, with the real SDK in them and real HTTP clients."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import modal
import pytest
from grpclib import GRPCError, Status
from modal_proto import api_pb2
from support import PATIENCE, call, connect, wait_until

from glmdeploy.local.daemon import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

    from glmdeploy.local.containers.member import Member
    from glmdeploy.local.daemon import Running


class Cloud:
    """The clustered Server's versions, and who asks them."""

    def __init__(self, running: Running, client: modal.Client, load_app: Callable[[str], ModuleType]) -> None:
        self.running = running
        self.client = client
        self._load_app = load_app
        self.url = ""

    def deploy(self, *, environment: dict[str, str] | None = None, **settings: Any) -> None:
        given = {"size": 2, **settings}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SETTINGS", json.dumps(given))
            for name, value in (environment or {}).items():
                patch.setenv(name, value)
            patch.delitem(sys.modules, "cluster", raising=False)
            self._load_app("cluster").app.deploy(client=self.client)
        self.url = str(self.server.get_url())

    @property
    def server(self) -> modal.Server:
        return modal.Server.from_name("cluster", "Server", client=self.client)

    def get(self, path: str = "/") -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=PATIENCE) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except http.client.RemoteDisconnected:
            return 0, "cut: without a grace period a rollout may meet any request"

    def ready(self, version: int = 1) -> dict[str, Any]:
        """What the rank 0 of a version has seen of its cluster, as soon as it answers."""
        seen: dict[str, Any] = {}

        def answers() -> bool:
            status, text = self.get()
            seen.update(json.loads(text) if status == 200 else {})
            return status == 200 and seen["version"] == version

        wait_until(answers)
        return seen

    def log(self, task: str = "") -> str:
        logs = modal.App.lookup("cluster", client=self.client).logs.tail(2000)
        return "".join(entry.message for entry in logs if not task or task in entry.context_ids)

    @property
    def members(self) -> dict[str, Member]:
        return dict(self.running.backend.worker.members)

    def tasks(self) -> set[str]:
        return {task.task_id for task in call(self.running.cloud, "TaskList", api_pb2.TaskListRequest()).tasks}

    def seen(self) -> list[dict[str, Any]]:
        """What each container has said of its cluster."""
        lines = self.log().splitlines()
        return [json.loads(line.removeprefix("saw ")) for line in lines if line.startswith("saw ")]

    def pid(self, task: str) -> int:
        process = self.members[task]._process._process
        assert process is not None
        return process.pid

    def gone(self, *tasks: str) -> None:
        wait_until(lambda: not self.members.keys() & set(tasks))


@contextmanager
def a_cloud(folder: Path, load_app: Callable[[str], ModuleType]) -> Iterator[Cloud]:
    with in_thread(folder) as running:
        yield Cloud(running, connect(running.cloud), load_app)


@pytest.fixture(scope="module")
def cloud_of_this_file(
    tmp_path_factory: pytest.TempPathFactory, load_app: Callable[[str], ModuleType]
) -> Iterator[Cloud]:
    with a_cloud(tmp_path_factory.mktemp("cloud"), load_app) as cloud:
        yield cloud


@pytest.fixture
def cloud(cloud_of_this_file: Cloud) -> Iterator[Cloud]:
    yield cloud_of_this_file
    modal.App.lookup("cluster", client=cloud_of_this_file.client).stop()
    wait_until(lambda: not cloud_of_this_file.members)


class TestStart:
    def test_each_rank_knows_the_others(self, cloud: Cloud) -> None:
        cloud.deploy(size=3, server={"min_containers": 3})
        answered = cloud.ready()
        ranks = sorted(cloud.seen(), key=lambda one: int(one["rank"]))
        assert [one["rank"] for one in ranks] == [0, 1, 2]
        assert answered == ranks[0]
        assert [one["me"] for one in ranks] == answered["tasks"]
        assert set(answered["tasks"]) == cloud.tasks() == cloud.members.keys()
        network = answered["ipv4"][0].rpartition(".")[0]
        assert answered["ipv4"] == [f"{network}.{host}" for host in (1, 2, 3)]
        assert network.startswith("127.")
        assert answered["ips"] == [f"::ffff:{address}" for address in answered["ipv4"]]
        assert [one["own"] for one in ranks] == answered["ips"]
        shared = ("cluster", "tasks", "ips", "ipv4", "port", "cloud")
        assert all(one[name] == answered[name] for one in ranks for name in shared)
        assert answered["cloud"] == "CLOUD_PROVIDER_UNSPECIFIED"
        assert answered["peers"] == [0]

        cluster = modal.Cluster.from_id(answered["cluster"], client=cloud.client)
        assert cluster.container_ids() == answered["tasks"]
        assert [cluster.container_rank(task) for task in answered["tasks"]] == [0, 1, 2]
        [listed] = call(
            cloud.running.cloud, "ClusterList", api_pb2.ClusterListRequest(environment_name="main")
        ).clusters
        assert (listed.cluster_id, list(listed.task_ids)) == (answered["cluster"], answered["tasks"])
        assert listed.started_at > 0
        assert not call(cloud.running.cloud, "ClusterList", api_pb2.ClusterListRequest(environment_name="b")).clusters

        function = api_pb2.FunctionGetCurrentStatsRequest(function_id=cloud.members[answered["me"]].function_id)
        assert call(cloud.running.cloud, "FunctionGetCurrentStats", function).num_total_tasks == 3
        info = cloud.server.info().cluster_info
        assert info is not None
        assert (info.size, info.rdma) == (3, False)
        assert all(f"rank {one['rank']} of 3 in cluster {one['cluster']}" in cloud.log(one["me"]) for one in ranks)

    def test_none_goes_on_before_all_are_there(self, cloud: Cloud, tmp_path: Path) -> None:
        cloud.deploy(gate=str(tmp_path / "open"), server={"min_containers": 2})
        wait_until(lambda: "behind the gate" in cloud.log())
        hellos = self.hellos(cloud)
        wait_until(lambda: hellos() == 1)
        assert cloud.get()[0] == 503
        assert not cloud.seen()
        (tmp_path / "open").touch()
        cloud.ready()
        assert len(cloud.seen()) == 2

    def hellos(self, cloud: Cloud) -> Callable[[], int]:
        """How many have said hello."""
        [gang] = cloud.running.backend.worker.gangs.values()
        return lambda: len(gang._greeted)

    @pytest.mark.thorough
    def test_fresh_processes_know_them_too(self, cloud: Cloud) -> None:
        """A variable that Python reads when it starts makes them no forks."""
        cloud.deploy(environment={"PYTHONUTF8": "1", "MORE_NAMES": "PYTHONUTF8"}, server={"min_containers": 2})
        answered = cloud.ready()
        assert sorted(one["own"] for one in cloud.seen()) == answered["ips"]

    def test_a_size_of_one(self, cloud: Cloud) -> None:
        cloud.deploy(size=1, server={"min_containers": 1})
        answered = cloud.ready()
        assert (answered["rank"], answered["tasks"]) == (0, [answered["me"]])

    @pytest.mark.thorough
    def test_two_at_once_share_nothing(self, cloud: Cloud) -> None:
        cloud.deploy(server={"min_containers": 4, "max_containers": 4})
        wait_until(lambda: len([one for one in cloud.members.values() if one.ready]) == 4)
        first, second = {one["cluster"]: one for one in cloud.seen()}.values()
        assert not set(first["tasks"]) & set(second["tasks"])
        assert not set(first["ips"]) & set(second["ips"])
        assert first["port"] != second["port"]
        answering = {json.loads(cloud.get()[1])["me"] for _ in range(30)}
        assert answering <= {first["tasks"][0], second["tasks"][0]}

    def test_the_start_of_rank_1_fails(self, cloud: Cloud) -> None:
        cloud.deploy(ranks={"1": "fail"})
        assert cloud.get()[0] == 503
        wait_until(lambda: "rank 1 does not start" in cloud.get()[1])
        told = cloud.get()[1]
        assert "container failed to start (rank 1 of its cluster): RuntimeError('rank 1 does not start')" in told
        seen = {one["rank"]: one["me"] for one in cloud.seen()[:2]}
        cloud.gone(*seen.values())
        reason = "ended after a failed start: RuntimeError: rank 1 does not start"
        assert f"ends with its cluster: rank 1, container {seen[1]}, {reason}\n" in cloud.log(seen[0])
        assert f"container {seen[1]} {reason}\n" in cloud.log(seen[1])

    @pytest.mark.thorough
    def test_the_start_of_rank_1_takes_too_long(self, cloud: Cloud) -> None:
        """Who waits for it is not to blame."""
        cloud.deploy(ranks={"1": "hang"}, server={"startup_timeout": 2})
        assert cloud.get()[0] == 503
        wait_until(lambda: "startup timeout of 2s" in cloud.get()[1])
        assert "container failed to start (rank 1 of its cluster)" in cloud.get()[1]
        waited, *_ = [one["me"] for one in cloud.seen() if one["rank"] == 0]
        lines = [line for line in cloud.log(waited).splitlines() if line.startswith(f"container {waited} ")]
        [_, ends, ended] = lines
        assert " ends with its cluster: rank 1, container " in ends
        assert "was not ready" not in ended

    def test_rank_0_does_not_listen(self, cloud: Cloud) -> None:
        cloud.deploy(ranks={"0": "deaf"}, server={"startup_timeout": 2})
        assert cloud.get()[0] == 503
        wait_until(lambda: "startup timeout of 2s" in cloud.get()[1])
        assert "container failed to start (rank 0 of its cluster)" in cloud.get()[1]

    def test_a_cluster_without_a_gpu_is_told_so(self, cloud: Cloud) -> None:
        cloud.deploy(server={"min_containers": 2})
        assert "Modal says that it has no clusters without GPUs" in cloud.log(cloud.ready()["me"])

    def test_what_it_asks_for_is_told(self, cloud: Cloud) -> None:
        cloud.deploy(rdma=True, server={"min_containers": 2, "gpu": "H200:8"})
        log = cloud.log(cloud.ready()["tasks"][1])
        assert "the function asks for H200 x 8: there is no GPU here" in log
        assert "the cluster asks for RDMA: there is none here" in log
        assert "without GPUs" not in log


class TestEnd:
    @pytest.mark.parametrize("rank", [0, 1])
    def test_the_crash_of_one_ends_both(self, cloud: Cloud, rank: int, tmp_path: Path) -> None:
        cloud.deploy(ranks={str(rank): f"crash {tmp_path / 'now'}"}, server={"min_containers": 2})
        tasks = cloud.ready()["tasks"]
        (tmp_path / "now").touch()
        cloud.gone(*tasks)
        reason = f"rank {rank}, container {tasks[rank]}, ended with exit code 7"
        assert f"ends with its cluster: {reason}\n" in cloud.log(tasks[1 - rank])
        assert f"{tasks[1 - rank]} is leaving" in cloud.log()
        assert f"container {tasks[rank]} ended with exit code 7\n" in cloud.log(tasks[rank])
        (tmp_path / "now").unlink()
        assert not set(cloud.ready()["tasks"]) & set(tasks)

    @pytest.mark.thorough
    def test_it_is_there_until_the_last_one_is_gone(self, cloud: Cloud, tmp_path: Path) -> None:
        """But it gets no requests, and no other takes its place before."""
        ranks = {"0": f"crash {tmp_path / 'now'}", "1": f"linger {tmp_path / 'go'}"}
        cloud.deploy(ranks=ranks, server={"min_containers": 2, "max_containers": 2})
        tasks = cloud.ready()["tasks"]
        (tmp_path / "now").touch()
        cloud.gone(tasks[0])
        assert cloud.get()[0] == 503
        assert cloud.tasks() == {tasks[1]}
        (tmp_path / "now").unlink()
        (tmp_path / "go").touch()
        cloud.gone(tasks[1])
        assert cloud.ready()["tasks"][0] not in tasks

    def test_a_killed_one_is_preempted(self, cloud: Cloud) -> None:
        cloud.deploy(server={"min_containers": 2})
        tasks = cloud.ready()["tasks"]
        os.kill(cloud.pid(tasks[1]), signal.SIGKILL)
        cloud.gone(*tasks)
        assert f"rank 1, container {tasks[1]}, was ended by signal 9\n" in cloud.log(tasks[0])
        assert cloud.ready()["tasks"][0] not in tasks

    @pytest.mark.parametrize("rank", [0, 1])
    def test_one_is_stopped(self, cloud: Cloud, rank: int, tmp_path: Path) -> None:
        """`modal container stop`: the requests of rank 0 may end before."""
        cloud.deploy(server={"exit_grace_period": 60})
        wait_until(lambda: cloud.get()[0] == 200)
        tasks = json.loads(cloud.get()[1])["tasks"]
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(cloud.get, str(tmp_path))
            wait_until((tmp_path / "asked").exists)
            call(cloud.running.cloud, "ContainerStop", api_pb2.ContainerStopRequest(task_id=tasks[rank]))
            assert cloud.get()[0] == 503
            assert "is leaving" not in cloud.log()
            (tmp_path / "go").touch()
            assert asked.result()[0] == 200
        cloud.gone(*tasks)
        assert all(f"{task} is leaving" in cloud.log() for task in tasks)
        assert f"container {tasks[rank]}, rank {rank} of the cluster, was stopped" in cloud.log(tasks[1 - rank])
        assert "ends with its cluster" not in cloud.log()

    @pytest.mark.thorough
    def test_scaledown(self, cloud: Cloud) -> None:
        cloud.deploy(server={"scaledown_window": 2})
        wait_until(lambda: cloud.get()[0] == 200)
        tasks = json.loads(cloud.get()[1])["tasks"]
        cluster = json.loads(cloud.get()[1])["cluster"]
        network = cloud.running.backend.worker.gangs[cluster].network
        cloud.gone(*tasks)
        assert all(f"{task} is leaving" in cloud.log() for task in tasks)
        assert "ends with its cluster" not in cloud.log()
        with pytest.raises(modal.exception.NotFoundError):
            modal.Cluster.from_id(cluster, client=cloud.client).container_ids()
        assert network._hold.fileno() == -1

    def test_the_memory_of_each_is_kept(self, cloud: Cloud) -> None:
        cloud.deploy(server={"min_containers": 2, "gpu": "H200:8"})
        tasks = cloud.ready()["tasks"]
        os.kill(cloud.pid(tasks[1]), signal.SIGKILL)
        cloud.gone(*tasks)
        infos = [call(cloud.running.cloud, "TaskGetInfo", api_pb2.TaskGetInfoRequest(task_id=task)) for task in tasks]
        assert [info.info.gpu_config.count for info in infos] == [8, 8]
        assert all(0 < info.info.started_at < info.info.finished_at for info in infos)
        kind = api_pb2.GenericResult
        assert infos[1].info.result.status == kind.GENERIC_STATUS_INTERNAL_FAILURE


class TestVersions:
    def test_the_old_cluster_serves_until_the_new_one_is_ready(self, cloud: Cloud, tmp_path: Path) -> None:
        settings = {"min_containers": 2, "max_containers": 4, "exit_grace_period": 60}
        cloud.deploy(server=settings)
        old = cloud.ready()
        over, versions = threading.Event(), []
        statuses = set()

        def ask() -> None:
            while not over.is_set():
                status, text = cloud.get()
                statuses.add(status)
                versions.append(json.loads(text)["version"])

        with ThreadPoolExecutor(1) as threads:
            asking = threads.submit(ask)
            try:
                cloud.deploy(version=2, server=settings)
                wait_until(lambda: 2 in versions)
                cloud.gone(*old["tasks"])
            finally:
                over.set()
            asking.result()
        assert statuses == {200}
        assert versions == sorted(versions)
        assert "ends with its cluster" not in cloud.log()

    def test_one_whose_rank_1_never_starts_is_not_noticed(self, cloud: Cloud) -> None:
        settings = {"min_containers": 2, "max_containers": 4}
        cloud.deploy(server=settings)
        old = cloud.ready()
        cloud.deploy(version=2, ranks={"1": "fail"}, server=settings)
        wait_until(lambda: cloud.log().count("RuntimeError: rank 1 does not start") >= 2)
        assert json.loads(cloud.get()[1])["me"] == old["me"]

    @pytest.mark.thorough
    def test_another_size(self, cloud: Cloud) -> None:
        """The old cluster counts as what it has: with it there is no room for a new one."""
        cloud.deploy(size=4, server={"min_containers": 4, "max_containers": 4})
        old = cloud.ready()
        cloud.deploy(version=2, size=2, server={"min_containers": 2, "max_containers": 4})
        assert json.loads(cloud.get()[1])["version"] == 1
        assert cloud.tasks() == set(old["tasks"])
        cloud.server.autoscaler.update(max_containers=6)
        new = cloud.ready(2)
        assert len(new["tasks"]) == 2
        cloud.gone(*old["tasks"])

    def test_a_larger_one_makes_room_for_two_smaller_ones(self, cloud: Cloud) -> None:
        """Else the second one would wait for its room, and the old one for the second."""
        cloud.deploy(size=4, server={"min_containers": 4, "max_containers": 4})
        old = cloud.ready()
        cloud.deploy(version=2, size=2, server={"min_containers": 4, "max_containers": 6})
        cloud.ready(2)
        cloud.gone(*old["tasks"])
        wait_until(lambda: len([one for one in cloud.members.values() if one.ready]) == 4)

    def test_from_one_container_to_a_cluster(self, cloud: Cloud) -> None:
        cloud.deploy(size=1, server={"min_containers": 1, "max_containers": 4})
        cloud.ready()
        cloud.deploy(version=2, server={"min_containers": 2, "max_containers": 4})
        assert len(cloud.ready(2)["tasks"]) == 2


class TestScale:
    def test_containers_are_counted_in_clusters(self, cloud: Cloud) -> None:
        cloud.deploy(server={"max_containers": 2, "min_containers": 2})
        cloud.ready()
        for wrong in ({"min_containers": 1}, {"max_containers": 3}):
            with pytest.raises(
                modal.exception.InvalidError, match=r"must be a multiple of the size of a cluster \(2\)"
            ):
                cloud.server.autoscaler.update(**wrong)
        cloud.server.autoscaler.update(min_containers=4, max_containers=4)
        wait_until(lambda: len([one for one in cloud.members.values() if one.ready]) == 4)
        assert len(call(cloud.running.cloud, "ClusterList", api_pb2.ClusterListRequest()).clusters) == 2

    def test_gpus_are_taken_for_all_at_once(
        self, tmp_path: Path, load_app: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GLMDEPLOY_LOCAL_MAX_GPUS", "24")
        with a_cloud(tmp_path, load_app) as cloud:
            cloud.deploy(server={"min_containers": 4, "max_containers": 4, "gpu": "H200:8"})
            cloud.ready()
            waiting = [one for one in cloud.members.values() if not one.started_at]
            assert len(waiting) == 2
            assert waiting[0].peers == (waiting[1],)
            assert "waits for 16 of the 24 GPUs" in cloud.log(waiting[1].task_id)
            assert cloud.running.backend.worker.quota.used("main") == 16
            running = next(one for one in cloud.members.values() if one.ready)
            call(cloud.running.cloud, "ContainerStop", api_pb2.ContainerStopRequest(task_id=running.task_id))
            wait_until(lambda: all(one.ready for one in waiting))


class TestRefusals:
    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({}, "clustered functions and classes (only a Server can be clustered) are not supported"),
            ({"is_class": True}, "clustered functions and classes (only a Server can be clustered) are not supported"),
        ],
    )
    def test_only_servers(self, cloud_of_this_file: Cloud, fields: dict[str, Any], says: str) -> None:
        cloud = cloud_of_this_file.running.cloud
        app_id = call(cloud, "AppCreate", api_pb2.AppCreateRequest(description="x")).app_id
        function = api_pb2.Function(function_name="f", module_name="m", _experimental_group_size=2, **fields)
        with pytest.raises(GRPCError) as refusal:
            call(cloud, "FunctionCreate", api_pb2.FunctionCreateRequest(app_id=app_id, function=function))
        assert refusal.value.status is Status.UNIMPLEMENTED
        assert str(refusal.value.message).startswith(says)

    def test_a_container_speaks_for_itself_alone(self, cloud: Cloud) -> None:
        cloud.deploy(server={"min_containers": 2})
        tasks = cloud.ready()["tasks"]
        assert self.hello(cloud, tasks[0], tasks[1]) is Status.PERMISSION_DENIED
        assert self.hello(cloud, tasks[0], "") is Status.PERMISSION_DENIED
        assert self.hello(cloud, tasks[1], tasks[1]) is None
        with pytest.raises(GRPCError) as refusal:
            call(cloud.running.cloud, "TaskClusterHello", api_pb2.TaskClusterHelloRequest(task_id=tasks[0]))
        assert refusal.value.status is Status.PERMISSION_DENIED

    def hello(self, cloud: Cloud, caller: str, said: str) -> Status | None:
        """What it is refused with."""
        headers = {
            "x-glmdeploy-task": caller,
            "x-glmdeploy-task-secret": cloud.members[caller].launch.task_secret,
        }
        request = api_pb2.TaskClusterHelloRequest(task_id=said, container_ip="::1")
        try:
            answer = call(cloud.running.cloud, "TaskClusterHello", request, headers)
        except GRPCError as refusal:
            return refusal.status
        assert answer.cluster_rank == cloud.members[caller].rank
        assert len(answer.container_ips) == 2
        return None
