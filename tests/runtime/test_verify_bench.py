"""SGLang's own benchmark: its arguments, that no secret is among them, and what is taken of its results."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy.runtime import verify_bench
from glmdeploy.runtime.verify_bench import bench_arguments, bench_serving, header_arguments, measured

if TYPE_CHECKING:
    from pathlib import Path

KEY, TOKEN = "sekrit-key-of-the-engine", ("wk-id", "ws-secret")
MODEL = {"served_name": "glm-5.1", "path": "/model-cache/GLM-5.1-FP8"}
PLAN: dict[str, Any] = {
    "model": MODEL,
    "sglang": "0.5.11",
    "weights": {"mount": "/model-cache"},
    "volumes": [],
    "secrets": [],
    "api_key": {"name": "k", "keys": ["API_KEY"]},
    "proxy_token": {"name": "p", "keys": ["PROXY_KEY", "PROXY_SECRET"]},
    "server": {"command": [sys.executable], "env": {}, "defaults": {}, "image": {"env": {}}},
}

BENCH = """
import json, os, sys
arguments = sys.argv[1:]
shown = open("/proc/self/cmdline", "rb").read().decode() + open("/proc/self/environ", "rb").read().decode()
option = lambda name: arguments[arguments.index(name) + 1]
assert os.environ["OPENAI_API_KEY"] not in shown
assert arguments[arguments.index("--header") + 1 :] == ["Modal-Key=wk-id", "Modal-Secret=ws-secret"]
print("Namespace", arguments)
if option("--max-concurrency") == "8":
    sys.exit("it fails with " + os.environ["OPENAI_API_KEY"])
result = {"completed": 2, "mean_ttft_ms": 1.5, "median_ttft_ms": 1.25, "p99_ttft_ms": 2, "output_throughput": 100.0}
result |= {"mean_itl_ms": 9.0, "median_tpot_ms": 3.0, "accept_length": None, "server_info": {"api_key": "x"}}
with open(option("--output-file"), "a") as file:
    file.write(json.dumps(result | {"server_info": {"api_key": os.environ["OPENAI_API_KEY"]}}) + chr(10))
"""
"""Stands for the benchmark, as a module of the same name."""


@pytest.fixture(autouse=True)
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a container has: the plan, its secrets, and an SGLang."""
    package = tmp_path / "sglang"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "bench_serving.py").write_text(BENCH)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("API_KEY", KEY)
    for name, value in zip(("PROXY_KEY", "PROXY_SECRET"), TOKEN, strict=True):
        monkeypatch.setenv(name, value)
    for module in ("stages", "verify_bench"):
        monkeypatch.setattr(f"glmdeploy.runtime.{module}.plan", lambda: PLAN)


def test_arguments() -> None:
    found = bench_arguments("https://x", MODEL, clients=8, requests=24, results="/tmp/r")
    assert " ".join(found) == (
        "--backend sglang-oai-chat --base-url https://x --model glm-5.1 --served-model-name glm-5.1 "
        "--tokenizer /model-cache/GLM-5.1-FP8 --dataset-name random-ids --random-range-ratio 1.0 "
        "--random-input-len 512 --random-output-len 128 --num-prompts 24 --max-concurrency 8 "
        "--output-file /tmp/r --disable-tqdm"
    )
    assert header_arguments(()) == []
    assert header_arguments(TOKEN) == ["--header", "Modal-Key=wk-id", "Modal-Secret=ws-secret"]


def test_each_level_is_run_without_showing_what_is_secret(capsys: pytest.CaptureFixture[str]) -> None:
    found = bench_serving({"url": "http://x", "concurrency": [1, 2], "requests": 2, "stand_in": False})
    assert found.keys() == {"load"}
    assert [level["concurrency"] for level in found["load"]] == [1, 2]
    level = found["load"][0]
    assert level["time_to_first_token_ms"] == {"avg": 1.5, "p50": 1.25, "p99": 2}
    assert level["inter_token_latency_ms"] == {"p50": 3.0}, "the benchmark's latency between tokens is of chunks"
    assert level["output_token_throughput_tokens_per_s"] == 100.0
    assert (level["requests"], level["failed"]) == (2, 0)
    assert KEY not in json.dumps(found) + capsys.readouterr().out


def test_one_that_fails_is_told_with_its_last_line() -> None:
    found = bench_serving({"url": "http://x", "concurrency": [1, 8], "requests": 2, "stand_in": False})
    assert found["fault"] == "it ended with exit code 1: it fails with ***"
    assert len(found["load"]) == 1


def test_the_stand_in_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLMDEPLOY_LOCAL_ROOT", "/tmp/root")
    found = bench_serving({"url": "http://x", "concurrency": [1], "stand_in": True})
    assert found == {"skipped": "the stand-in has no sglang.bench_serving"}


def test_an_interpreter_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    server = {**PLAN["server"], "command": ["/no/such/python"]}
    monkeypatch.setattr(verify_bench, "plan", lambda: {**PLAN, "server": server})
    found = bench_serving({"url": "http://x", "concurrency": [1], "stand_in": False})
    assert found == {"fault": "it could not be started: No such file or directory", "load": []}


def test_requests_that_failed_are_counted() -> None:
    assert measured({"completed": 3}, 2, 8)["failed"] == 5
    assert measured({}, 2, 8)["failed"] == 8
