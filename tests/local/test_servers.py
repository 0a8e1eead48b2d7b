"""Servers (`@app.server`) through the gateway, with the real SDK and real HTTP clients."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import aiohttp
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


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with in_thread(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(scope="module")
def client(running: Running) -> modal.Client:
    return connect(running.cloud)


@pytest.fixture
def deploy(client: modal.Client, load_app: Callable[[str], ModuleType]) -> Iterator[Callable[..., str]]:
    """Deploy the Server with keywords of its decorator; its URL."""

    def deploy(*, strategy: str = "rolling", environment: dict[str, str] | None = None, **settings: Any) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SETTINGS", json.dumps(settings))
            for name, value in (environment or {}).items():
                patch.setenv(name, value)
            patch.delitem(sys.modules, "server", raising=False)
            load_app("server").app.deploy(client=client, strategy=strategy)
        return str(modal.Server.from_name("server", "Server", client=client).get_url())

    yield deploy
    modal.App.lookup("server", client=client).stop()


def opened(url: str, *, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return urllib.request.urlopen(  # type: ignore[no-any-return]
        urllib.request.Request(url, headers=named, method=method), timeout=PATIENCE
    )


def get(url: str, *, method: str = "GET", **headers: str) -> tuple[int, str]:
    try:
        with opened(url, method=method, **headers) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except http.client.RemoteDisconnected:
        return 0, "cut: without a grace period a rollout may meet any request"


def ready(url: str, **headers: str) -> str:
    """What a Server answers as soon as it does."""
    wait_until(lambda: get(url, **headers)[0] == 200)
    return get(url, **headers)[1]


def log(client: modal.Client) -> str:
    return "".join(entry.message for entry in modal.App.lookup("server", client=client).logs.tail(500))


def held(folder: Path) -> list[str]:
    """The containers of the requests that wait for ``go``, one entry a request."""
    return sorted(path.name.partition(".")[0] for path in folder.iterdir() if path.name != "go")


@contextlib.contextmanager
def holding(url: str, count: int, folder: Path) -> Iterator[list[str]]:
    """So many requests that run during the block."""
    with ThreadPoolExecutor(count) as threads:
        tasks = [threads.submit(get, f"{url}/task?hold={folder}") for _ in range(count)]
        try:
            wait_until(lambda: len(held(folder)) == count)
            yield held(folder)
        finally:
            (folder / "go").touch()
        assert [task.result()[0] for task in tasks] == [200] * count
    for path in folder.iterdir():
        path.unlink()


class TestStart:
    def test_at_zero_a_request_gets_503_and_makes_one_start(
        self, deploy: Callable[..., str], client: modal.Client, running: Running
    ) -> None:
        url = deploy()
        assert url == f"{running.cloud.gateway_url}/server-server"
        server = modal.Server.from_name("server", "Server", client=client)
        assert server.info().server_url == url
        assert "starts" not in log(client)
        assert get(url) == (503, "no container is ready: one starts, ask again")
        assert get(url)[0] == 503
        task = ready(f"{url}/task")
        assert log(client).count(" starts\n") == 1
        wait_until(lambda: f"{task} is leaving" in log(client))  # the exit hook, after scaledown_window
        wait_until(lambda: get(url)[0] == 503)

    def test_nothing_reaches_it_before_its_enter_hooks_are_done(
        self, deploy: Callable[..., str], client: modal.Client, tmp_path: Path
    ) -> None:
        url = deploy(min_containers=1, environment={"GATE": str(tmp_path)})
        wait_until(lambda: "behind the gate" in log(client))
        assert [get(url)[0] for _ in range(5)] == [503] * 5
        (tmp_path / "open").touch()
        assert ready(f"{url}/a?b=%2F") == "/a?b=%2F"

    def test_a_start_that_takes_too_long_is_ended(
        self, deploy: Callable[..., str], client: modal.Client, tmp_path: Path
    ) -> None:
        url = deploy(startup_timeout=1, environment={"GATE": str(tmp_path)})
        assert get(url)[0] == 503
        wait_until(lambda: "it was not ready within its startup timeout of 1s" in log(client))
        wait_until(lambda: "startup timeout of 1s" in get(url)[1])

    def test_why_a_start_failed_is_told(self, deploy: Callable[..., str], tmp_path: Path) -> None:
        (tmp_path / "fail").touch()
        (tmp_path / "open").touch()
        url = deploy(environment={"GATE": str(tmp_path)})
        wait_until(lambda: "RuntimeError('it does not start today')" in get(url)[1])
        assert get(url)[0] == 503
        (tmp_path / "fail").unlink()
        assert ready(url) == "/"

    def test_it_takes_no_calls(self, deploy: Callable[..., str], client: modal.Client, running: Running) -> None:
        deploy()
        server = modal.Server.from_name("server", "Server", client=client)
        server.hydrate(client)
        with pytest.raises(Exception, match="a Server cannot be called"):
            call(running.cloud, "FunctionMap", api_pb2.FunctionMapRequest(function_id=server.object_id))
        with pytest.raises(modal.exception.NotFoundError):
            modal.Cls.from_name("server", "Server", client=client).hydrate(client)


class TestLoad:
    def test_above_max_concurrency_429(self, deploy: Callable[..., str], tmp_path: Path) -> None:
        url = deploy(max_concurrency=2, max_containers=1)
        task = ready(f"{url}/task")
        with holding(url, 2, tmp_path) as containers:
            assert containers == [task, task]
            assert get(url) == (429, "every container has its 2 requests (max_concurrency)")
        assert get(url)[0] == 200

    def test_without_a_target_nothing_is_added(
        self, deploy: Callable[..., str], client: modal.Client, tmp_path: Path
    ) -> None:
        url = deploy(max_containers=3)
        task = ready(f"{url}/task")
        with holding(url, 4, tmp_path) as containers:
            assert containers == [task] * 4
        assert log(client).count(" starts\n") == 1

    def test_above_the_target_a_container_is_added_and_takes_requests(
        self, deploy: Callable[..., str], client: modal.Client, tmp_path: Path
    ) -> None:
        url = deploy(max_containers=2, target_concurrency=1.5, scaledown_window=60)
        ready(url)
        first, second = tmp_path / "1", tmp_path / "2"
        first.mkdir()
        second.mkdir()
        with holding(url, 2, first) as containers:
            assert len(set(containers)) == 1
            wait_until(lambda: get(f"{url}/task")[1] not in containers)
            with holding(url, 2, second) as others:
                assert not set(others) & set(containers)
        assert log(client).count(" starts\n") == 2

    def test_a_scaleup_window_waits(self, deploy: Callable[..., str], client: modal.Client, tmp_path: Path) -> None:
        url = deploy(max_containers=2, target_concurrency=1, scaleup_window=3600)
        ready(url)
        with holding(url, 3, tmp_path):
            assert log(client).count(" starts\n") == 1
            server = modal.Server.from_name("server", "Server", client=client)
            assert server.autoscaler.update(scaleup_window=1).scaleup_window == 1
            wait_until(lambda: log(client).count(" starts\n") == 2)

    def test_the_autoscaler_is_changed_until_the_next_deployment(
        self, deploy: Callable[..., str], client: modal.Client
    ) -> None:
        url = deploy(max_containers=2, target_concurrency=3)
        server = modal.Server.from_name("server", "Server", client=client)
        assert get(url)[0] == 503
        changed = server.autoscaler.update(target_concurrency=2.5, min_containers=2, max_containers=None)
        assert (changed.target_concurrency, changed.min_containers, changed.max_containers) == (2.5, 2, None)
        wait_until(lambda: log(client).count(" starts\n") == 2)
        deploy(max_containers=2, target_concurrency=4)
        settings = server.autoscaler.settings()
        assert (settings.target_concurrency, settings.max_containers) == (4, 2)
        assert not settings.min_containers

    def test_one_session_stays_with_one_container(self, deploy: Callable[..., str], client: modal.Client) -> None:
        url = deploy(min_containers=2)
        sessions = "abcdefghijklmnop"

        def tasks() -> list[str]:
            return [get(f"{url}/task", Modal_Session_ID=session)[1] for session in sessions]

        wait_until(lambda: len({task for task in tasks() if task.startswith("ta-")}) == 2)
        assert tasks() == tasks()


class TestProxyTokens:
    def test_401_without_them_and_before_anything_else(
        self, deploy: Callable[..., str], client: modal.Client, running: Running
    ) -> None:
        url = deploy(unauthenticated=False)
        token = running.backend.proxy_token
        own = {"Modal_Key": token.token_id, "Modal_Secret": token.token_secret}
        missing = (401, "modal-http: missing credentials for proxy authorization")
        assert get(url) == get(url, Modal_Key=token.token_id) == get(url, method="OPTIONS") == missing
        wrong = (401, "modal-http: invalid credentials for proxy authorization")
        assert get(url, Modal_Key=token.token_id, Modal_Secret="ws-guessed") == wrong
        # Not even a container's or a client's own token: those are others.
        cloud = running.cloud
        assert get(url, Modal_Key=cloud.token_id, Modal_Secret=cloud.token_secret) == wrong
        assert "starts" not in log(client)
        assert get(url, **own)[0] == 503
        headers = ready(f"{url}/headers", **own).split(",")
        assert "Host" in headers
        assert not {"Modal-Key", "Modal-Secret"} & set(headers)

    def test_websockets_too(self, deploy: Callable[..., str]) -> None:
        url = deploy(unauthenticated=False)

        async def opened() -> int:
            async with aiohttp.ClientSession() as session:
                with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                    await session.ws_connect(url)
                return refusal.value.status

        assert asyncio.run(opened()) == 401


class TestRollout:
    @pytest.mark.parametrize("grace", [0, 10])
    def test_streams_get_the_grace_period(
        self, deploy: Callable[..., str], client: modal.Client, tmp_path: Path, grace: int
    ) -> None:
        url = deploy(exit_grace_period=grace, max_containers=2, environment={"VERSION": "1"})
        ready(url)
        with opened(f"{url}/stream?hold={tmp_path}") as stream:
            assert stream.readline() == b"more\n"
            gate = tmp_path / "gate"
            gate.mkdir()
            deploy(exit_grace_period=grace, max_containers=2, environment={"VERSION": "2", "GATE": str(gate)})
            wait_until(lambda: "behind the gate" in log(client))
            assert get(f"{url}/version") == (200, "1")  # the old one serves until the new one is ready
            (gate / "open").touch()
            wait_until(lambda: get(f"{url}/version") == (200, "2"))
            if grace:
                assert stream.readline() == b"more\n"
                (tmp_path / "go").touch()
                assert stream.read().endswith(b"end\n")
            else:
                with pytest.raises(http.client.IncompleteRead):
                    stream.read()
        wait_until(lambda: "is leaving" in log(client))

    def test_a_stream_that_outlasts_its_grace_is_cut(
        self, deploy: Callable[..., str], client: modal.Client, tmp_path: Path
    ) -> None:
        url = deploy(exit_grace_period=1, max_containers=2)
        ready(url)
        with opened(f"{url}/stream?hold={tmp_path}") as stream:
            deploy(exit_grace_period=1, max_containers=2, environment={"VERSION": "2"})
            with pytest.raises(http.client.IncompleteRead):
                stream.read()
        assert "its requests have 1s" in log(client)

    def test_at_max_containers_nothing_is_replaced_unless_the_old_ones_are_stopped(
        self, deploy: Callable[..., str], client: modal.Client
    ) -> None:
        url = deploy(max_containers=1, scaledown_window=600, environment={"VERSION": "1"})
        ready(url)
        deploy(max_containers=1, scaledown_window=600, environment={"VERSION": "2"})
        assert get(f"{url}/version") == (200, "1")
        assert log(client).count(" starts\n") == 1
        deploy(max_containers=1, scaledown_window=600, environment={"VERSION": "3"}, strategy="recreate")
        assert ready(f"{url}/version") == "3"

    def test_an_older_version_comes_back(
        self, deploy: Callable[..., str], client: modal.Client, running: Running
    ) -> None:
        url = deploy(max_containers=2, environment={"VERSION": "1"})
        assert ready(f"{url}/version") == "1"
        deploy(max_containers=2, environment={"VERSION": "2"})
        wait_until(lambda: get(f"{url}/version")[1] == "2")
        app_id = modal.App.lookup("server", client=client).app_id
        call(running.cloud, "AppRollback", api_pb2.AppRollbackRequest(app_id=app_id, version=-1))
        wait_until(lambda: get(f"{url}/version")[1] == "1")
        assert modal.Server.from_name("server", "Server", client=client).get_url() == url

    def test_a_server_that_becomes_a_web_function_is_gone(
        self, deploy: Callable[..., str], client: modal.Client, load_app: Callable[[str], ModuleType]
    ) -> None:
        url = deploy(scaledown_window=600)
        ready(url)
        app = modal.App("server")
        app.function(name="Server")(load_app("functions").double)
        app.deploy(client=client)
        assert get(url)[0] == 404
        assert modal.Function.from_name("server", "Server", client=client).remote(21) == 42
        wait_until(lambda: "is leaving" in log(client))
