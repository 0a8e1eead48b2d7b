"""``--target modal``: the same code as against Modal, with the embedded cloud behind MODAL_SERVER_URL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support import Shell, exported, own_cloud

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPLY = ("apply", "b200-eagle-bf16kv", "--yes")


@pytest.fixture(scope="module")
def modal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder: Path = tmp_path_factory.mktemp("modal")
    with own_cloud(folder) as shell:
        shell.run("local", "start")
        yield Shell(shell.home, {**exported(shell.run("local", "env").stdout), "HF_ENDPOINT": shell.cloud.hub_url})


def without_warnings(stderr: str) -> list[str]:
    """The lines but the one that counts the profile's warnings, which comes first."""
    return [line for line in stderr.splitlines() if " warnings: `glmdeploy validate " not in line]


def test_missing_secrets_are_named_with_their_command(modal: Shell) -> None:
    done = modal.run(*APPLY, code=1)
    assert without_warnings(done.stderr) == [
        "error: missing in Modal (main): the secret huggingface-secret with HF_TOKEN, glm51-api-key with API_KEY",
        "create with:",
        "  modal secret create huggingface-secret HF_TOKEN=... --env main",
        "  modal secret create glm51-api-key API_KEY=... --env main",
    ]
    assert json.loads(modal.modal("app", "list", "--json").stdout) == []


@pytest.mark.thorough
def test_a_secret_without_its_key_is_named(modal: Shell) -> None:
    modal.modal("secret", "create", "huggingface-secret", "HF_TOKEN=hf_x")
    modal.modal("secret", "create", "glm51-api-key", "OTHER=x")
    done = modal.run(*APPLY, code=1)
    assert without_warnings(done.stderr)[0].endswith("the secret glm51-api-key with API_KEY")
    assert "huggingface-secret" not in done.stderr


def test_apply_reaches_an_endpoint(modal: Shell) -> None:
    modal.modal("secret", "create", "--force", "huggingface-secret", "HF_TOKEN=hf_x")
    created = modal.modal("secret", "create", "--force", "glm51-api-key", "API_KEY=the-key-of-this-test")
    assert created.returncode == 0, created.stderr
    done = modal.run(*APPLY)
    assert "the-key-of-this-test" not in done.stdout + done.stderr
    assert "  export API_KEY=...\n" in done.stdout
    assert modal.json(*APPLY)["changed"] is False


@pytest.mark.thorough
def test_an_unknown_environment(modal: Shell) -> None:
    done = modal.run(*APPLY, "-e", "no-such-environment", code=1)
    assert "no-such-environment" in done.stderr
    assert without_warnings(done.stderr)[0].startswith("error: ")


def test_wrong_credentials(modal: Shell) -> None:
    stranger = Shell(modal.home, {**modal.extra, "MODAL_TOKEN_SECRET": "as-wrong"})
    done = stranger.run(*APPLY, code=1)
    assert "refused the credentials" in done.stderr
    assert "modal setup" in done.stderr


@pytest.mark.thorough
def test_an_app_of_someone_else_is_left_alone(modal: Shell, tmp_path: Path) -> None:
    script = tmp_path / "other.py"
    script.write_text(
        "import modal\napp = modal.App('other-app')\n@app.function()\ndef hello():\n    return 1\n", encoding="utf-8"
    )
    assert modal.modal("deploy", str(script)).returncode == 0
    done = modal.run("apply", "b200-eagle-bf16kv", "--dry-run", "--set", "app=other-app", code=1)
    assert "an app other-app that glmdeploy did not deploy runs already" in done.stderr
    done = modal.run("apply", "b200-eagle-bf16kv", "--dry-run", "--set", "app=other-app", "--adopt")
    assert "which glmdeploy did not deploy: it is replaced" in done.stdout
