"""The functions of the deployed app, bound to its plan."""

from __future__ import annotations

import os
import urllib.request
from typing import Any

import modal

from glmdeploy.runtime.download import download_weights
from glmdeploy.runtime.hosting import local_command, local_env, local_folder, only_one
from glmdeploy.runtime.kernels import compile_kernels
from glmdeploy.runtime.keys import without_secrets
from glmdeploy.runtime.mounted import PLAN


def plan() -> dict[str, Any]:
    """The deployed plan. There is none outside a container."""
    assert PLAN is not None
    return PLAN


def mounts() -> list[str]:
    """Mount paths of the plan's volumes."""
    return [plan()[role]["mount"] for role in ("weights", "kernels") if role in plan()]


def secret_names() -> list[str]:
    """The variables that hold the plan's secrets in the containers that get them."""
    return [name for role in ("api_key", "huggingface") for name in plan().get(role, {}).get("keys", ())]


def engine_env() -> dict[str, str]:
    """The whole environment of SGLang's processes: the container's own without the secrets, and what the plan sets."""
    server = plan()["server"]
    own = local_env({**server["image"]["env"], **server["env"]}, mounts(), plan()["sglang"])
    return without_secrets({**os.environ, **own}, secret_names())


def download_model() -> dict[str, Any]:
    """Stage 1. Returns the completion mark of the weights."""
    model, weights, secret = plan()["model"], plan()["weights"], plan().get("huggingface")
    token = os.environ.get(secret["keys"][0]) if secret else None
    volume = local_folder(weights["mount"])
    with only_one(volume):
        marker = download_weights(model["repo"], model["revision"], local_folder(model["path"]), volume, token)
    modal.Volume.from_name(weights["name"]).commit()
    return marker


def compile_deepgemm() -> dict[str, Any]:
    """Stage 2. Returns the completion mark of the kernels."""
    stage, volume = plan()["compile"], plan()["kernels"]
    folder = local_folder(volume["mount"])
    with only_one(folder):
        marker = compile_kernels(
            local_command(stage["command"], mounts()),
            engine_env(),
            stage["key"],
            folder,
            stage["gives_up_after"],
        )
    modal.Volume.from_name(volume["name"]).commit()
    return marker


def describe() -> dict[str, Any]:
    """The plan that this deployment was made from."""
    return plan()


def keep_warm() -> int:
    """Ask /health of the endpoint, so that a container stays up. Returns the HTTP status."""
    url = plan()["keepalive"]["url"] or modal.Cls.from_name(plan()["app"], "Server")().serve.get_web_url()
    with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=600) as answer:
        return int(answer.status)
