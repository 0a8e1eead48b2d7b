"""Checks of ``verify`` that need no answer of the model: health, key, served model, configuration, metrics."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from typing import Any

from glmdeploy.runtime.comparison import COMPARED, differences
from glmdeploy.runtime.keys import unusable
from glmdeploy.runtime.quick_checks import fault_of, quick_check
from glmdeploy.runtime.verify_http import DOOR_KEY, Door, GoneAway, NoReply, Told, check_status, tell
from glmdeploy.runtime.verify_site import POLL_PAUSE, CheckFailed, CheckSkipped, Passed, Site, shown

PROTECTED_PATH = "/v1/models"
"""SGLang protects it, and it costs nothing (0.5.10 to 0.5.23)."""
DOOR_SECONDS = 60.0
WAKING_SECONDS = 3.0
"""From so many seconds on it is told that the endpoint was asleep: an engine that idles takes one to answer."""
SERIES = "sglang:num_running_reqs"
"""A series of ``/metrics`` that all releases have."""


def wake(site: Site) -> float:
    """Ask ``/health`` until it answers 200, as long as the subject's ``start_seconds``; the seconds that took.

    :raises CheckFailed: where it does not.
    """
    began = time.monotonic()
    limit = site.subject["start_seconds"]
    while True:
        waited = time.monotonic() - began
        try:
            answer = tell(site.door, "/health", seconds=max(1.0, limit - waited), key=None)
        except NoReply as why:
            reason = str(why)
        else:
            if answer.status == 200:
                site.engine = answer.server
                return time.monotonic() - began
            if answer.status == 401:
                raise CheckFailed(
                    "Modal's proxy lets nobody through: the proxy token was refused, or none was sent (401)"
                )
            reason = f"status {answer.status}"
            if said := failure_told(answer):
                raise CheckFailed(f"{reason}: {shown(said)}")
            if answer.status in {404, 405}:
                raise CheckFailed(f"{reason}: no SGLang answers here")
        if (waited := time.monotonic() - began) >= limit:
            raise CheckFailed(f"not healthy after {waited:.0f} s: {reason}")
        time.sleep(POLL_PAUSE)


def failure_told(answer: Told) -> str | None:
    """What is said of a container that could not start: ``{"error": {"message": ...}}``."""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        return str(answer.data["error"]["message"])
    return None


def check_health(site: Site) -> Passed:
    """200, after it was woken up."""
    took = wake(site)
    answer = tell(site.door, "/health", seconds=DOOR_SECONDS, key=None)
    check_status(answer)
    if answer.status != 200:
        raise CheckFailed(f"status {answer.status}")
    asleep = f", after {took:.0f} s of waiting" if took > WAKING_SECONDS else ""
    return Passed(f"200 in {answer.seconds * 1000:.0f} ms{asleep}", {"health_ms": round(answer.seconds * 1000, 3)})


def check_key(site: Site) -> Passed:
    """401 without a key and with a wrong one; a refusal of Modal's proxy is none of SGLang's."""
    door = site.door
    of_proxy = _refused_by_proxy(site)
    if door.key is not None and (why := unusable(door.key)):
        raise CheckFailed(f"the key {why}")
    right = _door(door, DOOR_KEY)
    if not site.subject["key"] and door.key is None:
        if right.status == 401 and right.body != of_proxy:
            raise CheckFailed("the server wants a key, and none was given")
        raise CheckSkipped("no key is wanted: the endpoint is open to everybody")
    told = {
        "without a key": _door(door, None),
        "with a wrong key": _door(door, f"wrong-{secrets.token_hex(8)}"),
    }
    if right.status == 401:
        who = "Modal's proxy refuses the proxy token" if right.body == of_proxy else "the server refuses the key"
        raise CheckFailed(f"{who} (401)")
    for what, answer in told.items():
        check_status(answer)
        if answer.status == 401 and answer.body == of_proxy:
            raise CheckFailed(f"Modal's proxy refused the request {what}: what SGLang would say is not known")
        if answer.status != 401:
            raise CheckFailed(f"open: status {answer.status} {what}, and it should be 401")
    of = "; 401 of Modal's proxy without its token" if of_proxy is not None else ""
    return Passed(f"401 without, 401 with a wrong one{of}")


def _refused_by_proxy(site: Site) -> bytes | None:
    """What Modal's proxy says when it refuses; None where it wants no token.

    :raises CheckFailed: where it should want one.
    """
    if not site.door.token and not site.subject.get("proxy"):
        return None
    stranger = tell(Door(site.door.url), "/health", seconds=DOOR_SECONDS, key=None)
    if stranger.status == 401:
        return stranger.body
    check_status(stranger)
    if site.subject.get("proxy"):
        raise CheckFailed(f"Modal's proxy lets through who has no proxy token (status {stranger.status})")
    return None


def _door(door: Door, key: str | None) -> Told:
    return tell(door, PROTECTED_PATH, seconds=DOOR_SECONDS, key=key)


def look_around(site: Site) -> None:
    """Ask the engine about itself, as far as it tells. Nothing is judged.

    :raises GoneAway:
    """
    for path in ("/model_info", "/get_model_info"):
        told = _object_at(site, path)
        if isinstance(told.get("is_generation"), bool):
            site.generates = told["is_generation"]
            break
    for path in ("/server_info", "/get_server_info"):
        if told := _object_at(site, path):
            site.info = told
            break
    with contextlib.suppress(LookupError, TypeError):
        site.cards = [card for card in _object_at(site, PROTECTED_PATH)["data"] if isinstance(card.get("id"), str)]


def _object_at(site: Site, path: str) -> dict[str, Any]:
    with contextlib.suppress(NoReply, ValueError):
        answer = tell(site.door, path, seconds=DOOR_SECONDS)
        if answer.status == 200 and isinstance(answer.data, dict):
            return dict(answer.data)
    return {}


def check_model(site: Site) -> Passed:
    """The served name, which SGLang does not hold requests to: ``/v1/models`` tells it."""
    cards = site.ask(PROTECTED_PATH, seconds=DOOR_SECONDS).data["data"]
    names = [card["id"] for card in cards]
    wanted = site.subject.get("served_name")
    if wanted and wanted not in names:
        raise CheckFailed(f"it serves {shown(', '.join(names)) or 'nothing'}, and should serve {wanted}")
    if not names:
        raise CheckFailed("it serves no model")
    site.cards = cards
    length = cards[names.index(wanted) if wanted else 0].get("max_model_len")
    return Passed(
        f"{wanted or shown(names[0])}" + (f", {length:,} tokens of context" if isinstance(length, int) else "")
    )


def check_pooled(site: Site) -> Passed:
    """Embeddings or scores of two texts, for a model that does not generate."""
    check = quick_check(site.purpose, site.model)
    answer = tell(site.door, check.path, check.body, seconds=DOOR_SECONDS)
    check_status(answer)
    if fault := fault_of(check, answer.status, answer.body):
        raise CheckFailed(shown(fault) if len(fault) > 100 else fault)
    return Passed(f"two texts answered in {answer.seconds * 1000:.0f} ms")


def check_effective(site: Site) -> Passed:
    """What the engine says it runs with, against the plan."""
    expected = site.subject.get("expected")
    if expected is None:
        raise CheckSkipped("without a profile nothing is expected")
    info = site.ask("/server_info", seconds=DOOR_SECONDS).data
    cards = site.ask(PROTECTED_PATH, seconds=DOOR_SECONDS).data["data"]
    tolerated = site.subject.get("tolerate", ())
    if not isinstance(info, dict) or not isinstance(cards, list):
        raise TypeError("another form")
    if found := differences(expected, tolerated, info, cards):
        raise CheckFailed("; ".join(found))
    compared = [name for name in COMPARED if name in expected and name not in set(tolerated)]
    return Passed(f"{len(compared)} values as planned")


def check_metrics(site: Site) -> Passed:
    """The series of ``/metrics``, where the option asks for them."""
    if not site.has("enable_metrics"):
        raise CheckSkipped("`enable-metrics` is not set")
    answer = site.ask("/metrics", seconds=DOOR_SECONDS)
    lines = [line for line in answer.text.splitlines() if line.startswith("sglang:")]
    if not lines:
        raise CheckFailed("it has no series of SGLang's")
    names = {line.partition("{")[0].partition(" ")[0] for line in lines}
    told = "" if SERIES in names else f", without {SERIES}"
    return Passed(f"{len(names)} series{told}; open to everybody, as SGLang leaves them")


def running_requests(site: Site) -> int:
    """Requests that run or wait, over all ranks, as ``/v1/loads`` tells (0.5.10 to 0.5.23).

    :raises CheckSkipped: where it does not.
    """
    try:
        answer = tell(site.door, "/v1/loads", seconds=DOOR_SECONDS)
    except GoneAway:
        raise
    except NoReply as why:
        raise CheckSkipped(f"/v1/loads does not tell what runs: {why}") from None
    if answer.status != 200:
        raise CheckSkipped(f"/v1/loads does not tell what runs: status {answer.status}")
    loads = json.loads(answer.body)["loads"]
    return sum(int(load["num_running_reqs"]) + int(load.get("num_waiting_reqs") or 0) for load in loads)
