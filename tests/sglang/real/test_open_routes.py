"""What the rules say of SGLang's API key against SGLang's own code: which requests pass, and what it refuses."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy import source
from glmdeploy.resolve import resolve
from glmdeploy.sglang import environment
from glmdeploy.sglang.catalog import version_key
from glmdeploy.sglang.environment import ProbeError

if TYPE_CHECKING:
    from types import ModuleType

VERSIONS = ("0.5.10", "0.5.12.post1", "0.5.13.post1", "0.5.19", "0.5.20", "0.5.23")

PATHS = {
    "`/health*`": ("/health", "/health_generate"),
    "`/ready*`": ("/ready", "/readyz"),
    "`/metrics*`": ("/metrics", "/metrics/"),
}
CLOSED = ("/v1/chat/completions", "/v1/models", "/server_info", "/docs", "/", "/v1/health", "/generate")


@pytest.fixture(params=VERSIONS)
def sglang(request: pytest.FixtureRequest) -> Path:
    """The source of a release."""
    cache = os.environ.get("GLMDEPLOY_ORACLE")
    if not cache:
        pytest.skip("GLMDEPLOY_ORACLE does not name a folder for the real SGLang's environments (1.5 GB)")
    try:
        return environment.build(request.param, Path(cache)).source
    except ProbeError as error:
        pytest.skip(f"the real SGLang {request.param} cannot be installed here: {error} {error.advice}")


@pytest.fixture
def auth(sglang: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """SGLang's module of that name, which imports nothing else of it."""
    spec = importlib.util.spec_from_file_location("sglang_auth", sglang / "sglang/srt/utils/auth.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # for its dataclasses
    spec.loader.exec_module(module)
    return module


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


def text(folder: Path, *names: str) -> str:
    """Those of the files that the release has."""
    files = [folder / "sglang/srt" / name for name in names]
    return "\n".join(file.read_text("utf-8") for file in files if file.exists())


def told(version: str, rule: str, *sets: str) -> str:
    base = "b200-eagle-bf16kv-0.5.23" if version_key(version) >= version_key("0.5.13.post1") else "b200-eagle-bf16kv"
    sets = (f"sglang.version={version}", f"sglang.image=lmsysorg/sglang:v{version}-cu130", *sets)
    return " ".join(found.message for found in resolve(source.load(base, sets=sets)).findings if found.id == rule)


def test_open_routes(sglang: Path, auth: ModuleType) -> None:
    message = told(sglang.name, "GLM061")
    for name, paths in PATHS.items():
        assert {passes(auth, path) for path in paths} == {name in message}
    assert not any(passes(auth, path) for path in CLOSED)
    server = text(sglang, "entrypoints/http_server.py")
    assert ('@app.websocket("/v1/realtime")' in server) is ("/v1/realtime" in message)
    # The middleware looks at HTTP requests alone, which is why the WebSocket passes.
    assert 'scope["type"] != "http"' in text(sglang, "utils/auth.py")


def test_what_a_key_forbids(sglang: Path) -> None:
    server = text(sglang, "entrypoints/http_server.py")
    assert "API key is not supported in multi-tokenizer mode" in server
    assert told(sglang.name, "GLM065", "sglang.args.tokenizer-worker-num=2")
    arguments = text(sglang, "server_args.py", "arg_groups/serving_hook.py")
    refuses = "--grpc-port is incompatible with --api-key" in arguments
    assert bool(told(sglang.name, "GLM065", "sglang.env.SGLANG_GRPC_PORT=9000")) is refuses


def test_what_ignores_a_key(sglang: Path) -> None:
    rust = "SGLANG_RUST_SERVER" in text(sglang, "environ.py")
    assert bool(told(sglang.name, "GLM064", "sglang.env.SGLANG_RUST_SERVER=1")) is rust
    assert "api_key" not in text(sglang, "rust_server/config.py", "rust_server/server.py")
