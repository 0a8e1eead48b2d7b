"""Before a GPU is rented: what a small container of the server's own image can tell of what it was given.

``apply`` asks twice. Before the download (:func:`preflight`): whether the secrets hold what can be a key, whether the
volume has room, and whether the image's SGLang takes the arguments. After the stages (:func:`rehearse`): whether
weights and kernels lie where the server looks for them, and what SGLang makes of its arguments with these weights.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

from glmdeploy.runtime.cluster import rehearsed, with_place
from glmdeploy.runtime.download import free_bytes
from glmdeploy.runtime.hosting import local_command, local_engine, local_folder
from glmdeploy.runtime.hub import Hub, token_place
from glmdeploy.runtime.kernels import kernels_there
from glmdeploy.runtime.keys import unusable
from glmdeploy.runtime.masking import Mask
from glmdeploy.runtime.preflight_image import Judgement, judge_arguments
from glmdeploy.runtime.stages import engine_env, mounts, plan, secret_names
from glmdeploy.runtime.transfer import DownloadFailed, Patience, patience_of
from glmdeploy.runtime.weights import shortcoming, size_of, sub_path
from glmdeploy.runtime.work import content_key, other_works

JUDGE_SECONDS = 300
"""What SGLang gets to import itself and judge. Seen of 0.5.11: 13 to 25 s on two cores, a minute on busy ones."""

HUB_PATIENCE = Patience(stall=15, tries=2, pause=1)
"""For a list of files that only tells whether there is room: the download asks again, and waits longer."""


def preflight(judge: bool = True, room: bool = True) -> dict[str, Any]:
    """What a container can tell before the download; no secret's value is in the answer.

    ``unusable`` has, for each secret whose value cannot be a key or token, its name, its key and why; then nothing else
    is asked. With ``judge``, ``arguments`` is the :class:`Judgement` of all commands by the image's parser. With
    ``room``, ``room`` has how many bytes are ``coming`` and how many are ``free`` in the weights' volume, or why that
    is ``unknown``.
    """
    found: dict[str, Any] = {"unusable": _unusable_secrets(os.environ)}
    if found["unusable"]:
        return found
    if judge:
        stages = [stage for stage in ("server", "compile") if stage in plan()]
        found["arguments"] = _judged({stage: plan()[stage]["command"] for stage in stages})
    if room:
        found["room"] = _room()
    return found


def rehearse(machines: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """What a container with the volumes as the server sees them can tell before the deployment.

    ``lacking`` says what of weights and kernels is not there. ``arguments`` has a :class:`Judgement` for each machine
    that the server may get, as ``oracle_probe.py`` takes one; None for one of which not all is known that CUDA tells.
    ``on_cpu``: the server uses none of them.
    """
    lacking = _lacking()
    command = plan()["server"]["command"]
    on_cpu = ("--device", "cpu") in pairwise(command)
    return {
        "lacking": lacking,
        "on_cpu": on_cpu,
        "arguments": []
        if lacking
        else [
            _judged(
                {"server": with_place(command, rehearsed(plan()))}, resolve=True, machine=None if on_cpu else machine
            )
            if machine or on_cpu
            else Judgement(unjudged="not all is known that CUDA tells of the GPU").data()
            for machine in machines
        ],
    }


def resolve_revision() -> dict[str, Any]:
    """``commit``: what the model's revision means on the hub; or ``fault``: why the hub did not tell.

    ``unusable`` as of :func:`preflight`; where it has any, the hub is not asked. No token is in the answer.
    """
    found: dict[str, Any] = {"unusable": _unusable_secrets(os.environ)}
    if not found["unusable"]:
        try:
            found["commit"] = _hub(patience_of(os.environ)).commit(plan()["model"]["revision"])
        except DownloadFailed as failure:
            found["fault"] = str(failure)
    return found


def _unusable_secrets(environment: Mapping[str, str]) -> list[dict[str, str]]:
    # Of a key and a token the first one is used; a proxy token is an id and a secret.
    used = {"api_key": 1, "huggingface": 1, "proxy_token": 2}
    asked = [
        (plan()[role], key) for role, count in used.items() if role in plan() for key in plan()[role]["keys"][:count]
    ]
    return [
        {"secret": secret["name"], "key": key, "why": why}
        for secret, key in asked
        if (why := unusable(environment.get(key)))
    ]


def _judged(
    commands: Mapping[str, Sequence[str]], *, resolve: bool = False, machine: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The data of the Judgement of commands ``python3 -m MODULE ...``, with this container's secrets masked."""
    environment = engine_env("server")
    interpreter = plan()["server"]["command"][0]
    if engine := local_engine(plan()["sglang"]):
        interpreter, environment["PYTHONPATH"] = engine
    found = judge_arguments(
        interpreter,
        environment,
        {name: local_command(list(command), mounts())[3:] for name, command in commands.items()},
        seconds=JUDGE_SECONDS,
        resolve=resolve,
        machine=machine,
    )
    mask = Mask([os.environ.get(name, "") for name in secret_names()])
    hidden: dict[str, Any] = _masked(found.data(), mask)
    return hidden


def _masked(value: Any, mask: Mask) -> Any:
    if isinstance(value, dict):
        return {key: _masked(item, mask) for key, item in value.items()}
    return mask(value) if isinstance(value, str) else value


def _hub(limits: Patience) -> Hub:
    secret = plan().get("huggingface")
    token = os.environ[secret["keys"][0]] if secret else None
    return Hub(plan()["model"]["repo"], token, token_place(secret), limits, threading.Event())


def _room() -> dict[str, Any]:
    """``coming`` and ``free`` bytes, or why they are ``unknown``."""
    settings = plan()["download"]["image"]["env"]
    if settings.get("GLMDEPLOY_FREE_SPACE") == "unchecked":
        return {"unknown": "`download.env.GLMDEPLOY_FREE_SPACE` says that it is not to be checked"}
    volume = local_folder(plan()["weights"]["mount"])
    free = free_bytes(volume)
    if free is None:
        return {"unknown": "the volume's file system does not tell how much is free"}
    # The hub as the download sees it, whose image has variables of its own; the server's may forbid the hub.
    os.environ.pop("HF_HUB_OFFLINE", None)
    os.environ.update(settings)
    model = plan()["model"]
    try:
        commit = model.get("commit") or _hub(HUB_PATIENCE).commit(model["revision"])
        files = _hub(HUB_PATIENCE).listing(commit).files
    except DownloadFailed as failure:
        return {"unknown": " ".join(str(failure).split())}
    except ImportError:
        return {"unknown": "the image has no huggingface_hub to ask for the files with"}
    version = volume / sub_path(model["repo"], commit) / PurePosixPath(model["path"]).name
    begun: dict[tuple[str, ...], int] = {}
    for work in other_works(volume, None):
        for path, entry in work.manifest["files"].items():
            size = max(size_of(work.model / path), size_of(work.part(path)), 0)
            begun[content_key(entry)] = max(size, begun.get(content_key(entry), 0))
    lacks = [entry for path, entry in files.items() if size_of(version / path) != entry["size"]]
    return {"coming": sum(max(0, entry["size"] - begun.get(content_key(entry), 0)) for entry in lacks), "free": free}


def _lacking() -> list[str]:
    """What of weights and kernels is not there, as the server will see them."""
    model, folder = plan()["model"], local_folder(plan()["weights"]["mount"])
    found = shortcoming(folder, model["repo"], model.get("commit"), PurePosixPath(model["path"]).name)
    lacking = [found] if found else []
    if "compile" in plan() and "kernels" in plan():
        volume = local_folder(plan()["kernels"]["mount"])
        for gpu, (mark, gone) in kernels_there(volume, plan()["compile"]["keys"]).items():
            if not mark:
                lacking.append(f"{volume} has no mark of kernels compiled for {gpu}")
            elif gone:
                lacking.append(f"{gone} of {len(mark['files'])} compiled kernels for {gpu} are gone from {volume}")
    return lacking
