"""``verify``: whether a deployed endpoint does what its profile promises, and how fast. Changes nothing.

The checks are code of the container side (:mod:`glmdeploy.runtime.verify_endpoint`). They run here where the key is at
hand, else in a small CPU container of an app that ends with them, which has the profile's secrets.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from glmdeploy.errors import DeployError, LocalCloudError, UsageError
from glmdeploy.local import cloud
from glmdeploy.operate.live import endpoint
from glmdeploy.operate.proxy import held_token
from glmdeploy.operate.stages import running
from glmdeploy.operate.verification import STAND_IN, Verification, Wanted, verification
from glmdeploy.runtime.purpose import CHAT, purpose_of
from glmdeploy.runtime.verify_endpoint import verified

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan

HERE, CONTAINER = "here", "container"
START_MARGIN = 120
"""Seconds beyond the start-up limit that an endpoint gets to wake up."""
URL_START_SECONDS = 900
"""The same for an endpoint of which nothing is known."""


def subject(plan: Plan, url: str, wanted: Wanted) -> dict[str, Any]:
    """What the checks are told of an endpoint: plain data, without secrets."""
    start = wanted.start_seconds
    return {
        "url": url,
        "served_name": plan.model.served_name,
        "purpose": None if (purpose := purpose_of(plan.server.command)) == CHAT else purpose,
        "key": plan.api_key is not None,
        "proxy": plan.proxy_auth,
        "options": [word[2:].replace("-", "_") for word in plan.server.command if word.startswith("--")],
        "expected": plan.server.expected,
        "tolerate": list(plan.server.tolerate),
        "start_seconds": plan.server.seconds("startup_timeout") + START_MARGIN if start is None else start,
        **wanted.data(),
    }


def verify(
    plan: Plan,
    target: Target,
    *,
    key_env: str | None = None,
    where: str | None = None,
    url: str | None = None,
    wanted: Wanted | None = None,
    quick: bool = False,
    see: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Verify what is deployed under the plan's name.

    The key is the value of the variable ``key_env``; on the embedded cloud it is read from the store. Without it, or
    with ``where`` as ``container``, a container asks. ``quick`` is short for ``wanted=Wanted(quick=True)``. ``see``
    hears the name of each check as it begins, where it is made here.

    :raises UsageError: where the checks are to be made here, and the key or the proxy token is not at hand.
    :raises DeployError: where nothing is deployed, or the target does not answer.
    """
    wanted = wanted or Wanted(quick=quick)
    url = url or _endpoint(plan, target)
    told = subject(plan, url, wanted)
    key = key_of(key_env) if key_env else _stored_key(plan, target)
    token: Sequence[str] | None = held_token(plan.proxy_token, target) if plan.proxy_token else ()
    at_hand = token is not None and (key is not None or plan.api_key is None)
    if where == HERE and not at_hand:
        lacking = "proxy token" if token is None else "API key"
        raise UsageError(
            f"the {lacking} is not at hand, and a Modal Secret cannot be read back",
            advice="name the variable of the key with `--api-key-env`, or let a container ask: `--from container`",
        )
    benched = wanted.bench and bool(wanted.concurrency)
    in_container = where == CONTAINER or not at_hand
    if not in_container:
        found = verified(told, key, token or (), see=see)
    if in_container or benched:
        with running(plan, target, verifier=in_container, bench=benched) as app:
            if in_container:
                found = app.verify(told)
            if benched:
                load = {"concurrency": list(wanted.concurrency), "stand_in": found["engine"] == STAND_IN}
                found = with_bench(found, app.bench({**told, **load}))
    return verification(found, url=url, app=plan.app, where=CONTAINER if in_container else HERE)


def with_bench(found: Mapping[str, Any], bench: Mapping[str, Any]) -> dict[str, Any]:
    """What was found, with the load as SGLang's own benchmark measured it."""
    levels = bench.get("load", [])
    state, words = "ok", f"sglang.bench_serving: {sum(level['requests'] for level in levels)} requests"
    if failed := sum(level["failed"] for level in levels):
        state, words = "failed", f"{words}, of which {failed} failed"
    for name, told in (("failed", bench.get("fault")), ("skipped", bench.get("skipped"))):
        if told:
            state, words = name, f"sglang.bench_serving: {told}" if name == "failed" else told
    load = {"name": "load", "state": state, "words": words}
    return {**found, "checks": [*found["checks"], load], "load": levels}


def verify_url(
    url: str,
    *,
    key_env: str | None = None,
    proxy_env: tuple[str, str] | None = None,
    wanted: Wanted | None = None,
    see: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Verify any endpoint of SGLang's, of which nothing is known but what it says itself.

    :raises UsageError: for a variable that is not set.
    """
    wanted = wanted or Wanted()
    key = key_of(key_env) if key_env else None
    token = tuple(key_of(name) for name in proxy_env or ())
    start = URL_START_SECONDS if wanted.start_seconds is None else wanted.start_seconds
    told = {"url": url, "key": key is not None, "start_seconds": start, **wanted.data()}
    return verification(verified(told, key, token, see=see), url=url, app=None, where=HERE)


def _endpoint(plan: Plan, target: Target) -> str:
    try:
        return endpoint(plan, target)
    except DeployError as error:
        advice = error.advice or "is it deployed? `glmdeploy apply` does so, and `-e` names another Environment"
        raise DeployError(error.message, advice=advice) from None


def key_of(name: str) -> str:
    """The value of a variable that holds a key. :raises UsageError: where there is none."""
    value = os.environ.get(name, "")
    if not value:
        raise UsageError(
            f"the variable {name} is {'empty' if name in os.environ else 'not set'}",
            advice="it must hold the key, and be exported: the option takes the variable's name, never the key",
        )
    return value


def _stored_key(plan: Plan, target: Target) -> str | None:
    """The key as the embedded cloud keeps it, where that is the target."""
    if plan.api_key is None or target.cloud is None:
        return None
    try:
        return cloud.read_secret(plan.api_key.name, plan.api_key.keys[0])
    except LocalCloudError:
        return None
