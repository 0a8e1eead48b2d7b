"""The container side at work: keep-alive, crash, pinned weights, damaged weights, a model that does not exist."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import modal
import pytest
from support import PATIENCE, Shell, connect, copied_cloud, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPLY = ("apply", "b200-eagle-bf16kv", "--target", "local", "--yes", "--no-preflight")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PINNED = ("--set", f"model.revision='{COMMIT}'")


@pytest.fixture(scope="module")
def crash_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crash") / "now"


@pytest.fixture(scope="module")
def shell(template: Path, tmp_path_factory: pytest.TempPathFactory, crash_file: Path) -> Iterator[Shell]:
    """An embedded cloud with a pinned deployment that can be crashed and has a keep-alive."""
    with copied_cloud(template, tmp_path_factory.mktemp("runtime")) as one:
        one.run(*options(crash_file))
        yield one


def options(crash_file: Path) -> tuple[str, ...]:
    crash = ("--set", f"sglang.env.GLMDEPLOY_STANDIN_CRASH_FILE={crash_file}")
    return (*APPLY, *PINNED, *crash, "--set", "keepalive.enabled=true")


def remote(shell: Shell, function: str) -> Any:
    """What a function of the deployed app returns, called with the real SDK."""
    return modal.Function.from_name("glm51-fp8", function, client=connect(shell.cloud)).remote()


def healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=PATIENCE) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return False


def test_describe_returns_the_plan(shell: Shell, crash_file: Path) -> None:
    plan = remote(shell, "describe")
    assert plan["model"]["revision"] == COMMIT
    assert plan["server"]["command"][2] == "sglang.launch_server"


def test_keep_warm_pings_the_app_itself(shell: Shell) -> None:
    assert remote(shell, "keep_warm") == 200


def test_pinned_weights_are_not_asked_for_again(shell: Shell, crash_file: Path) -> None:
    planned = shell.json(*options(crash_file), "--set", "server.max_containers=2", "--dry-run")
    assert planned["stages"] == {"download": False, "compile": False}


def test_stages_end_at_once_when_called_again(shell: Shell) -> None:
    marker = remote(shell, "download_model")
    assert marker["commit"] == COMMIT
    assert remote(shell, "compile_deepgemm")["command"][2] == "sglang.compile_deep_gemm"


def test_a_crash_ends_the_container_and_the_next_request_starts_one(shell: Shell, crash_file: Path) -> None:
    url = shell.json(*options(crash_file))["url"]
    assert healthy(url)
    before = shell.containers("glm51-fp8")
    crash_file.touch()
    wait_until(lambda: not before <= shell.containers("glm51-fp8"))
    crash_file.unlink()
    wait_until(lambda: healthy(url))
    logs = shell.modal("app", "logs", "glm51-fp8", "--tail", "500")
    assert re.search(
        r"exists: the stand-in kills itself\nSGLang ended with exit code -9 \(SIGKILL\): .*; ending the container",
        logs.stdout,
    )


def test_damaged_weights_are_downloaded_again(shell: Shell, crash_file: Path) -> None:
    [shard, *_] = (shell.home / "volumes").rglob(f"{COMMIT}/*/*.safetensors")
    shard.write_bytes(shard.read_bytes()[:100])
    assert remote(shell, "download_model")["commit"] == COMMIT
    assert shard.stat().st_size > 100


def test_a_missing_model_is_said(shell: Shell) -> None:
    missing = ("--set", "model.repo=nonexistent/model", "--set", "app=other")
    done = shell.run(*APPLY, *missing, code=1, container_failed=True)
    assert "the Hugging Face Hub knows no repository nonexistent/model" in done.stderr
    assert "a container asked in vain: the hub shows no model nonexistent/model." in done.stderr
