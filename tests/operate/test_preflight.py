"""Before a GPU is rented: secrets that can be no key or token, secrets that are missing, and who may make them up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import modal
import pytest
from support import connect, copied_cloud, some

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support import Shell

APPLY = ("apply", "b200-eagle-bf16kv", "--target", "local", "--yes")

UNUSABLE = {
    "": "is empty",
    "key-of-the-test\n": "has a line break",
    "key-of\0-the-test": None,
}


@pytest.fixture(scope="module")
def shell(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """An embedded cloud that runs a deployment."""
    with copied_cloud(template, tmp_path_factory.mktemp("preflight")) as one:
        one.run("local", "start")
        yield one


def put(shell: Shell, name: str, values: dict[str, str]) -> None:
    client = connect(shell.cloud)
    modal.Secret.objects.delete(name, allow_missing=True, client=client)
    modal.Secret.objects.create(name, values, client=client)


@pytest.mark.parametrize("value", some(UNUSABLE, *[*UNUSABLE][:2]), ids=ascii)
def test_a_secret_that_can_be_no_key(value: str, shell: Shell) -> None:
    secrets = [("glm51-api-key", "API_KEY"), ("huggingface-secret", "HF_TOKEN")]
    name, key = secrets[list(UNUSABLE).index(value) % 2]
    before, good = shell.deployments("glm51-fp8"), f"good-{key}"
    put(shell, name, {key: value})
    try:
        done = shell.run(*APPLY, "--set", "server.max_containers=2", code=1)
    finally:
        put(shell, name, {key: good})
    assert shell.deployments("glm51-fp8") == before
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    if (why := UNUSABLE[value]) is not None:
        assert errors == [f"error: {key} of the secret {name} {why}: it can be no key or token"]
        assert f"modal secret create --force {name} {key}=..." in done.stderr
    assert len(errors) == 1
    assert "-the-test" not in done.stdout + done.stderr
    assert "weights" not in done.stderr
    assert "nothing was deployed" in done.stderr


def test_both_are_told(shell: Shell) -> None:
    put(shell, "glm51-api-key", {"API_KEY": ""})
    put(shell, "huggingface-secret", {"HF_TOKEN": "hf_x\n"})
    told = shell.json(*APPLY, "--set", "server.max_containers=2", code=1)["error"]
    put(shell, "glm51-api-key", {"API_KEY": "good"})
    put(shell, "huggingface-secret", {"HF_TOKEN": "hf_x"})
    assert told["message"] == "API_KEY of the secret glm51-api-key is empty: it can be no key or token"
    assert told["advice"].splitlines() == [
        "and HF_TOKEN of the secret huggingface-secret has a line break",
        "replace the secret, with all of its keys:",
        '  eval "$(glmdeploy local env)"; modal secret create --force glm51-api-key API_KEY=...',
        '  eval "$(glmdeploy local env)"; modal secret create --force huggingface-secret HF_TOKEN=...',
    ]


def test_it_comes_first_and_is_no_part_of_the_deployment(shell: Shell) -> None:
    done = shell.run(*APPLY, "-v", "--set", "server.max_containers=2", "--json")
    assert json.loads(done.stdout)["key_required"] is True
    assert "401 without the key; health" in done.stderr
    preflight, deployed = done.stderr.split("    deploy ...")
    assert "Created Function preflight." in preflight
    assert "preflight" not in deployed


@pytest.mark.thorough
def test_a_plan_without_secrets_needs_none(shell: Shell) -> None:
    bare = ("--set", "secrets=null", "--set", "server.public=true", "--set", "app=bare")
    done = shell.run(*APPLY, *bare)
    assert "public: everyone may use it, no key is required" in done.stderr
    [preflight] = [line for line in done.stderr.splitlines() if "takes the arguments" in line]
    assert preflight.split("  ")[1:3] == ["✓ preflight", " the stand-in for SGLang 0.5.11 takes the arguments"]


@pytest.mark.thorough
def test_secrets_are_made_up_only_when_that_is_asked_for(fresh: Shell) -> None:
    refused = fresh.run(*APPLY, code=1)
    errors = refused.stderr[refused.stderr.index("error: ") :].splitlines()
    assert errors == [
        "error: missing in the embedded cloud: the secret huggingface-secret with HF_TOKEN, glm51-api-key with API_KEY",
        "create with:",
        '  eval "$(glmdeploy local env)"; modal secret create huggingface-secret HF_TOKEN=...',
        '  eval "$(glmdeploy local env)"; modal secret create glm51-api-key API_KEY=...',
        "or let apply make random values up, for a rehearsal: --make-secrets",
    ]
    assert fresh.deployed() == []
    made = fresh.run(*APPLY, "--make-secrets", "--no-wait")
    assert made.stderr.count("with a random value") == 2
    assert fresh.run(*APPLY, "--force", "--no-wait").stderr.count("with a random value") == 0


def test_a_secret_without_its_key_is_never_made_up(shell: Shell) -> None:
    put(shell, "glm51-api-key", {"OTHER": "x"})
    done = shell.run(*APPLY, "--make-secrets", "--force", code=1)
    put(shell, "glm51-api-key", {"API_KEY": "good"})
    assert "modal secret create --force glm51-api-key API_KEY=..." in done.stderr
    assert "or let apply" not in done.stderr


def test_on_modal_none_is_made_up(shell: Shell) -> None:
    done = shell.run("apply", "b200-eagle-bf16kv", "--target", "modal", "--make-secrets", code=2)
    assert "`--make-secrets` is for the embedded cloud" in done.stderr
