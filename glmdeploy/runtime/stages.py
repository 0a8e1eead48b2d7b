"""The functions of the deployed app, bound to the plan that was mounted beside this file."""

from __future__ import annotations

import functools
import json
import os
import urllib.request
from pathlib import Path
from typing import Any

import modal

from glmdeploy.runtime import download, engine, kernels
from glmdeploy.runtime.hosting import local_command, local_env, local_folder, only_one

PLAN_FILE = "plan.json"


@functools.cache
def plan() -> dict[str, Any]:
    """The deployed plan. Raises OSError outside a container."""
    data: dict[str, Any] = json.loads(Path(__file__).with_name(PLAN_FILE).read_text(encoding="utf-8"))
    return data


def mounts() -> list[str]:
    """Mount paths of the plan's volumes."""
    return [plan()[role]["mount"] for role in ("weights", "kernels") if role in plan()]


def engine_env() -> dict[str, str]:
    """Environment of SGLang's processes, beside the container's own."""
    server = plan()["server"]
    return local_env({**server["image"]["env"], **server["env"]}, mounts(), plan()["sglang"])


def download_model() -> dict[str, Any]:
    """Stage 1. Returns the completion mark of the weights."""
    model, weights, secret = plan()["model"], plan()["weights"], plan().get("huggingface")
    token = os.environ.get(secret["keys"][0]) if secret else None
    volume = local_folder(weights["mount"])
    with only_one(volume):
        marker = download.download_weights(model["repo"], model["revision"], local_folder(model["path"]), volume, token)
    modal.Volume.from_name(weights["name"]).commit()
    return marker


def compile_deepgemm() -> dict[str, Any]:
    """Stage 2. Returns the completion mark of the kernels."""
    stage, volume = plan()["compile"], plan()["kernels"]
    folder = local_folder(volume["mount"])
    with only_one(folder):
        marker = kernels.compile_kernels(
            local_command(stage["command"], mounts()),
            engine_env(),
            stage["key"],
            folder,
            stage["timeout"] - engine.SETTLE_SECONDS,
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
