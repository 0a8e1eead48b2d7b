"""Which commit a revision is: asked from here, else of a container that has the plan's token and Modal's network."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from support import PATIENCE, Shell, exported, own_cloud, serving, some

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DRY = ("apply", "b200-eagle-bf16kv", "--dry-run")
TOKEN = "hf_token-of-the-test"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """``--target modal`` with the embedded cloud behind it, which has the profile's secrets."""
    folder: Path = tmp_path_factory.mktemp("modal")
    with own_cloud(folder) as shell:
        shell.run("local", "start")
        one = Shell(shell.home, exported(shell.run("local", "env").stdout))
        one.modal("secret", "create", "huggingface-secret", f"HF_TOKEN={TOKEN}")
        one.modal("secret", "create", "glm51-api-key", "API_KEY=the-key-of-this-test")
        yield one


def asking(shell: Shell, hub: str) -> Shell:
    """The shell with another hub of its own."""
    return replace(shell, extra={**shell.extra, "HF_ENDPOINT": hub})


@pytest.fixture
def nobody() -> Iterator[str]:
    """The address of a hub that refuses connections."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}"


@pytest.fixture
def hiding() -> Iterator[str]:
    """A hub that hides every repository."""

    async def hide(_: web.Request) -> web.Response:
        return web.Response(status=401, headers={"X-Error-Code": "RepoNotFound"})

    app = web.Application()
    app.router.add_get("/{path:.*}", hide)
    with serving(app) as url:
        yield url


def commit(stdout: str) -> str:
    changes = json.loads(stdout)["changes"]
    return next(str(change["new"]) for change in changes if change["name"] == "commit")


RESOLVE = """
import sys
from glmdeploy import GlmdeployError, load, make_plan
from glmdeploy.operate.target import connect

plan = make_plan(load("b200-eagle-bf16kv", sets=sys.argv[1:]))
target = connect("modal", plan, None)
from glmdeploy.operate.revision import resolved

try:
    print(resolved(plan, target, tell=lambda text: print(text, file=sys.stderr)).model.commit)
except GlmdeployError as error:
    sys.exit(f"error: {error.message}\\n{error.advice}")
"""
"""What ``apply`` does first."""


def resolve(shell: Shell, *sets: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", RESOLVE, *sets],
        env=shell.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize("hub", some(["nobody", "hiding"], "hiding"))
def test_a_container_asks_where_the_hub_does_not_tell_us(
    hub: str, shell: Shell, request: pytest.FixtureRequest
) -> None:
    seen = resolve(asking(shell, shell.cloud.hub_url)).stdout
    done = resolve(asking(shell, request.getfixturevalue(hub)))
    assert done.stdout == seen
    assert len(seen.strip()) == 40
    assert "a container asks, with the secret huggingface-secret ..." in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert shell.deployed() == []


def test_a_dry_run_asks_no_container(shell: Shell, nobody: str) -> None:
    done = asking(shell, nobody).run(*DRY)
    assert "`apply` asks a container of the target; until then the commit of main is not known" in done.stderr
    assert " at main " in done.stdout


def test_no_container_is_asked_for_a_revision_that_does_not_exist(shell: Shell) -> None:
    done = resolve(asking(shell, shell.cloud.hub_url), "model.repo=nonexistent/x", code=1)
    assert "a container asked in vain: the hub shows no model nonexistent/x." in done.stderr


def test_without_a_token_the_error_stands(shell: Shell, nobody: str) -> None:
    done = resolve(asking(shell, nobody), "secrets.huggingface=null", code=1)
    assert "error: the Hugging Face Hub did not say which commit main of zai-org/GLM-5.1-FP8 is" in done.stderr
    assert "a container asks" not in done.stderr


def test_a_missing_secret_is_named(shell: Shell, nobody: str) -> None:
    done = resolve(asking(shell, nobody), "secrets.huggingface.name=absent", code=1)
    assert "a container would ask with the secret absent: Modal (main) has no such secret" in done.stderr


@pytest.mark.thorough
def test_a_token_that_cannot_be_used_is_named(shell: Shell, nobody: str) -> None:
    shell.modal("secret", "create", "broken", f"HF_TOKEN={TOKEN}\n")
    done = resolve(asking(shell, nobody), "secrets.huggingface.name=broken", code=1)
    assert "error: HF_TOKEN of the secret broken has a line break: it can be no key or token" in done.stderr
    assert TOKEN not in done.stdout + done.stderr


STRAY = ("HF_ENDPOINT", "http_proxy", "HTTP_PROXY", "ALL_PROXY", "HF_HUB_OFFLINE")


@pytest.mark.parametrize("variable", some(STRAY, "HF_ENDPOINT", "http_proxy"))
def test_the_embedded_cloud_asks_its_own_hub(variable: str, shell: Shell, nobody: str) -> None:
    value = "1" if variable == "HF_HUB_OFFLINE" else nobody
    stray = Shell(shell.home, {variable: value, "HF_TOKEN": TOKEN})
    done = stray.run(*DRY, "--target", "local", "--json")
    assert len(commit(done.stdout)) == 40
    assert "a container asks" not in done.stderr
