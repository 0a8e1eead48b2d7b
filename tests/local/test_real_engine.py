"""The real SGLang behind the embedded cloud: from a hub download of real safetensors to a graceful stop."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import asked
import pytest
from real_engine import engine_interpreter
from support import Shell, own_cloud, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REAL = "Engine: the real SGLang 0.5.23 on this machine's CPU: `device: cpu`, and this release is installed"


@contextmanager
def applied(folder: Path, profile: str, *options: str) -> Iterator[tuple[Shell, str, str, str]]:
    """A cloud with the real engine that has deployed a profile; its URL, its key, and what the command printed."""
    engines = engine_interpreter().parents[2]
    with own_cloud(folder, GLMDEPLOY_ENGINE=str(engines)) as shell:
        assert (
            "the real SGLang 0.5.23 for profiles with `device: cpu`" not in shell.run("local", "status", code=1).stdout
        )
        done = shell.run("apply", profile, "--target", "local", "--yes", "--make-secrets", *options)
        assert f"\n{REAL}.\n" in done.stdout
        assert "engine     the real SGLang 0.5.23 for profiles" in shell.run("local", "status").stdout
        [url] = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("http://")]
        yield shell, url, shell.run("local", "secret", "glm-local-api-key", "API_KEY").stdout.strip(), done.stdout


def log(shell: Shell, app: str) -> str:
    return shell.modal("app", "logs", app, "--tail", "1000").stdout


def events(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


@pytest.fixture(autouse=True)
def wanted(pytestconfig: pytest.Config) -> None:
    if not pytestconfig.getoption("--engine"):
        pytest.skip("needs --engine")


def test_a_model_that_generates(tmp_path: Path) -> None:
    with applied(tmp_path, "local-cpu") as (shell, url, key, printed):
        assert f"{url}/v1/chat/completions" in printed
        chat = f"{url}/v1/chat/completions"
        plain = {
            "model": "glm-tiny",
            "messages": [{"role": "user", "content": "Hello"}],
            "chat_template_kwargs": {"enable_thinking": False},
            "max_tokens": 8,
            "temperature": 0,
        }
        whole = asked.ask(chat, key, plain)
        assert (whole.status, asked.lower(whole).get("server")) == (200, "uvicorn")
        assert whole.data["usage"]["completion_tokens"] in range(1, 9)
        assert asked.ask(chat, "another key", plain).status == 401

        options = {"stream": True, "stream_options": {"include_usage": True}}
        streamed = events(asked.ask(chat, key, {**plain, **options}).text)
        text = "".join(choice["delta"].get("content") or "" for one in streamed for choice in one["choices"])
        assert text == (whole.data["choices"][0]["message"]["content"] or "")
        assert streamed[-1]["usage"] == whole.data["usage"]

        weather = {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}, "days": {"enum": [1, 2]}},
            "required": ["city", "days"],
            "additionalProperties": False,
        }
        tool = {"type": "function", "function": {"name": "weather", "parameters": weather}}
        # Noise would go on with the blanks that JSON allows everywhere.
        blanks = {str(ord(character)): -100 for character in "\t\n\r "}
        wants = {"max_tokens": 200, "tools": [tool], "tool_choice": "required", "parallel_tool_calls": False}
        called = asked.ask(chat, key, {**plain, **wants, "logit_bias": blanks})
        [call] = called.data["choices"][0]["message"]["tool_calls"]
        assert call["function"]["name"] == "weather"
        arguments = json.loads(call["function"]["arguments"])
        assert (arguments["city"] in {"Paris", "Rome"}, arguments["days"] in {1, 2}) == (True, True)

        here = url.partition("/glm")[0]  # the gateway lets pages of this machine ask, and no others
        asked.check_origins(url, key, page=here)
        asked.check_no_embeddings(url, key)
        info = asked.ask(f"{url}/server_info", key).data
        assert (info["version"], info["device"], "engine" in info) == ("0.5.23", "cpu", False)
        assert "another" not in shell.run("apply", "local-cpu", "--target", "local", "--yes").stdout
        said = log(shell, "glm-local-cpu")
        assert REAL in said
        assert key not in said + printed

        # A stream that runs when the cloud is stopped comes to its end.
        long = {**plain, "max_tokens": 24, "ignore_eos": True, "stream": True}
        with asked.opened(chat, key, long) as stream:
            begun = stream.readline()
            shell.run("local", "stop")
            rest = stream.read()
        assert [one["choices"][0]["finish_reason"] for one in events((begun + rest).decode())][-1] == "length"


def test_a_model_that_gives_embeddings(tmp_path: Path) -> None:
    with applied(tmp_path, "local-cpu-embedding", "--no-preflight") as (shell, url, key, printed):
        assert f"{url}/v1/embeddings" in printed
        assert "chat" not in printed
        asked.check_embeddings(url, key)
        before = shell.containers("local-cpu-embedding")
        asked.dies_of(url, key, lambda: True)
        wait_until(lambda: not before & shell.containers("local-cpu-embedding"))
        said = log(shell, "local-cpu-embedding")
        assert "AttributeError: 'LogitsProcessorOutput' object has no attribute 'embeddings'" in said
        assert "SGLang ended with exit code -9 (SIGKILL)" in said
