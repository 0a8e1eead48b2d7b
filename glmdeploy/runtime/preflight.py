"""Before a GPU is rented: whether the secrets hold what can be a key, and what the revision means to their token."""

from __future__ import annotations

import os
import threading
from typing import Any

from glmdeploy.runtime.hub import Hub, token_place
from glmdeploy.runtime.keys import unusable
from glmdeploy.runtime.mounted import PLAN
from glmdeploy.runtime.transfer import DownloadFailed, patience_of


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
    if resolve and not faults:
        secret = PLAN.get("huggingface")
        token = os.environ[secret["keys"][0]] if secret else None
        found |= _resolved(PLAN["model"]["repo"], PLAN["model"]["revision"], token, token_place(secret))
    return found


def _resolved(repo: str, revision: str, token: str | None, place: str | None) -> dict[str, str]:
    """``commit``, or ``fault``: why the hub did not tell, without the token."""
    try:
        hub = Hub(repo, token, place, patience_of(os.environ), threading.Event())
        return {"commit": hub.commit(revision)}
    except DownloadFailed as failure:
        return {"fault": str(failure)}
