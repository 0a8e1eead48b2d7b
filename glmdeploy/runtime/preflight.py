"""Before a GPU is rented: whether the secrets hold what can be a key, and what the revision means to their token."""

from __future__ import annotations

import os
from typing import Any

from glmdeploy.runtime.keys import unusable
from glmdeploy.runtime.mounted import PLAN

HUB_SECONDS = 15
"""The longest wait for the hub's answer."""


def preflight(resolve: bool = False) -> dict[str, Any]:
    """What a container sees of the plan's secrets; no value is in the answer.

    ``unusable`` has, for each secret whose value cannot be a key or token, its name, its key and why. With ``resolve``,
    ``commit`` is what the model's revision means on the hub, or ``fault`` says why the hub did not tell.
    """
    assert PLAN is not None  # there is a plan in every container
    faults = []
    for role in ("api_key", "huggingface"):
        if secret := PLAN.get(role):
            # The first key is the one that is used.
            key = secret["keys"][0]
            if why := unusable(os.environ.get(key)):
                faults.append({"secret": secret["name"], "key": key, "why": why})
    found: dict[str, Any] = {"unusable": faults}
    token = PLAN.get("huggingface", {"keys": []})["keys"][:1]
    if resolve and not faults:
        found |= _commit(PLAN["model"]["repo"], PLAN["model"]["revision"], os.environ[token[0]] if token else None)
    return found


def _commit(repo: str, revision: str, token: str | None) -> dict[str, str]:
    """``commit``, or ``fault``: a class of huggingface_hub and, where the hub answered, its status."""
    from huggingface_hub import HfApi

    try:
        commit = HfApi(token=token).model_info(repo, revision=revision, timeout=HUB_SECONDS).sha
    except Exception as error:
        # Without its text, which may hold the token.
        status = getattr(getattr(error, "response", None), "status_code", None)
        return {"fault": type(error).__name__ + (f", HTTP status {status}" if status else "")}
    return {"commit": commit} if commit else {"fault": "it named no commit"}
