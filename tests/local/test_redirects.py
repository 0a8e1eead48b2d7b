"""Web functions whose answer takes long: 303 and a URL at which to go on waiting; and their proxy tokens."""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import aiohttp
import modal
import pytest
from support import PATIENCE, connect, wait_until

from glmdeploy.errors import LocalCloudError
from glmdeploy.local.daemon import WEB_TIMEOUT_VARIABLE, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

    from glmdeploy.local.daemon import Running

SECONDS = 0.3
"""Less than Modal's client alone takes to be imported: no container starts within it."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WEB_TIMEOUT_VARIABLE, str(SECONDS))
        with in_thread(tmp_path_factory.mktemp("cloud")) as running:
            yield running


@pytest.fixture(scope="module")
def client(running: Running) -> modal.Client:
    return connect(running.cloud)


@pytest.fixture(scope="module")
def deploy(client: modal.Client, load_app: Callable[[str], ModuleType]) -> Callable[..., str]:
    """Deploy the website with keywords of ``@modal.web_server``; its URL."""

    def deploy(**settings: bool) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WEB_SERVER", json.dumps(settings))
            patch.delitem(sys.modules, "website", raising=False)
            load_app("website").app.deploy(client=client)
        return str(modal.Cls.from_name("website", "Website", client=client)().serve.get_web_url())

    return deploy


@pytest.fixture(scope="module")
def url(deploy: Callable[..., str]) -> str:
    return deploy()


class Answer:
    """Of one request, whose redirects are not followed."""

    def __init__(self, url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> None:
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
        connection.request(method, url.partition(parts.netloc)[2], body, headers)
        self.response = connection.getresponse()
        self.status = self.response.status
        self.next = urllib.parse.urljoin(url, self.response.getheader("Location", ""))

    @property
    def text(self) -> str:
        return self.response.read().decode()


def followed(answer: Answer) -> Answer:
    """At the end of all redirects."""
    while answer.status == 303:
        answer = Answer(answer.next)
    return answer


def test_a_cold_start_that_takes_long_is_waited_for_with_the_body(url: str) -> None:
    body = b"a long prompt " * 50_000
    first = Answer(f"{url}/post?stay=1", "POST", body)
    assert first.status == 303
    assert "/website-website-serve/post?stay=1&__modal_function_call_id=fc-" in first.next
    assert followed(first).text == body.decode()
    assert Answer(first.next).status == 404, "an answer is fetched once"


def test_an_answer_that_takes_long_and_one_request_alone_reaches_the_container(url: str, tmp_path: Path) -> None:
    followed(Answer(url))
    answer = Answer(f"{url}/task?hold={tmp_path}")
    assert answer.status == 303
    again = Answer(answer.next)
    assert (again.status, again.next) == (303, answer.next)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 1)
    (tmp_path / "go").touch()
    last = followed(again)
    assert (last.status, last.text[:3]) == (200, "ta-")
    assert len(list(tmp_path.iterdir())) == 2


def test_standard_clients_follow(url: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        task = threads.submit(urllib.request.urlopen, f"{url}/task?hold={tmp_path}", timeout=PATIENCE)
        wait_until(lambda: len(list(tmp_path.iterdir())) == 1)
        (tmp_path / "go").touch()
        with task.result() as response:
            assert response.status == 200


def test_what_streams_is_not_redirected_any_more(url: str) -> None:
    answer = followed(Answer(f"{url}/stream?count=20"))
    assert answer.status == 200
    assert answer.text.endswith("data: 19\n\n")


def test_only_get_may_wait(url: str, tmp_path: Path) -> None:
    answer = Answer(f"{url}/task?hold={tmp_path}")
    wrong = Answer(answer.next, "POST", b"{}")
    assert (wrong.status, wrong.text) == (400, "modal-http: bad redirect method")
    (tmp_path / "go").touch()
    assert followed(Answer(answer.next)).status == 200
    assert Answer(f"{url}?__modal_function_call_id=fc-unknown").status == 404


def test_who_hangs_up_while_waiting_may_come_back(url: str, tmp_path: Path) -> None:
    answer = Answer(f"{url}/task?hold={tmp_path}")

    async def hang_up() -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(TimeoutError):
                await session.get(answer.next, timeout=aiohttp.ClientTimeout(total=SECONDS / 4))

    asyncio.run(hang_up())
    (tmp_path / "go").touch()
    assert followed(Answer(answer.next)).status == 200


def test_a_failed_start_reaches_who_waits(url: str, running: Running) -> None:
    answer = followed(Answer(f"{running.cloud.gateway_url}/website-broken-serve"))
    assert answer.status == 503
    assert "cannot start with" in answer.text


def test_without_proxy_tokens_401(deploy: Callable[..., str], running: Running) -> None:
    url = deploy(requires_proxy_auth=True)
    token = running.backend.proxy_token
    own = {"Modal-Key": token.token_id, "Modal-Secret": token.token_secret}
    refused = Answer(url)
    assert (refused.status, refused.text) == (401, "modal-http: missing credentials for proxy authorization")
    assert Answer(url, **{**own, "Modal-Secret": "ws-guessed"}).status == 401
    answer = Answer(url, **own)
    while answer.status == 303:
        assert Answer(answer.next).status == 401, "nor may anybody else wait for the answer"
        answer = Answer(answer.next, **own)
    assert answer.status == 200


@pytest.mark.parametrize("given", ["soon", "0", "-1", "nan", "inf"])
def test_the_time_must_be_a_number_of_seconds(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEB_TIMEOUT_VARIABLE, given)
    with pytest.raises(LocalCloudError, match="must be a number of seconds"), in_thread(tmp_path / "home"):
        pass
