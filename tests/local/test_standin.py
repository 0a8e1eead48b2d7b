"""The stand-in engine as a process, run exactly as SGLang is run in a container."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy import local
from glmdeploy.local import tiny_model

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDIN = Path(local.__file__).parent / "standin" / "path"
KEY = "sekrit-key"
SAID = "This answer comes from glmdeploy's stand-in engine, not from SGLang or a model. You said: "
ARGUMENTS = [
    *("--served-model-name", "glm-5.1", "--tp", "8", "--trust-remote-code", "--enable-metrics"),
    *("--reasoning-parser", "glm45", "--tool-call-parser", "glm47", "--context-length", "1000"),
    *("--max-total-tokens", "64k", "--max-running-requests", "2", "--api-key", KEY),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "GLM-5.1-FP8"
    tiny_model.write(directory, "zai-org/GLM-5.1-FP8")
    return directory


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory like a container's first one on the path: a ``glmdeploy`` with the runtime alone."""
    root = tmp_path_factory.mktemp("container")
    (root / "glmdeploy" / "runtime").mkdir(parents=True)
    for package in (root / "glmdeploy", root / "glmdeploy" / "runtime"):
        (package / "__init__.py").write_text('__version__ = "deployed"\n')
    return root


def command(module: str, model: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"sglang.{module}", "--model-path", str(model), *arguments]


def environment(container: Path, **variables: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": f"{container}:{STANDIN}",
        "GLMDEPLOY_STANDIN_SGLANG_VERSION": "0.5.11",
        "GLMDEPLOY_STANDIN_START_SECONDS": "0",
        **variables,
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Engine:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(
        self, path: str, body: object = None, *, method: str | None = None, key: str | None = KEY
    ) -> tuple[int, Any]:
        """The status, and the answer: parsed where it is JSON."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, text, kind = answer.status, answer.read().decode(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                status, text, kind = error.code, error.read().decode(), error.headers
        assert kind["Server"] == "glmdeploy-stand-in"
        return status, json.loads(text) if kind.get_content_type() == "application/json" else text

    def chat(self, said: str, **options: object) -> tuple[int, Any]:
        messages = [{"role": "user", "content": said}]
        return self.ask("/v1/chat/completions", {"model": "glm-5.1", "messages": messages, **options})

    def events(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        status, text = self.ask(path, {**body, "stream": True})
        assert status == 200
        lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
        assert lines.pop() == "[DONE]"
        return [json.loads(line) for line in lines]

    def statuses_until_healthy(self) -> list[int]:
        seen: list[int] = []
        deadline = time.monotonic() + 30
        while 200 not in seen:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            try:
                seen.append(self.ask("/health", key=None)[0])
            except OSError:
                time.sleep(0.02)
        return seen


def start(model: Path, container: Path, log: Path, *arguments: str, **variables: str) -> Engine:
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("launch_server", model, "--port", str(port), *arguments),
            cwd=container,
            env=environment(container, **variables),
            stdout=output,
            stderr=output,
        )
    return Engine(process=process, port=port, log=log)


@pytest.fixture(scope="module")
def engine(model: Path, container: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    log = tmp_path_factory.mktemp("log") / "engine.log"
    engine = start(model, container, log, *ARGUMENTS, GLMDEPLOY_STANDIN_START_SECONDS="0.3")
    try:
        seen = engine.statuses_until_healthy()
        assert set(seen[:-1]) == {503}
        yield engine
    finally:
        engine.process.kill()
        engine.process.wait()


def test_it_says_what_it_is_and_keeps_the_key_to_itself(engine: Engine) -> None:
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
    assert KEY not in log


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
    status, error = engine.ask("/v1/embeddings", {})
    assert (status, error["message"]) == (404, "glmdeploy-stand-in has no /v1/embeddings")
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
    deadline = time.monotonic() + 10
    while metric(engine, "num_aborted_requests_total") == before:
        assert time.monotonic() < deadline
    assert metric(engine, "num_running_reqs") == 0


def test_sigterm_finishes_running_requests(model: Path, container: Path, tmp_path: Path) -> None:
    engine = start(model, container, tmp_path / "log")
    engine.statuses_until_healthy()
    assert engine.ask("/metrics")[0] == 404  # not enabled
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 600, "ignore_eos": True}
    found: list[list[dict[str, Any]]] = []
    client = threading.Thread(target=lambda: found.append(engine.events("/v1/chat/completions", body)))
    client.start()
    while not engine.ask("/server_info")[1]["internal_states"][0]["num_running_reqs"]:
        pass
    engine.process.send_signal(signal.SIGTERM)
    assert engine.process.wait(timeout=20) == 0
    client.join()
    assert found[0][-1]["choices"][0]["finish_reason"] == "length"
    assert "Draining requests" in engine.log.read_text()


def test_a_crash_file_kills_it_even_while_it_starts(model: Path, container: Path, tmp_path: Path) -> None:
    crash = tmp_path / "crash"
    variables = {"GLMDEPLOY_STANDIN_CRASH_FILE": str(crash), "GLMDEPLOY_STANDIN_START_SECONDS": "60"}
    engine = start(model, container, tmp_path / "log", **variables)
    while "Listening on" not in engine.log.read_text():
        assert engine.process.poll() is None
        time.sleep(0.02)
    assert engine.ask("/health")[0] == 503
    crash.touch()
    assert engine.process.wait(timeout=10) == -signal.SIGKILL


def run(container: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=container,
        env=environment(container, **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_port_in_use(engine: Engine, model: Path, container: Path) -> None:
    done = run(container, *command("launch_server", model, "--port", str(engine.port)))
    assert done.returncode == 1
    assert "address already in use" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["--tp", "eight"], "argument --tensor-parallel-size/--tp-size: invalid int value: 'eight'"),
        (["--kv-cache-dtype", "fp8"], "invalid choice: 'fp8'"),
    ],
)
def test_wrong_arguments_are_refused_as_argparse_does(
    model: Path, container: Path, arguments: list[str], message: str
) -> None:
    done = run(container, *command("launch_server", model, *arguments))
    assert done.returncode == 2
    assert done.stderr.splitlines()[1].startswith("usage: launch_server.py [-h]")
    assert message in done.stderr


def test_a_release_without_a_catalog(model: Path, container: Path) -> None:
    done = run(container, *command("launch_server", model), GLMDEPLOY_STANDIN_SGLANG_VERSION="0.4.0")
    assert done.returncode == 1
    assert "there is no option catalog of SGLang 0.4.0" in done.stderr


def remove_model(model: Path) -> None:
    shutil.rmtree(model)


def damage_config(model: Path) -> None:
    (model / "config.json").write_text("{")


def truncate_shard(model: Path) -> None:
    shard = model / "model-00002-of-00002.safetensors"
    os.truncate(shard, shard.stat().st_size - 1)


def remove_shard(model: Path) -> None:
    (model / "model-00001-of-00002.safetensors").unlink()


def swap_shards(model: Path) -> None:
    shutil.copy(model / "model-00001-of-00002.safetensors", model / "model-00002-of-00002.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_model, "does not appear to have a file named config.json"),
        (damage_config, "is not a valid JSON file"),
        (truncate_shard, "incomplete metadata, file not fully covered"),
        (remove_shard, "No such file or directory"),
        (swap_shards, "weights that the index names"),
    ],
)
def test_a_model_that_cannot_be_loaded(model: Path, container: Path, tmp_path: Path, damage: Any, message: str) -> None:
    broken = tmp_path / "model"
    shutil.copytree(model, broken)
    damage(broken)
    done = run(container, *command("launch_server", broken))
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_compile_deep_gemm(model: Path, container: Path, tmp_path: Path) -> None:
    words = command("compile_deep_gemm", model, "--tp", "8", "--timeout", "60")
    done = run(container, *words, SGLANG_DG_CACHE_DIR=str(tmp_path / "dg"))
    assert done.returncode == 0, done.stderr
    assert "what it writes are not kernels" in done.stdout
    assert "DeepGEMM Kernels compilation finished successfully." in done.stdout
    kernels = sorted((tmp_path / "dg" / "cache").glob("kernel.*.*"))
    assert kernels
    for kernel in kernels:
        assert "stand-in" in (kernel / "kernel.cubin").read_text()


def test_compile_deep_gemm_with_a_key_fails_at_once_where_sglang_hangs(
    model: Path, container: Path, tmp_path: Path
) -> None:
    words = command("compile_deep_gemm", model, "--api-key", KEY)
    done = run(container, *words, SGLANG_DG_CACHE_DIR=str(tmp_path / "dg"))
    assert done.returncode == 1
    assert "TimeoutError" in done.stderr
    assert "polls its server without a key" in done.stderr
    assert KEY not in done.stderr
    assert not (tmp_path / "dg").exists()
