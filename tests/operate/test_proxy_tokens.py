"""Modal's own authentication before the endpoint, of both kinds of server: apply passes it, and the keep-alive."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import modal
import pytest
from aiohttp import web
from modal_proto import api_pb2
from support import PATIENCE, call, connect, serving, some

from glmdeploy.errors import DeployError
from glmdeploy.operate.endpoint import check_key, check_proxy, wait_until_healthy
from glmdeploy.operate.proxy import way_in
from glmdeploy.operate.target import Target
from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load
from glmdeploy.runtime.public import ask_public

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support import Shell

PROFILE = "b200-eagle-bf16kv"
ASKS = "server.requires_proxy_auth=true"
NAMED = "secrets.proxy_token={name: modal-proxy, keys: [PROXY_KEY, PROXY_SECRET]}"
AS = {
    "web_server": ("server.kind=web_server",),
    "server": ("server.kind=server", "server.timeout=null", "server.max_inputs=null"),
}
MODAL = Target(name="modal", environment=None)
TOKEN = ("wk-id", "ws-secret")


def apply(shell: Shell, kind: str, *sets: str) -> dict[str, Any]:
    options = [word for each in (*AS[kind], ASKS, *sets) for word in ("--set", each)]
    done = shell.run("apply", PROFILE, *options, "--target", "local", "--yes", "--make-secrets", "--json")
    return {**json.loads(done.stdout), "stderr": done.stderr}


def status(url: str, **headers: str) -> int:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("kind", some(("web_server", "server"), "server"))
def test_apply_and_the_keep_alive_pass(ready: Shell, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    applied = apply(ready, kind, NAMED, "keepalive.enabled=true")
    url = applied["url"]
    assert "created the secret modal-proxy in the embedded cloud, with its workspace's proxy token" in applied["stderr"]
    assert "401 without proxy token and key" in applied["stderr"]
    assert applied["proxy_token_required"] is applied["key_required"] is True

    key, secret = (
        ready.run("local", "secret", "modal-proxy", name).stdout.strip() for name in ("PROXY_KEY", "PROXY_SECRET")
    )
    headers = f"Modal-Key: {key}\nModal-Secret: {secret}\n"
    assert ready.run("local", "proxy-token").stdout == headers
    api_key = ready.run("local", "secret", "glm51-api-key", "API_KEY").stdout.strip()
    token = {"Modal_Key": key, "Modal_Secret": secret}
    models = f"{url}/v1/models"
    assert status(models, Authorization=f"Bearer {api_key}") == 401
    assert status(models, **token) == 401
    assert status(models, **token, Authorization=f"Bearer {api_key}") == 200
    assert status(f"{url}/health") == 401

    client = connect(ready.cloud)
    assert modal.Function.from_name("glm51-fp8", "keep_warm", client=client).remote() == 200
    ask = modal.Function.from_name("glm51-fp8", "ask_endpoint", client=client)
    assert ask.remote("/health", authorized=True, seconds=PATIENCE)["status"] == 200
    assert ask.remote("/health", authorized=False, seconds=PATIENCE)["body"].startswith(b"modal-http: missing")

    told = "".join(entry.message for entry in modal.App.lookup("glm51-fp8", client=client).logs.tail(2000))
    assert secret not in told + applied["stderr"]
    stored = call(ready.cloud, "FunctionGet", api_pb2.FunctionGetRequest(app_name="glm51-fp8", object_tag="describe"))
    assert secret.encode() not in stored.SerializeToString()


@pytest.mark.thorough
def test_without_a_token_apply_says_that_it_did_not_ask(ready: Shell) -> None:
    applied = apply(ready, "server")
    assert "public address not asked: its proxy wants a token" in applied["stderr"]
    assert applied["proven"], "its container has said so in the log"
    assert status(f"{applied['url']}/health") == 401
    settings = modal.Server.from_name("glm51-fp8", "Server", client=connect(ready.cloud)).autoscaler.settings()
    assert settings.min_containers == 0, "what had it start is set back"


@pytest.mark.thorough
def test_a_token_that_is_refused_is_told_at_once(ready: Shell) -> None:
    ready.run("local", "start")
    client = connect(ready.cloud)
    modal.Secret.objects.create("modal-proxy", {"PROXY_KEY": "wk-other", "PROXY_SECRET": "ws-other"}, client=client)
    options = [word for each in (*AS["server"], ASKS, NAMED) for word in ("--set", each)]
    failed = ready.run("apply", PROFILE, *options, "--target", "local", "--yes", code=1)
    assert "Modal's proxy lets nobody through to" in failed.stderr
    assert "modal workspace proxy-tokens create" in failed.stderr
    assert "ws-other" not in failed.stderr


def test_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own environment has the token, else a container of the app has."""
    open_, unnamed, named = (plan_of(load(PROFILE, sets=sets))[0] for sets in ((), (ASKS,), (ASKS, NAMED)))
    assert way_in(open_, MODAL, "https://x") is ask_public
    assert way_in(unnamed, MODAL, "https://x") is None
    monkeypatch.setenv("PROXY_KEY", TOKEN[0])
    monkeypatch.setenv("PROXY_SECRET", TOKEN[1])
    with proxy() as url:
        ask = way_in(named, MODAL, url)
        assert ask is not None
        assert ask(f"{url}/health", PATIENCE).status == 200


@contextmanager
def proxy(*, redirect: str = "") -> Iterator[str]:
    """An endpoint behind Modal's proxy, whose SGLang wants a key."""

    async def answer(request: web.Request) -> web.Response:
        if (request.headers.get("Modal-Key"), request.headers.get("Modal-Secret")) != TOKEN:
            return web.Response(status=401, text="modal-http: missing credentials for proxy authorization")
        if redirect and "again" not in request.query:
            raise web.HTTPSeeOther(redirect or f"{request.path}?again=1")
        if request.path == "/health":
            return web.Response()
        return web.json_response({"error": "Unauthorized"}, status=401)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    with serving(app) as url:
        yield url


def test_a_401_of_the_proxy_is_no_401_of_sglang() -> None:
    with proxy() as url:
        refusal = check_proxy(url, "stop", PATIENCE)
        check_key(url, "stop", PATIENCE, ask=lambda asked, left: ask_public(asked, left, TOKEN), of_proxy=refusal)
        with pytest.raises(DeployError, match="Modal's proxy lets nobody through"):
            check_key(url, "stop", PATIENCE, of_proxy=refusal)
        with pytest.raises(DeployError, match="Modal's proxy lets nobody through"):
            wait_until_healthy(url, MODAL, PATIENCE)


def test_a_proxy_that_lets_everybody_through_is_told() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=200 if request.path == "/health" else 401)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    with serving(app) as url, pytest.raises(DeployError, match=r"is open: .*/health without a proxy token got HTTP"):
        check_proxy(url, "stop", 1.5)


def test_the_token_follows_redirects_to_the_same_host_alone() -> None:
    seen: list[str | None] = []

    async def stranger(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Modal-Secret"))
        return web.Response()

    other = web.Application()
    other.router.add_get("/{path:.*}", stranger)
    with proxy(redirect="/health?again=1") as url:
        assert ask_public(f"{url}/health", PATIENCE, TOKEN).status == 200
    with serving(other) as elsewhere, proxy(redirect=f"{elsewhere}/health") as url:
        assert ask_public(f"{url}/health", PATIENCE, TOKEN).status == 200
    assert seen == [None]


def test_a_token_that_is_no_header_is_not_shown() -> None:
    with proxy() as url:
        answer = ask_public(f"{url}/health", PATIENCE, ("wk-id", "ws-\nbroken"))
    assert answer.status is None
    assert answer.reason == "the proxy token can be no header"
