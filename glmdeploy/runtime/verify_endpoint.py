"""``verify``: all checks of an endpoint, from this machine or from a small container that has the key."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from glmdeploy.runtime.masking import Mask
from glmdeploy.runtime.purpose import CHAT
from glmdeploy.runtime.stages import plan, proxy_token
from glmdeploy.runtime.verify_answers import (
    check_chat,
    check_dropped_stream,
    check_reasoning,
    check_speculation,
    check_stream,
    check_tool_call,
)
from glmdeploy.runtime.verify_canary import check_canary
from glmdeploy.runtime.verify_door import (
    DOOR_SECONDS,
    PROTECTED_PATH,
    check_effective,
    check_health,
    check_key,
    check_metrics,
    check_model,
    check_pooled,
    look_around,
    wake,
)
from glmdeploy.runtime.verify_http import Door, NoReply, tell
from glmdeploy.runtime.verify_load import LoadFailed, check_load
from glmdeploy.runtime.verify_site import FAILED, SKIPPED, CheckResult, Passed, Site, run_check

Check = Callable[[Site], Passed]

TEXT: Mapping[str, Check] = {"chat": check_chat, "stream": check_stream}
FULL_TEXT: Mapping[str, Check] = {
    "reasoning": check_reasoning,
    "tool_call": check_tool_call,
    "dropped_stream": check_dropped_stream,
    "speculation": check_speculation,
}


def verify_endpoint(subject: Mapping[str, Any]) -> dict[str, Any]:
    """The checks from within a container, which has the plan's key and proxy token; neither is in the answer."""
    secret = plan().get("api_key")
    key = os.environ.get(secret["keys"][0]) if secret else None
    return verified(subject, key, proxy_token())


def verified(
    subject: Mapping[str, Any],
    key: str | None,
    token: Sequence[str] = (),
    *,
    see: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """What the checks of an endpoint came to: ``checks``, ``figures``, ``load`` and ``engine``.

    ``subject`` is of :func:`glmdeploy.operate.verify.subject`; ``see`` hears the name of each check as it begins.
    """
    site = Site(Door(subject["url"], key, tuple(token)), subject)
    mask = Mask((), keys=[value for value in (key, *token) if value])
    results: list[CheckResult] = []
    levels: list[dict[str, Any]] = []

    def make(name: str, check: Check) -> CheckResult:
        see(name)
        if name == "load":
            check = _keeping(levels, check)
        result = run_check(name, check, site, wake=wake)
        results.append(result)
        return result

    shut = ""
    if make("health", check_health).state == FAILED:
        shut = "health"
        results.append(CheckResult("key", SKIPPED, "the check of health failed"))
    elif make("key", check_key).state == FAILED and not _lets_in(site):
        shut = "key"
    else:
        look_around(site)
    for name, check in _others(site).items():
        if shut:
            results.append(CheckResult(name, SKIPPED, f"the check of {shut} failed"))
        else:
            make(name, check)
    figures = {name: value for one in results for name, value in one.figures.items() if name != "load"}
    for level in levels:
        if "fault" in level:
            level["fault"] = mask(level["fault"])
    return {
        "engine": site.engine,
        "checks": [one.data(mask) for one in results],
        "figures": figures,
        "load": levels,
    }


def _lets_in(site: Site) -> bool:
    """Whether the endpoint can be asked all the same: one that is open can."""
    try:
        return tell(site.door, PROTECTED_PATH, seconds=DOOR_SECONDS).status != 401
    except NoReply:
        return False


def _keeping(levels: list[dict[str, Any]], check: Check) -> Check:
    """The check of the load, with the figures of all levels kept, also where it fails."""

    def run(site: Site) -> Passed:
        levels.clear()
        try:
            found = check(site)
        except LoadFailed as failed:
            levels.extend(failed.levels)
            raise
        levels.extend(found.figures["load"])
        return found

    return run


def _others(site: Site) -> dict[str, Check]:
    """The checks after the first ones, in order."""
    quick, subject = site.subject.get("quick"), site.subject
    found: dict[str, Check] = {"model": check_model}
    if site.purpose == CHAT and site.generates:
        found |= TEXT if quick else {**TEXT, **FULL_TEXT}
    else:
        found[site.purpose] = check_pooled
    if not quick:
        found |= {"effective_values": check_effective, "metrics": check_metrics}
    if subject.get("canary") and site.purpose == CHAT and site.generates:
        found["canary"] = check_canary
    if subject.get("concurrency"):
        found["load"] = check_load
    return found
