"""How many requests a deployed app answers just now, and how many wait: as Modal counts them, and as the engine does.

Nothing here starts a container. But a question to the engine is a request as any other: it keeps its container up for
another ``scaledown_window``.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import modal

from glmdeploy.errors import DeployError, LocalCloudError
from glmdeploy.local import cloud
from glmdeploy.operate.asking import within
from glmdeploy.operate.proxy import held_token
from glmdeploy.runtime.loopback import StayHere
from glmdeploy.runtime.prober import LOADS_PATH
from glmdeploy.runtime.public import HERE, TOKEN_HEADERS

if TYPE_CHECKING:
    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

ANSWER_SECONDS = 5.0
"""What the engine gets: one that does not answer at once is not asked again."""
_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Requests:
    """``waiting`` is None where nobody tells. ``of`` is the container whose engine was asked, where there are more."""

    running: int
    waiting: int | None
    told_by: str
    """``engine`` or ``Modal``."""
    partial: bool = False
    """Whether one of several containers was asked."""


def counted_by_modal(plan: Plan, target: Target) -> Requests | None:
    """The inputs that Modal has given to containers, and those that wait; None of a Server, of which it tells none.

    :raises DeployError:
    """
    if plan.server.kind == "server":
        return None

    async def look() -> Requests:
        server = modal.Cls.from_name(plan.app, "Server", environment_name=target.environment)
        found = await server().serve.get_current_stats.aio()
        return Requests(running=found.num_running_inputs, waiting=found.backlog, told_by="Modal")

    return within(target, f"count the requests of {plan.app}", look)


def key_at_hand(plan: Plan, target: Target, variable: str | None) -> str | None:
    """The API key: of an environment variable of this process, or of the embedded cloud; None where there is none.

    :raises DeployError: for a variable that is not set.
    """
    if variable is not None:
        value = os.environ.get(variable, "")
        if not value:
            raise DeployError(f"the environment variable {variable} is not set", advice="it is to hold the API key")
        return value
    if target.cloud and plan.api_key:
        try:
            return cloud.read_secret(plan.api_key.name, plan.api_key.keys[0])
        except LocalCloudError:
            return None
    return None


def counted_by_engine(url: str, plan: Plan, target: Target, key: str | None, *, ready: int) -> Requests | None:
    """What ``/v1/loads`` of one container says, of ``ready`` ones; None where it does not answer as SGLang does."""
    if ready < 1 or (plan.api_key and key is None):
        return None
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if plan.proxy_auth:
        token = held_token(plan.proxy_token, target) if plan.proxy_token else None
        if token is None:
            return None
        headers |= dict(zip(TOKEN_HEADERS, token, strict=True))
    try:
        loads = json.loads(_get(url + LOADS_PATH, headers))["loads"]
        return Requests(
            running=sum(int(each["num_running_reqs"]) for each in loads),
            waiting=sum(int(each.get("num_waiting_reqs") or 0) for each in loads),
            told_by="engine",
            partial=ready > 1,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def merged(modal_says: Requests | None, engine_says: Requests | None) -> Requests | None:
    """What is known from both: the engine knows better what runs, and Modal what has not reached it."""
    if engine_says is None or (engine_says.partial and modal_says is not None):
        return modal_says
    if modal_says is None:
        return engine_says
    waiting = (modal_says.waiting or 0) + (engine_says.waiting or 0)
    return Requests(running=engine_says.running, waiting=waiting, told_by="engine")


def _get(url: str, headers: dict[str, str]) -> Any:
    """The body of an answer 200. :raises OSError:"""
    here = urlsplit(url).hostname in HERE
    if not here and urlsplit(url).scheme != "https":
        raise OSError("a key does not travel in the clear")
    proxies = [urllib.request.ProxyHandler({})] if here else []
    opener = urllib.request.build_opener(*proxies, StayHere)
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=ANSWER_SECONDS) as answer:
            return answer.read(_BYTES)
    except urllib.error.HTTPError as fault:
        fault.close()
        raise OSError(fault.code) from None
