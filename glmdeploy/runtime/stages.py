"""The functions of the deployed app, bound to its plan."""

from __future__ import annotations

import contextlib
import os
from pathlib import PurePosixPath
from typing import Any

import modal

from glmdeploy.runtime.caches import CACHES
from glmdeploy.runtime.download import download_weights
from glmdeploy.runtime.failures import within
from glmdeploy.runtime.hosting import local_command, local_env, local_folder, local_root, only_one
from glmdeploy.runtime.hub import token_place
from glmdeploy.runtime.kernels import compile_kernels
from glmdeploy.runtime.keys import without_secrets
from glmdeploy.runtime.mounted import PLAN
from glmdeploy.runtime.output import say
from glmdeploy.runtime.public import ask_public

RELOAD_LIMIT = 120
"""Seconds that a volume, or the app, may take for an answer."""

PING_SECONDS = 840
"""What a ping gets, with a whole cold start of a web function: less than Modal gives the function."""

COMMIT_LIMIT = 1800
"""Seconds that a volume may take to make durable what was written, of which there can be hundreds of gigabytes."""


NO_COMPILER = "SGLANG_CRASH_ON_JIT_COMPILE"
"""With it SGLang ends instead of compiling a kernel of its own (0.5.20 on, ``kernels/jit/utils/compile/loader.py``)."""


def plan() -> dict[str, Any]:
    """The deployed plan. There is none outside a container."""
    assert PLAN is not None
    return PLAN


def mounts() -> list[str]:
    """Mount paths of the plan's volumes: the weights', the kernels', and further ones."""
    roles = [plan()[role] for role in ("weights", "kernels") if role in plan()]
    return [volume["mount"] for volume in [*roles, *plan()["volumes"]]]


def planned_gpus() -> list[str]:
    """What a container may have, in order of preference."""
    gpu = plan()["gpu"]
    return [gpu] if isinstance(gpu, str) else list(gpu)


def secret_names() -> list[str]:
    """The variables that hold the plan's secrets in the containers that get them."""
    return [name for role in ("api_key", "huggingface", "proxy_token") for name in plan().get(role, {}).get("keys", ())]


def further_secret_names() -> list[str]:
    """The variables of the plan's further secrets, which SGLang gets."""
    return [name for secret in plan()["secrets"] for name in secret["keys"]]


def engine_env(stage: str) -> dict[str, str]:
    """The whole environment of SGLang's processes in a stage, ``server`` or ``compile``.

    It is the container's own without the secrets, and what the plan sets.
    """
    server = plan()["server"]
    planned = {**server["image"]["env"], **plan()[stage]["defaults"], **server["env"]}
    if stage == "compile" and NO_COMPILER in planned:
        planned[NO_COMPILER] = "0"  # it is what the stage is for
    own = local_env(planned, [*mounts(), CACHES], plan()["sglang"])
    return without_secrets({**os.environ, **own}, secret_names())


def download_model(verify: bool = False) -> dict[str, Any]:
    """Stage 1; with ``verify`` what is complete is read and compared with its hashes too.

    Returns what is in the volume now: ``repo``, ``revision``, ``commit``, the number of ``files`` and their ``bytes``.
    """
    model, weights, secret = plan()["model"], plan()["weights"], plan().get("huggingface")
    volume = modal.Volume.from_name(weights["name"])
    try:
        within(RELOAD_LIMIT, volume.reload)
    except Exception as fault:  # a call before may have left a file open; then what is there is older, never wrong
        say(f"the volume cannot be looked at anew: {type(fault).__name__}: {fault}")
    folder = local_folder(weights["mount"])
    # An open file in a volume would keep Modal from looking for news in it, and no lock reaches across its containers.
    with only_one(folder) if local_root() else contextlib.nullcontext():
        manifest = download_weights(
            model["repo"],
            model["revision"],
            model.get("commit"),
            PurePosixPath(model["path"]).name,
            folder,
            os.environ.get(secret["keys"][0]) if secret else None,
            token_place=token_place(secret),
            verify=verify,
            commit_volume=lambda: within(COMMIT_LIMIT, volume.commit),
        )
    sizes = [entry["size"] for entry in manifest["files"].values()]
    return {**manifest, "files": len(sizes), "bytes": sum(sizes)}


def compile_deepgemm(gpu: str = "") -> dict[str, Any]:
    """Stage 2, on the plan's GPU, or the first of several where none is named.

    Returns the completion mark of the kernels. Every GPU has a function of its own, which has to be told which one it
    is.
    """
    stage, volume = plan()["compile"], plan()["kernels"]
    key = stage["keys"][gpu or planned_gpus()[0]]
    folder = local_folder(volume["mount"])
    with only_one(folder):
        marker = compile_kernels(
            local_command(stage["command"], mounts()),
            engine_env("compile"),
            key,
            folder,
            local_folder(CACHES),
            stage["gives_up_after"],
        )
    within(COMMIT_LIMIT, modal.Volume.from_name(volume["name"]).commit)
    return marker


def describe() -> dict[str, Any]:
    """The plan that this deployment was made from."""
    return plan()


def url_of(app: str, kind: str) -> str:
    """Where the app answers. :raises LookupError: if Modal tells no address."""
    if kind == "server":
        url = modal.Server.from_name(app, "Server").get_url()
    else:
        url = modal.Cls.from_name(app, "Server")().serve.get_web_url()
    if not url:
        raise LookupError(f"the app {app} has no address")
    return str(url)


def proxy_token() -> list[str]:
    """The id and the secret of the plan's proxy token; nothing where the plan has none."""
    return [os.environ.get(name, "") for name in plan().get("proxy_token", {}).get("keys", ())]


def keep_warm() -> int:
    """Ask /health of the endpoint, so that a container stays up. Returns the HTTP status.

    A Server that has no container answers 503, and one starts: for the next ping, and for whoever comes.
    """
    kind = plan()["server"]["kind"]
    url = plan()["keepalive"]["url"] or within(RELOAD_LIMIT, lambda: url_of(plan()["app"], kind))
    answer = ask_public(f"{url.rstrip('/')}/health", PING_SECONDS, proxy_token())
    if answer.status is None or (answer.status != 200 and (kind, answer.status) != ("server", 503)):
        why = "Modal's proxy wants a token, or refuses this one" if answer.status == 401 else answer.reason
        raise RuntimeError(f"the ping failed: {why}")
    return answer.status


def ask_endpoint(path: str, authorized: bool, seconds: float) -> dict[str, Any]:
    """What the endpoint answers to a GET of ``path`` without an API key, with or without the proxy token.

    For ``apply``, which cannot read the secret: ``status`` (None for no answer), ``reason``, and the ``body``.
    """
    url = within(RELOAD_LIMIT, lambda: url_of(plan()["app"], plan()["server"]["kind"]))
    answer = ask_public(url.rstrip("/") + path, seconds, proxy_token() if authorized else ())
    return {"status": answer.status, "reason": answer.reason, "body": answer.body}
