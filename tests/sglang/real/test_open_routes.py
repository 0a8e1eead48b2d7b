"""What the rules say of SGLang's API key against SGLang's own code: which requests pass, and what it refuses."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from sglang_record import digest

from glmdeploy.profile.text.load import load
from glmdeploy.rules.check import check
from glmdeploy.sglang import catalog
from glmdeploy.sglang.catalog import version_key

if TYPE_CHECKING:
    from pathlib import Path

    from sglang_record import Recorder

# Of older releases GLM065 claims nothing, and the profile's options are not theirs.
RELEASES = [version for version in catalog.versions() if version_key(version) >= version_key("0.5.10")]

PATHS = {
    "`/health*`": ("/health", "/health_generate"),
    "`/ready*`": ("/ready", "/readyz"),
    "`/metrics*`": ("/metrics", "/metrics/"),
}
CLOSED = ("/v1/chat/completions", "/v1/models", "/server_info", "/docs", "/", "/v1/health", "/generate")


SAID = {
    "realtime": ('@app.websocket("/v1/realtime")', ("entrypoints/http_server.py",)),
    "middleware": ('scope["type"] != "http"', ("utils/auth.py",)),
    "one tokenizer": ("API key is not supported in multi-tokenizer mode", ("entrypoints/http_server.py",)),
    "grpc": ("--grpc-port is incompatible with --api-key", ("server_args.py", "arg_groups/serving_hook.py")),
    "rust": ("SGLANG_RUST_SERVER", ("environ.py",)),
    "rust and keys": ("api_key", ("rust_server/config.py", "rust_server/server.py")),
}
"""A text, and the files one of which may say it."""


@pytest.fixture(params=RELEASES)
def sglang(request: pytest.FixtureRequest, recorder: Recorder) -> tuple[str, dict[str, Any]]:
    """A release, and what its sources tell."""
    version = request.param
    question = {"paths": [*CLOSED, *(path for paths in PATHS.values() for path in paths)], "said": SAID}
    program = digest("".join(map(inspect.getsource, (look, passes))))
    record = recorder.record(version)
    return version, record.answer("sources", program, question, lambda: look(recorder.source(version), **question))


def look(source: Path, paths: list[str], said: dict[str, tuple[str, tuple[str, ...]]]) -> dict[str, Any]:
    """Which of the paths pass without a key, and what is said in the sources."""
    folder = source / "sglang/srt"
    # SGLang's module of that name imports nothing else of it.
    spec = importlib.util.spec_from_file_location("sglang_auth", folder / "utils/auth.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, {spec.name: module}):  # for its dataclasses
        spec.loader.exec_module(module)
    return {
        "open": [path for path in paths if passes(module, path)],
        "said": [
            name
            for name, (text, files) in said.items()
            if any(text in (folder / file).read_text("utf-8") for file in files if (folder / file).exists())
        ],
    }


def passes(module: Any, path: str) -> bool:
    decision = module.decide_request_auth(
        method="GET",
        path=path,
        authorization_header=None,
        api_key="not-a-real-key",
        admin_api_key=None,
        auth_level=module.AuthLevel.NORMAL,
    )
    return bool(decision.allowed)


def told(version: str, rule: str, *sets: str) -> str:
    base = "b200-eagle-bf16kv-0.5.23" if version_key(version) >= version_key("0.5.13.post1") else "b200-eagle-bf16kv"
    sets = (f"sglang.version={version}", f"sglang.image=lmsysorg/sglang:v{version}-cu130", *sets)
    return " ".join(found.message for found in check(load(base, sets=sets)).findings if found.id == rule)


def test_open_routes(sglang: tuple[str, dict[str, Any]]) -> None:
    version, real = sglang
    message = told(version, "GLM061")
    for name, paths in PATHS.items():
        assert {path in real["open"] for path in paths} == {name in message}
    assert not {*CLOSED} & {*real["open"]}
    assert ("realtime" in real["said"]) is ("/v1/realtime" in message)
    # The middleware looks at HTTP requests alone, which is why the WebSocket passes.
    assert "middleware" in real["said"]


def test_what_a_key_forbids(sglang: tuple[str, dict[str, Any]]) -> None:
    version, real = sglang
    assert "one tokenizer" in real["said"]
    assert told(version, "GLM065", "sglang.args.tokenizer-worker-num=2")
    assert bool(told(version, "GLM065", "sglang.env.SGLANG_GRPC_PORT=9000")) is ("grpc" in real["said"])


def test_what_ignores_a_key(sglang: tuple[str, dict[str, Any]]) -> None:
    version, real = sglang
    assert bool(told(version, "GLM064", "sglang.env.SGLANG_RUST_SERVER=1")) is ("rust" in real["said"])
    assert "rust and keys" not in real["said"]
