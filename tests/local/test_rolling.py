"""What a new version does to containers of the old one, of web functions and of Servers, under requests."""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import modal
import pytest
from modal_proto import api_pb2
from support import PATIENCE, call, connect, wait_until

from glmdeploy.local.daemon import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

    from glmdeploy.local.daemon import Running

KINDS = pytest.mark.parametrize("kind", ["web_server", "server"])
EITHER = pytest.mark.parametrize("kind", ["web_server", pytest.param("server", marks=pytest.mark.thorough)])


class Cloud:
    """The app's versions, and who asks them."""

    def __init__(self, running: Running, client: modal.Client, load_app: Callable[[str], ModuleType]) -> None:
        self.running = running
        self.client = client
        self._load_app = load_app
        self.app_id = ""
        self.url = ""

    def deploy(self, kind: str, version: int, *, strategy: str = "rolling", **settings: Any) -> None:
        given = {"kind": kind, "version": version, **settings}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SETTINGS", json.dumps(given))
            patch.delitem(sys.modules, "rolling", raising=False)
            self.app_id = self._load_app("rolling").app.deploy(client=self.client, strategy=strategy).app_id
        if kind == "server":
            self.url = str(modal.Server.from_name("rolling", "Server", client=self.client).get_url())
        else:
            self.url = str(modal.Cls.from_name("rolling", "Server", client=self.client)().serve.get_web_url())

    def ask(self, path: str = "") -> tuple[str, str]:
        """The version and the container that answer."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=PATIENCE) as response:
            lines = response.read().decode().splitlines()
        if path:
            assert len(lines) == 6, lines
            assert len(set(lines)) == 1
        version, task = lines[0].split()
        return version, task

    def warm(self) -> str:
        """Wait for a container to answer; its name."""

        def answers() -> bool:
            try:
                self.ask()
            except OSError:
                return False
            return True

        wait_until(answers)
        return self.ask()[1]

    def tasks(self) -> list[api_pb2.TaskStats]:
        request = api_pb2.TaskListRequest(app_id=self.app_id)
        return list(call(self.running.cloud, "TaskList", request).tasks)

    def log(self) -> str:
        return "".join(entry.message for entry in modal.App.lookup("rolling", client=self.client).logs.tail(2000))

    @contextmanager
    def asked(self) -> Iterator[list[tuple[str, str]]]:
        """Requests and streams one after another as long as the block lasts: version and container of each."""
        done = threading.Event()
        seen: list[tuple[str, str]] = []
        failures: list[BaseException] = []

        def loop(path: str) -> None:
            while not done.is_set():
                try:
                    seen.append(self.ask(path))
                except (OSError, AssertionError) as error:
                    failures.append(error)
                time.sleep(0.02)

        threads = [threading.Thread(target=loop, args=(path,)) for path in ("", "/stream")]
        for thread in threads:
            thread.start()
        self.goes_on(seen, 2)
        try:
            yield seen
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert not failures

    def goes_on(self, seen: list[tuple[str, str]], more: int = 10) -> None:
        """Wait for more answers."""
        so_far = len(seen)
        wait_until(lambda: len(seen) >= so_far + more)


@pytest.fixture(scope="module")
def cloud_of_this_file(
    tmp_path_factory: pytest.TempPathFactory, load_app: Callable[[str], ModuleType]
) -> Iterator[Cloud]:
    with in_thread(tmp_path_factory.mktemp("cloud")) as running:
        yield Cloud(running, connect(running.cloud), load_app)


@pytest.fixture
def cloud(cloud_of_this_file: Cloud) -> Iterator[Cloud]:
    yield cloud_of_this_file
    modal.App.lookup("rolling", client=cloud_of_this_file.client).stop()
    wait_until(lambda: not cloud_of_this_file.running.backend.worker.members)


@KINDS
def test_a_slow_start_stalls_nobody_and_loses_nothing(cloud: Cloud, kind: str, tmp_path: Path) -> None:
    cloud.deploy(kind, 1, scaling={"min_containers": 1, "max_containers": 2})
    old = cloud.warm()
    with cloud.asked() as seen:
        cloud.deploy(kind, 2, gate=str(tmp_path / "open"), scaling={"min_containers": 1, "max_containers": 2})
        wait_until(lambda: "version 2 waits" in cloud.log())
        cloud.goes_on(seen)
        (tmp_path / "open").touch()
        wait_until(lambda: seen[-1][0] == "2")
        cloud.goes_on(seen)
    assert {task for version, task in seen if version == "1"} == {old}
    wait_until(lambda: len(cloud.tasks()) == 1)


@KINDS
def test_one_that_never_starts_is_not_noticed(cloud: Cloud, kind: str) -> None:
    cloud.deploy(kind, 1, scaling={"min_containers": 1, "max_containers": 2})
    old = cloud.warm()
    with cloud.asked() as seen:
        cloud.deploy(kind, 2, fails=True, scaling={"min_containers": 1, "max_containers": 2})
        wait_until(lambda: cloud.log().count("version 2 does not start") >= 2)  # it is started again
        cloud.goes_on(seen)
        assert {task for _, task in seen} == {old}
        answer = call(cloud.running.cloud, "AppRollback", api_pb2.AppRollbackRequest(app_id=cloud.app_id, version=-1))
        wait_until(lambda: seen[-1][1] != old)
        cloud.goes_on(seen)
    assert {version for version, _ in seen} == {"1"}
    assert all(task.enqueued_at > answer.deployed_at for task in cloud.tasks() if task.task_id != old)


@EITHER
def test_at_the_cap_nothing_starts_until_one_ends(cloud: Cloud, kind: str) -> None:
    cloud.deploy(kind, 1, scaling={"min_containers": 1, "max_containers": 1})
    old = cloud.warm()
    cloud.deploy(kind, 2, scaling={"min_containers": 1, "max_containers": 1})
    for _ in range(5):
        assert cloud.ask() == ("1", old)
    assert [task.task_id for task in cloud.tasks()] == [old]
    call(cloud.running.cloud, "ContainerStop", api_pb2.ContainerStopRequest(task_id=old))
    new = cloud.warm()
    assert cloud.ask() == ("2", new)
    # An override makes room for the next one.
    cloud.deploy(kind, 3, scaling={"min_containers": 1, "max_containers": 1})
    assert cloud.ask() == ("2", new)
    if kind == "server":
        modal.Server.from_name("rolling", "Server", client=cloud.client).autoscaler.update(max_containers=2)
    else:
        modal.Cls.from_name("rolling", "Server", client=cloud.client)().serve.autoscaler.update(max_containers=2)
    wait_until(lambda: cloud.ask()[0] == "3")


@EITHER
def test_a_rollover_replaces_in_the_same_way(cloud: Cloud, kind: str) -> None:
    cloud.deploy(kind, 1, scaling={"min_containers": 1, "max_containers": 2})
    old = cloud.warm()
    with cloud.asked() as seen:
        call(cloud.running.cloud, "AppRollover", api_pb2.AppRolloverRequest(app_id=cloud.app_id))
        wait_until(lambda: seen[-1][1] != old)
        cloud.goes_on(seen)
    wait_until(lambda: len(cloud.tasks()) == 1)


def test_recreate_stops_those_of_before(cloud: Cloud) -> None:
    cloud.deploy("web_server", 1, scaling={"min_containers": 1, "max_containers": 1})
    cloud.warm()
    cloud.deploy("web_server", 2, strategy="recreate", scaling={"min_containers": 1, "max_containers": 1})
    assert cloud.ask()[0] == "2"


def test_without_a_minimum_a_request_starts_the_new_one(cloud: Cloud) -> None:
    cloud.deploy("web_server", 1, scaling={"max_containers": 2})
    old = cloud.warm()
    cloud.deploy("web_server", 2, scaling={"max_containers": 2})
    assert [task.task_id for task in cloud.tasks()] == [old]
    assert cloud.ask() == ("1", old)
    wait_until(lambda: cloud.ask()[0] == "2")


def test_what_fails_from_the_beginning_is_started_again(cloud: Cloud) -> None:
    cloud.deploy("web_server", 1, fails=True, scaling={"min_containers": 1, "max_containers": 2})
    wait_until(lambda: cloud.log().count("version 1 does not start") >= 2)
