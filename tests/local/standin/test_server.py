"""What the stand-in engine answers: chat, completions, SGLang's own endpoint, keys, errors, metrics."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from standin_process import KEY, SAID
from support import wait_until

if TYPE_CHECKING:
    from standin_process import Engine


def test_it_says_what_it_is_and_prints_the_key_as_sglang_does(engine: Engine) -> None:
    log = engine.log.read_text()
    assert "glmdeploy's stand-in for SGLang 0.5.11: no model runs here" in log
    assert "served_model_name='glm-5.1'" in log
    assert "The server is fired up and ready to roll!" in log
    status, info = engine.ask("/server_info?key=in-the-query")
    assert (status, info["engine"], info["tp_size"], info["api_key"]) == (200, "glmdeploy-stand-in", 8, "***")
    assert engine.ask("/get_server_info")[1] == info
    log = engine.log.read_text()
    assert '"GET /server_info HTTP/1.1" 200' in log
    assert "in-the-query" not in log
    # Once, among the arguments: what SGLang prints too, and what passes it on has to mask.
    assert [line for line in log.splitlines() if KEY in line] == [line for line in log.splitlines() if "args=S" in line]
    assert log.count(KEY) == 1
    assert f"api_key={KEY!r}" in log
    assert KEY not in json.dumps(info)


def test_models(engine: Engine) -> None:
    card = engine.ask("/v1/models")[1]["data"][0]
    assert (card["id"], card["owned_by"], card["max_model_len"]) == ("glm-5.1", "glmdeploy-stand-in", 1000)
    assert engine.ask("/v1/models/glm-5.1") == (200, card)
    assert engine.ask("/v1/models/other")[0] == 404
    status, info = engine.ask("/get_model_info")
    assert (status, info["architectures"]) == (200, ["GlmMoeDsaForCausalLM"])
    assert info == engine.ask("/model_info")[1]


def test_keys(engine: Engine) -> None:
    for path in ("/health", "/health_generate", "/metrics"):
        assert engine.ask(path, key=None)[0] == 200
    for path in ("/v1/models", "/server_info", "/nowhere", "/flush_cache"):
        assert engine.ask(path, key=None) == (401, {"error": "Unauthorized"})
        assert engine.ask(path, key="wrong")[0] == 401
    assert engine.ask("/v1/chat/completions", {}, key=None)[0] == 401
    assert engine.ask("/flush_cache", b"")[0] == 200


def test_chat(engine: Engine) -> None:
    status, answer = engine.chat("Hello there")
    assert status == 200
    assert (answer["object"], answer["model"]) == ("chat.completion", "glm-5.1")
    assert answer["system_fingerprint"] == "glmdeploy-stand-in"
    choice = answer["choices"][0]
    assert choice["message"]["content"] == f"{SAID}Hello there"
    assert choice["message"]["reasoning_content"] == "There is no model here, so the answer can only say so."
    assert choice["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 0 < usage["reasoning_tokens"] < usage["completion_tokens"]


def test_chat_without_thinking(engine: Engine) -> None:
    answer = engine.chat("Hi", chat_template_kwargs={"enable_thinking": False})[1]
    assert answer["choices"][0]["message"]["reasoning_content"] is None
    assert answer["usage"]["reasoning_tokens"] == 0


def test_chat_in_a_stream_says_the_same(engine: Engine) -> None:
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}
    whole = engine.ask("/v1/chat/completions", body)[1]
    *events, last = engine.events("/v1/chat/completions", {**body, "stream_options": {"include_usage": True}})
    assert all(event["object"] == "chat.completion.chunk" for event in events)
    deltas = [event["choices"][0]["delta"] for event in events]
    assert deltas[0]["role"] == "assistant"
    message = whole["choices"][0]["message"]
    for part in ("content", "reasoning_content"):
        assert "".join(delta.get(part) or "" for delta in deltas) == message[part]
    assert [event["choices"][0]["finish_reason"] for event in events[-2:]] == [None, "stop"]
    assert (last["choices"], last["usage"]) == ([], whole["usage"])
    assert engine.events("/v1/chat/completions", body)[-1]["usage"] is None


def test_the_limit_and_stop_strings(engine: Engine) -> None:
    short = engine.chat("Hi", max_tokens=3)[1]
    assert short["choices"][0]["finish_reason"] == "length"
    assert (short["usage"]["completion_tokens"], short["choices"][0]["message"]["content"]) == (3, None)
    choice = engine.chat("Hi", stop="engine")[1]["choices"][0]
    assert choice["message"]["content"] == "This answer comes from glmdeploy's stand-in "
    assert (choice["finish_reason"], choice["matched_stop"]) == ("stop", "engine")


TOOLS = [
    {"type": "function", "function": {"name": "clock"}},
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
                "required": ["city", "days"],
            },
        },
    },
]
WEATHER = {"type": "function", "function": {"name": "weather"}}


def test_a_demanded_tool_call(engine: Engine) -> None:
    choice = engine.chat("Oslo?", tools=TOOLS, tool_choice=WEATHER)[1]["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    (call,) = choice["message"]["tool_calls"]
    assert (call["type"], call["function"]["name"]) == ("function", "weather")
    assert json.loads(call["function"]["arguments"]) == {"city": "stand-in", "days": 1}
    first = engine.chat("Hi", tools=TOOLS, tool_choice="required")[1]["choices"][0]["message"]["tool_calls"]
    assert first[0]["function"] == {"name": "clock", "arguments": "{}"}
    assert "tool_calls" not in engine.chat("Hi", tools=TOOLS)[1]["choices"][0]["message"]


def test_a_tool_call_in_a_stream(engine: Engine) -> None:
    body = {"messages": [{"role": "user", "content": "Oslo?"}], "tools": TOOLS, "tool_choice": WEATHER}
    events = engine.events("/v1/chat/completions", body)
    calls = [call for event in events for call in event["choices"][0]["delta"].get("tool_calls", [])]
    assert [call["function"]["name"] for call in calls] == ["weather"] + [None] * (len(calls) - 1)
    arguments = "".join(call["function"]["arguments"] for call in calls)
    assert json.loads(arguments) == {"city": "stand-in", "days": 1}
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_structured_output(engine: Engine) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    answer = engine.chat("Hi", response_format=wanted)[1]
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"ok": False}
    answer = engine.chat("Hi", response_format={"type": "json_object"})[1]
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"answer": f"{SAID}Hi"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"messages": []}, "Messages cannot be empty."),
        ({"messages": "Hi"}, "messages must be a list of objects"),
        ({"n": 2}, "does not support n other than 1"),
        ({"logprobs": True}, "does not support logprobs"),
        ({"max_tokens": "3"}, "max_tokens must be a whole number"),
        ({"max_tokens": 5000}, "maximum context length of 1000 tokens"),
        ({"messages": [{"role": "user", "content": "word " * 1000}]}, "is longer than the model's context"),
        ({"tool_choice": "required"}, "Tools cannot be empty if tool choice is set to required."),
        ({"tools": TOOLS[:1], "tool_choice": WEATHER}, "Tool 'weather' not found in tools list."),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"schema": {"type": "string", "pattern": "^x+$"}},
                }
            },
            "has no value for this schema",
        ),
    ],
)
def test_a_bad_request_is_answered_with_sglangs_error_object(
    engine: Engine, options: dict[str, Any], message: str
) -> None:
    status, error = engine.chat("Hi", **options)
    assert (status, error["object"], error["code"]) == (400, "error", 400)
    assert message in error["message"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_object(engine: Engine, body: bytes) -> None:
    for path in ("/v1/chat/completions", "/v1/completions", "/generate"):
        assert engine.ask(path, body)[0] == 400


def test_what_it_does_not_have(engine: Engine) -> None:
    status, error = engine.ask("/v1/score", {})
    assert (status, error["message"]) == (404, "glmdeploy-stand-in has no /v1/score")
    assert engine.ask("/v1/chat/completions")[0] == 405


def test_completions(engine: Engine) -> None:
    body = {"prompt": "Once", "max_tokens": 100}
    status, whole = engine.ask("/v1/completions", body)
    assert (status, whole["object"], whole["choices"][0]["text"]) == (200, "text_completion", f"{SAID}Once")
    events = engine.events("/v1/completions", body)
    assert "".join(event["choices"][0]["text"] for event in events) == f"{SAID}Once"
    assert events[-1]["choices"][0]["finish_reason"] == "stop"
    tokens = engine.ask("/v1/completions", {"prompt": [1, 2, 3]})[1]
    assert (tokens["usage"]["prompt_tokens"], tokens["usage"]["completion_tokens"]) == (3, 16)
    assert engine.ask("/v1/completions", {"prompt": ["a", "b"]})[0] == 400


def test_generate(engine: Engine) -> None:
    body = {"text": "Once", "sampling_params": {"max_new_tokens": 4}}
    status, whole = engine.ask("/generate", body)
    assert status == 200
    assert SAID.startswith(whole["text"])
    assert whole["meta_info"]["finish_reason"] == {"type": "length", "length": 4}
    events = engine.events("/generate", body)
    assert [event["meta_info"]["completion_tokens"] for event in events] == [1, 2, 3, 4]
    assert events[-1]["text"] == whole["text"]
    assert engine.ask("/generate", {"input_ids": [0, 1, 2, 3]})[1]["meta_info"]["prompt_tokens"] == 4
    status, error = engine.ask("/generate", {"text": "word " * 1000})
    assert (status, list(error), list(error["error"])) == (400, ["error"], ["message"])


def metric(engine: Engine, name: str) -> float:
    text = engine.ask("/metrics", key=None)[1]
    (line,) = [line for line in text.splitlines() if line.startswith(f"sglang:{name}{{")]
    assert 'model_name="glm-5.1"' in line
    return float(line.split()[-1])


def test_metrics_count(engine: Engine) -> None:
    names = ("num_requests_total", "prompt_tokens_total", "generation_tokens_total")
    before = [metric(engine, name) for name in names]
    usage = engine.chat("Hi")[1]["usage"]
    after = [metric(engine, name) for name in names]
    grown = [new - old for new, old in zip(after, before, strict=True)]
    assert grown == [1, usage["prompt_tokens"], usage["completion_tokens"]]
    assert metric(engine, "max_total_num_tokens") == 64_000


def test_requests_beyond_the_limit_wait(engine: Engine) -> None:
    options = {"max_tokens": 400, "ignore_eos": True}
    threads = [threading.Thread(target=engine.chat, args=("Hi",), kwargs=options) for _ in range(3)]
    for thread in threads:
        thread.start()
    seen = set()
    while any(thread.is_alive() for thread in threads):
        seen.add((metric(engine, "num_running_reqs"), metric(engine, "num_queue_reqs")))
    assert (2, 1) in seen
    assert max(running for running, _ in seen) == 2
    assert metric(engine, "num_used_tokens") == 0


def test_a_client_that_leaves_ends_its_request(engine: Engine) -> None:
    before = metric(engine, "num_aborted_requests_total")
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True, "ignore_eos": True}
    content = json.dumps(body).encode()
    with socket.create_connection(("127.0.0.1", engine.port)) as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s" % (KEY.encode(), len(content), content)
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    wait_until(lambda: metric(engine, "num_aborted_requests_total") == before + 1)
    assert metric(engine, "num_running_reqs") == 0
