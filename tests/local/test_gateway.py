"""Web functions through the gateway of the real daemon."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import aiohttp
import modal
import pytest
from modal_proto import api_pb2
from support import PATIENCE, call, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

    from glmdeploy.local.cloud import Cloud


@pytest.fixture(scope="module")
def deploy(client: modal.Client, load_app: Callable[[str], ModuleType]) -> Iterator[Callable[[str], str]]:
    """Deploy the website in a version; its URL."""

    def deploy(version: str) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("VERSION", version)
            patch.delitem(sys.modules, "website", raising=False)
            load_app("website").app.deploy(client=client)
        url = modal.Cls.from_name("website", "Website", client=client)().serve.get_web_url()
        assert url is not None
        return str(url)

    yield deploy
    modal.App.lookup("website", client=client).stop()


@pytest.fixture(scope="module")
def url(deploy: Callable[[str], str]) -> str:
    return deploy("1")


def get(url: str, *, data: bytes | None = None) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=PATIENCE) as response:
        return str(response.read().decode())


def refusal(url: str) -> tuple[int, str]:
    with pytest.raises(urllib.error.HTTPError) as error:
        get(url)
    with error.value:
        return error.value.code, json.loads(error.value.read())["error"]["message"]


def test_the_url_names_app_class_and_method(url: str, daemon: Cloud) -> None:
    assert url == f"{daemon.gateway_url}/website-website-serve"


def test_a_request_waits_for_the_container_and_passes_through(url: str) -> None:
    assert get(f"{url}/?q=%C3%A9%2F") == "/?q=%C3%A9%2F for /website-website-serve"
    body = os.urandom(300_000).hex().encode()
    assert get(f"{url}/post", data=body) == body.decode()


def test_a_compressed_body_passes_through_as_it_is(url: str) -> None:
    body = gzip.compress(b"x" * 1000, mtime=0)
    request = urllib.request.Request(f"{url}/post", data=body, headers={"Content-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        assert response.read() == body


def test_redirects_stay_behind_the_prefix(url: str) -> None:
    assert get(f"{url}/redirect").startswith("ta-")


def test_answers_are_streamed(url: str) -> None:
    started = time.monotonic()
    with urllib.request.urlopen(f"{url}/stream?count=40", timeout=PATIENCE) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.readline() == b"data: 0\n"
        first = time.monotonic() - started
        rest = response.read()
        whole = time.monotonic() - started
    assert rest.endswith(b"data: 39\n\n")
    assert whole - first > 0.5


def test_a_client_that_hangs_up_ends_the_request(url: str) -> None:
    before = int(get(f"{url}/hangups"))
    with urllib.request.urlopen(f"{url}/stream?count=100", timeout=PATIENCE) as response:
        response.readline()
    wait_until(lambda: int(get(f"{url}/hangups")) == before + 1)


def held(folder: Path) -> list[str]:
    """The containers of the requests that wait for ``go``, one entry a request."""
    return sorted(path.name.partition(".")[0] for path in folder.iterdir() if path.name != "go")


def test_containers_take_max_inputs_and_then_more_are_started(url: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as threads:
        tasks = [threads.submit(get, f"{url}/task?hold={tmp_path}") for _ in range(6)]
        wait_until(lambda: len(held(tmp_path)) >= 4)
        # Two at a time in each of two containers: the rest waits.
        first, second, third, fourth = held(tmp_path)
        assert (first, third) == (second, fourth)
        assert first != third
        (tmp_path / "go").touch()
    assert {task.result() for task in tasks} == {first, third}
    assert get(f"{url}/busy") == "2"


def test_a_new_version_takes_over_while_the_old_one_finishes(
    url: str, deploy: Callable[[str], str], daemon: Cloud, client: modal.Client, tmp_path: Path
) -> None:
    # One old container alone: two of them are all that there may be, and as long as both are asked none of them leaves.
    tasks = api_pb2.TaskListRequest(app_id=modal.App.lookup("website", client=client).app_id)
    wait_until(lambda: not call(daemon, "TaskList", tasks).tasks)
    assert get(f"{url}/version") == "1"
    with ThreadPoolExecutor(1) as threads:
        pending = threads.submit(get, f"{url}/version?hold={tmp_path}")
        wait_until(lambda: bool(held(tmp_path)))
        assert deploy("2") == url
        wait_until(lambda: get(f"{url}/version") == "2")
        (tmp_path / "go").touch()
        assert pending.result() == "1"


def test_idle_containers_leave_in_order(url: str, client: modal.Client) -> None:
    task = get(f"{url}/task")
    app = modal.App.lookup("website", client=client)

    def left() -> bool:
        return any(f"{task} is leaving" in entry.message for entry in app.logs.tail(200))

    answered = time.monotonic()
    assert not left() or time.monotonic() - answered > 5, "it stays for its scaledown_window"
    wait_until(left)


def test_a_web_server_that_dies_is_replaced(url: str) -> None:
    first = get(f"{url}/task")
    code, _ = refusal(f"{url}/die")
    assert code == 502

    # Who finds the port closed hears of it, and with that the container is given up.
    def replaced() -> bool:
        with contextlib.suppress(urllib.error.HTTPError):
            return get(f"{url}/task") != first
        return False

    wait_until(replaced)


def test_a_container_that_does_not_start_answers_503_without_secrets(url: str, client: modal.Client) -> None:
    broken = modal.Cls.from_name("website", "Broken", client=client)().serve.get_web_url()
    assert broken is not None
    code, message = refusal(str(broken))
    assert code == 503
    assert "RuntimeError('cannot start with ***')" in message
    assert "sk-of-the-website" not in message
    messages = [entry.message for entry in modal.App.lookup("website", client=client).logs.tail(200)]
    endings = [message for message in messages if " ended after a failed start: " in message]
    assert endings[-1].strip().endswith("ended after a failed start: RuntimeError: cannot start with ***")


def test_unknown_labels(daemon: Cloud) -> None:
    assert refusal(f"{daemon.gateway_url}/no-such-label/x") == (
        404,
        "no web function is deployed at /no-such-label",
    )
    assert refusal(f"{daemon.gateway_url}/_files/guess")[0] == 404


@pytest.fixture(scope="module")
def stock(client: modal.Client, load_app: Callable[[str], ModuleType]) -> Iterator[str]:
    """The URL of a script that listens on its own port, whatever it is told."""
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as free:
        patch.setenv("STOCK_PORT", str(free.getsockname()[1]))
        load_app("stock").app.deploy(client=client)
    url = modal.Function.from_name("stock", "site", client=client).get_web_url()
    assert url is not None
    yield str(url)
    modal.App.lookup("stock", client=client).stop()


def test_a_script_may_keep_its_own_port(stock: str) -> None:
    seen = json.loads(get(f"{stock}/headers"))
    assert seen["X-Forwarded-Prefix"] == "/stock-site"
    assert stock.endswith(f"{seen['X-Forwarded-Host']}/stock-site")


def test_more_streams_than_inputs_come_through_whole(stock: str) -> None:
    async def all_at_once() -> list[bytes]:
        async def stream(number: int) -> bytes:
            async with session.get(f"{stock}/events?name={number}") as response:
                return await response.read()

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            return await asyncio.gather(*map(stream, range(200)))

    wanted = ["".join(f"data: {name} {number}\n\n" for number in range(20)) for name in range(200)]
    assert [body.decode() for body in asyncio.run(all_at_once())] == wanted


def test_websockets_pass_through(stock: str) -> None:
    async def talk() -> tuple[str | None, str, bytes]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{stock}/echo", protocols=["shout"]) as connection,
        ):
            await connection.send_str("hello")
            text = await connection.receive_str()
            await connection.send_bytes(b"abc")
            return connection.protocol, text, await connection.receive_bytes()

    assert asyncio.run(talk()) == ("shout", "HELLO", b"cba")
