"""Each check of ``verify``, against the stand-in: it passes, and it sees the fault that it is for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from standin_process import KEY
from support import PATIENCE, serving, some
from verify_site import CONTEXT, SPECULATES, rehearsal

from glmdeploy.local.standin import rehearsed
from glmdeploy.operate.canary import SHIPPED, read_canary
from glmdeploy.runtime import verify_answers
from glmdeploy.runtime.masking import Mask
from glmdeploy.runtime.verify_answers import (
    call_fault,
    check_chat,
    check_dropped_stream,
    check_reasoning,
    check_speculation,
    check_stream,
    check_tool_call,
)
from glmdeploy.runtime.verify_canary import check_canary
from glmdeploy.runtime.verify_door import (
    check_effective,
    check_health,
    check_key,
    check_metrics,
    check_model,
    check_pooled,
)
from glmdeploy.runtime.verify_endpoint import verified
from glmdeploy.runtime.verify_load import check_load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from verify_site import Rehearsal

CANARY = read_canary(SHIPPED).data()
TOKEN = ("wk-id", "ws-secret")
GONE = ("RemoteDisconnected", "Connection reset by peer")
GARBAGE = ("<html>", "[]", '{"choices": []}', "", '{"choices": [{"message": 1}]}')
CHECKS: dict[str, Callable[[Any], Any]] = {
    "health": check_health,
    "key": check_key,
    "model": check_model,
    "chat": check_chat,
    "stream": check_stream,
    "reasoning": check_reasoning,
    "tool_call": check_tool_call,
    "dropped_stream": check_dropped_stream,
    "speculation": check_speculation,
    "effective_values": check_effective,
    "metrics": check_metrics,
    "canary": check_canary,
    "load": check_load,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with rehearsal(tmp_path_factory.mktemp("site"), "zai-org/GLM-5.1-FP8", *CONTEXT, *SPECULATES) as one:
        yield one


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_answers, "FREED_SECONDS", 2.0)


def test_all_pass(site: Rehearsal) -> None:
    found = site.verify(canary=CANARY)
    assert {check["name"]: check["state"] for check in found["checks"]} == dict.fromkeys(CHECKS, "ok")
    words = {check["name"]: check["words"] for check in found["checks"]}
    assert words["key"] == "401 without, 401 with a wrong one"
    assert words["model"] == "glm-5.1, 40,000 tokens of context"
    assert words["chat"] == '"Paris (From the table of glmdeploy\'s stand-in.)"'
    assert words["tool_call"] == (
        "get_weather(city: string, days: integer, metric: boolean), in one piece and streamed"
    )
    assert words["speculation"] == "2.5 of 4 tokens accepted a step (best 2.5)"
    assert words["canary"] == "20 of 20 answers"
    figures = found["figures"]
    assert figures["acceptance_length_tokens"] == 2.5
    assert figures["canary_passed_ratio"] == 1.0
    assert figures["slot_freed_after_s"] < 2
    assert set(figures["time_to_first_token_ms"]) == {"avg", "p50", "p90", "p99"}
    [level] = found["load"]
    assert (level["concurrency"], level["requests"], level["failed"], level["retried"]) == (2, 2, 0, 0)
    assert level["output_token_throughput_tokens_per_s"] > 0
    assert level["request_latency_ms"]["p50"] > level["time_to_first_token_ms"]["p50"]
    assert found["engine"] == "glmdeploy-stand-in"


FAULTS = {
    "open": ("key", "open: status 200 without a key, and it should be 401"),
    "wrong-name": ("model", "it serves another-model, and should serve glm-5.1"),
    "silent": ("chat", "the answer says nothing"),
    "no-usage": ("stream", "the stream tells no usage, which was asked for"),
    "no-end": ("stream", "the stream ended without [DONE], twice"),
    "thoughts-in-content": ("reasoning", "the reasoning stands in the content, with its tags"),
    "thoughts-in-stream": ("reasoning", "the reasoning stands in the content of the stream, with its tags"),
    "strings-in-stream": ("tool_call", "in the stream days is a string, the schema says integer"),
    "no-call": ("tool_call", "there is no tool call in the answer, which was demanded"),
    "keeps-dropped": ("dropped_stream", "the slot is not free 2 s after the client left: the engine decodes on"),
    "no-draft": ("speculation", "acceptance length 1.00 of 4: no draft is ever accepted, and each costs time"),
    "no-metrics": ("metrics", "it has no series of SGLang's"),
    "wrong-answers": ("canary", "0 of 20 answers right, and 18 should be: "),
    "overloaded": ("load", "2 of 2 requests failed with 2 at a time: status 429: The request queue is full."),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen(site: Rehearsal, fault: str) -> None:
    check, words = FAULTS[fault]
    options = {"canary": CANARY, "start_seconds": PATIENCE}
    with site.fault(fault):
        found = site.check(CHECKS[check], **options)
    assert found.state == "failed"
    assert found.words.startswith(words)


def test_every_fault_is_rehearsed() -> None:
    elsewhere = {"gone-once", "slow", "broken-vectors"}
    assert FAULTS.keys() | elsewhere == rehearsed.FAULTS.keys()


def test_other_values_than_planned_are_seen(site: Rehearsal) -> None:
    found = site.check(check_effective, expected={"tp_size": 4, "kv_cache_dtype": "auto"})
    assert (found.state, found.words) == ("failed", "tp_size is 8, the plan says 4")
    assert site.check(check_effective, expected={"tp_size": 4}, tolerate=["tp_size"]).state == "ok"
    assert site.check(check_effective, expected=None).state == "skipped"


def test_a_container_that_goes_away_is_asked_again(site: Rehearsal) -> None:
    with site.fault("gone-once"):
        found = site.check(check_chat)
    assert found.state == "ok"
    assert found.again in GONE
    assert found.data(Mask(()))["asked_again"] == found.again
    assert site.check(check_chat).again == ""
    with site.fault("gone-once"):
        loaded = site.check(check_load)
    assert (loaded.state, loaded.words) == (
        "ok",
        "2 requests, none failed, 1 of them made twice: their container went away",
    )
    assert site.check(check_chat).again == ""
    with site.fault("gone-once"):
        asked = site.check(check_canary, canary=CANARY)
    assert (asked.state, asked.words) == ("ok", "20 of 20 answers")
    assert asked.again in GONE


@pytest.mark.parametrize(
    ("options", "check", "why"),
    [
        ([], check_metrics, "`enable-metrics` is not set"),
        ([], check_reasoning, "no reasoning parser is set"),
        ([], check_tool_call, "no tool-call parser is set"),
        ([], check_speculation, "no speculative decoding is set"),
    ],
)
def test_what_is_not_configured_is_skipped(
    site: Rehearsal, options: list[str], check: Callable[[Any], Any], why: str
) -> None:
    found = site.check(check, options=options)
    assert (found.state, found.words) == ("skipped", why)


def test_without_a_plan_the_engine_itself_tells(site: Rehearsal) -> None:
    bare = {"url": site.url, "key": True, "start_seconds": PATIENCE, "quick": False}
    found = {check["name"]: check for check in verified(bare, KEY)["checks"]}
    assert found.keys() == CHECKS.keys() - {"canary", "load"}
    assert {name for name, check in found.items() if check["state"] != "ok"} == {"effective_values"}
    assert found["effective_values"]["words"] == "without a profile nothing is expected"


def test_quick(site: Rehearsal) -> None:
    found = site.verify(quick=True, concurrency=[])
    assert [check["name"] for check in found["checks"]] == ["health", "key", "model", "chat", "stream"]
    assert all(check["state"] == "ok" for check in found["checks"])


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("another-key", "the server refuses the key (401)"),
        ("another key\n", "the key has a line break"),
        ("-x", "the key begins with `-`"),
    ],
)
def test_a_wrong_key_is_told_once_and_not_shown(site: Rehearsal, key: str, words: str) -> None:
    found = site.verify(key)
    states = {check["name"]: check["state"] for check in found["checks"]}
    assert (states["health"], states["key"]) == ("ok", "failed")
    assert set(states.values()) == {"ok", "failed", "skipped"}
    assert list(states.values()).count("failed") == 1
    assert found["checks"][1]["words"] == words
    assert found["checks"][2]["words"] == "the check of key failed"
    assert key not in json.dumps(found)


def test_an_open_server_is_asked_all_the_same(site: Rehearsal) -> None:
    with site.fault("open"):
        found = site.verify(quick=True, concurrency=[])
    assert [check["state"] for check in found["checks"]] == ["ok", "failed", "ok", "ok", "ok"]


def test_a_server_that_wants_no_key(site: Rehearsal) -> None:
    with site.fault("open"):
        found = site.check(check_key, key=None, key_wanted=False)
        assert found.state == "failed"
        subject = site.subject(key=False)
        told = verified({**subject, "quick": True, "concurrency": []}, None)
    assert [check["state"] for check in told["checks"]] == ["ok", "skipped", "ok", "ok", "ok"]
    assert told["checks"][1]["words"] == "no key is wanted: the endpoint is open to everybody"
    shut = verified({**subject, "quick": True, "concurrency": []}, None)
    assert shut["checks"][1]["words"] == "the server wants a key, and none was given"


def test_a_model_that_does_not_generate(tmp_path: Path) -> None:
    with rehearsal(tmp_path, "Qwen/Qwen3-Embedding-0.6B", "--is-embedding") as site:
        found = site.verify(purpose="embeddings", canary=CANARY, options=[])
        states = {one["name"]: one["state"] for one in found["checks"]}
        assert states == {
            **dict.fromkeys(("health", "key", "model", "embeddings", "effective_values", "load"), "ok"),
            "metrics": "skipped",
        }
        [level] = found["load"]
        assert level["request_throughput_requests_per_s"] > 0
        assert "time_to_first_token_ms" not in level
        # Also where nobody says what it is for: asked for text, it would end.
        bare = {"url": site.url, "key": True, "start_seconds": PATIENCE}
        assert "embeddings" in [one["name"] for one in verified(bare, KEY)["checks"]]
        for purpose, what in (("embeddings", "embeddings"), ("rerank", "scores"), ("reward", "scores")):
            assert site.check(check_pooled, purpose=purpose).state == "ok"
            with site.fault("broken-vectors"):
                broken = site.check(check_pooled, purpose=purpose)
            assert (broken.state, broken.words) == ("failed", f"the {what} hold what is no number")
        for check in (check_chat, check_stream, check_speculation, check_canary):
            asked = site.check(check, purpose="embeddings")
            assert (asked.state, asked.words) == ("skipped", "the model does not generate")
        assert site.engine.process.poll() is None


class TestHealth:
    @pytest.mark.parametrize(
        ("status", "body", "words"),
        [
            (404, "", "status 404: no SGLang answers here"),
            (401, "modal-http: missing credentials", "Modal's proxy lets nobody through: "),
            (
                503,
                '{"error": {"message": "the container failed to start"}}',
                "status 503: the container failed to start",
            ),
            (500, "", "not healthy after "),
        ],
    )
    def test_one_that_is_not_healthy(self, status: int, body: str, words: str) -> None:
        app = web.Application()

        async def answer(_: web.Request) -> web.Response:
            return web.Response(status=status, text=body)

        app.router.add_route("*", "/{path:.*}", answer)
        with serving(app) as url:
            found = verified({"url": url, "key": True, "start_seconds": 0.2, "quick": True}, KEY)
        assert found["checks"][0]["state"] == "failed"
        assert found["checks"][0]["words"].startswith(words)
        assert [check["state"] for check in found["checks"][1:]] == ["skipped"] * 4

    def test_one_that_nobody_serves(self) -> None:
        found = verified({"url": "http://127.0.0.1:1", "key": True, "start_seconds": 0.2, "quick": True}, KEY)
        assert found["checks"][0]["words"] == "not healthy after 1 s: Connection refused"


class TestProxy:
    """Behind Modal's proxy: its refusals are none of SGLang's."""

    @pytest.mark.parametrize(
        ("token", "wants", "words"),
        [
            (TOKEN, True, "401 without, 401 with a wrong one; 401 of Modal's proxy without its token"),
            (("wk-other", "ws-other"), True, "Modal's proxy lets nobody through: the proxy token was refused"),
            ((), True, "Modal's proxy lets nobody through: the proxy token was refused, or none was sent (401)"),
            (TOKEN, False, "Modal's proxy lets through who has no proxy token (status 200)"),
        ],
        ids=["passes", "refused", "none", "open"],
    )
    def test_both_are_asked(self, token: tuple[str, ...], wants: bool, words: str) -> None:
        app = web.Application()

        async def answer(request: web.Request) -> web.Response:
            given = (request.headers.get("Modal-Key"), request.headers.get("Modal-Secret"))
            if wants and given != TOKEN:
                return web.Response(status=401, text="modal-http: missing or wrong credentials")
            if request.path == "/health":
                return web.Response()
            if request.headers.get("Authorization") != f"Bearer {KEY}":
                return web.json_response({"error": "Unauthorized"}, status=401)
            return web.json_response({"data": [{"id": "x"}]})

        app.router.add_route("*", "/{path:.*}", answer)
        with serving(app) as url:
            subject = {"url": url, "key": True, "proxy": True, "start_seconds": PATIENCE, "quick": True}
            found = verified(subject, KEY, token)
        assert [check["words"] for check in found["checks"] if check["words"].startswith(words)]
        assert not [value for value in (KEY, *token) if value in json.dumps(found)]


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("get_weather", '{"city": "Paris", "days": 3, "metric": true}', None),
        ("get_weather", '{"city": "Paris", "days": 3.0, "metric": true}', "days is a number, the schema says integer"),
        ("get_weather", '{"city": "Paris", "days": true, "metric": 1}', "days is a boolean, the schema says integer, "),
        ("get_weather", '{"city": null, "days": 3, "metric": true}', "city is null, the schema says string"),
        ("get_weather", '{"city": [], "days": 3, "metric": true}', "city is no plain value, the schema says string"),
        ("get_weather", '{"city": "Paris", "days": 3}', "the argument metric is missing"),
        ("get_weather", "[]", "the arguments are no JSON object"),
        ("get_weather", "{", "the arguments are no JSON"),
        ("weather", "{}", "the function weather is called, which was not given"),
    ],
)
def test_a_call_that_is_wrong(name: str, arguments: str, words: str | None) -> None:
    found = call_fault(name, arguments)
    assert found == words or (words is not None and (found or "").startswith(words))


@pytest.mark.parametrize("answer", some(GARBAGE, "<html>"))
def test_garbage_fails_every_check_that_asks_the_model(answer: str) -> None:
    app = web.Application()

    async def say(request: web.Request) -> web.Response:
        if request.method == "GET" and request.path != "/v1/models":
            return web.json_response({"is_generation": True, "internal_states": []})
        if request.method == "GET":
            if request.headers.get("Authorization") != f"Bearer {KEY}":
                return web.json_response({"error": "Unauthorized"}, status=401)
            return web.json_response({"data": [{"id": "glm-5.1"}]})
        return web.Response(text=answer)

    app.router.add_route("*", "/{path:.*}", say)
    with serving(app) as url:
        subject = {"url": url, "key": True, "served_name": "glm-5.1", "start_seconds": PATIENCE, "canary": CANARY}
        found = verified({**subject, "concurrency": [1], "requests": 1, "quick": True}, KEY)
    states = {check["name"]: check["state"] for check in found["checks"]}
    assert states == {
        **dict.fromkeys(("health", "key", "model"), "ok"),
        **dict.fromkeys(("chat", "stream", "canary", "load"), "failed"),
    }
