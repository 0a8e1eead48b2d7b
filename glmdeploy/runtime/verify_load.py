"""A load client: so many requests by so many clients at a time, and what they saw, by the names that aiperf gives.

Each client is a thread, and its request a connection of its own. Latencies are from the sending of the request; the
time between tokens is the mean of a request after its first token; throughput is of all clients over the whole level.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from glmdeploy.runtime.purpose import CHAT
from glmdeploy.runtime.quick_checks import quick_check
from glmdeploy.runtime.verify_answers import stream_figures
from glmdeploy.runtime.verify_door import wake
from glmdeploy.runtime.verify_events import StreamedChat, percentiles
from glmdeploy.runtime.verify_http import GoneAway, NoReply, check_status, tell
from glmdeploy.runtime.verify_site import ANSWER_PATIENCE, CheckFailed, CheckSkipped, Passed, Site, at_once

LOAD_TOKENS = 128
"""Tokens of each answer."""
LOAD_TOPICS = ("a harbour", "a mountain", "a market", "a library", "a bridge", "a garden", "an island", "a factory")
REQUESTS_EACH = 3
"""Requests of each client, unless their number is given."""


@dataclass
class Level:
    """What the clients of a level saw."""

    streams: list[StreamedChat] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Of each request, from its sending to its end."""
    retried: int = 0
    faults: list[str] = field(default_factory=list)


def check_load(site: Site) -> Passed:
    """One level after the other; the figures of each are in ``load``.

    :raises CheckFailed: where a request failed, though it was made again if its container had gone.
    """
    levels = []
    for clients in site.subject["concurrency"]:
        levels.append(run_level(site, clients, site.subject.get("requests") or clients * REQUESTS_EACH))
        if levels[-1]["failed"]:
            break
    worst = levels[-1]
    if worst["failed"]:
        raise LoadFailed(
            f"{worst['failed']} of {worst['requests']} requests failed with {worst['concurrency']} at a time: "
            f"{worst['fault']}",
            levels,
        )
    total = sum(level["requests"] for level in levels)
    retried = sum(level["retried"] for level in levels)
    again = f", {retried} of them made twice: their container went away" if retried else ""
    return Passed(f"{total} requests, none failed{again}", {"load": levels})


class LoadFailed(CheckFailed):
    """``levels`` are the figures all the same."""

    def __init__(self, words: str, levels: list[dict[str, Any]]) -> None:
        super().__init__(words)
        self.levels = levels


def run_level(site: Site, clients: int, requests: int) -> dict[str, Any]:
    """The figures of ``requests`` requests, ``clients`` of them at a time."""
    level, lock = Level(), threading.Lock()
    request = _stream_one if site.purpose == CHAT and site.generates else _pool_one
    began = time.monotonic()
    at_once(lambda _: _request(request, site, level, lock), range(requests), clients)
    return _level_figures(level, clients, requests, time.monotonic() - began)


def _request(
    request: Callable[[Site], tuple[float, StreamedChat | None]], site: Site, level: Level, lock: threading.Lock
) -> None:
    """One request, and one more where its container went away."""
    for last in (False, True):
        try:
            seconds, stream = request(site)
        except GoneAway as why:
            if not last:
                with lock:
                    level.retried += 1
                with contextlib.suppress(CheckFailed, NoReply):
                    wake(site)
                continue
            fault = str(why)
        except (CheckFailed, CheckSkipped, NoReply) as why:
            fault = str(why)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            fault = "the answer does not have the form that clients read"
        else:
            with lock:
                level.seconds.append(seconds)
                if stream is not None:
                    level.streams.append(stream)
            return
        with lock:
            level.faults.append(fault)
        return


def _stream_one(site: Site) -> tuple[float, StreamedChat]:
    topic = secrets.choice(LOAD_TOPICS)
    # Prompts that begin differently, so that none is in the cache of another.
    body = site.question(f"{secrets.token_hex(8)}: tell a long story about {topic}.", tokens=LOAD_TOKENS)
    began = time.monotonic()
    stream = site.stream(body | {"ignore_eos": True})
    if not stream.pieces:
        raise CheckFailed("the stream says nothing")
    return time.monotonic() - began, stream


def _pool_one(site: Site) -> tuple[float, None]:
    check = quick_check(site.purpose, site.model)
    answer = tell(site.door, check.path, check.body, seconds=ANSWER_PATIENCE)
    check_status(answer)
    if answer.status != 200:
        raise CheckFailed(f"status {answer.status}")
    return answer.seconds, None


def _level_figures(level: Level, clients: int, requests: int, seconds: float) -> dict[str, Any]:
    found: dict[str, Any] = {
        "concurrency": clients,
        "requests": requests,
        "failed": len(level.faults),
        "retried": level.retried,
        "request_latency_ms": percentiles(each * 1000 for each in level.seconds),
        "request_throughput_requests_per_s": round(len(level.seconds) / seconds, 3),
    }
    if level.streams:
        tokens = sum(stream.tokens for stream in level.streams)
        found |= stream_figures(level.streams)
        found["output_token_throughput_tokens_per_s"] = round(tokens / seconds, 3)
    return found | ({"fault": level.faults[0]} if level.faults else {})
