"""Checks of ``verify`` that ask the model: chat, stream, reasoning, tool call, a dropped stream, speculation."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from glmdeploy.runtime.quick_checks import chat_fault
from glmdeploy.runtime.verify_door import running_requests
from glmdeploy.runtime.verify_events import EventReader, StreamedChat, percentiles
from glmdeploy.runtime.verify_http import READ_BYTES, GoneAway, Told, check_status, gone_away, opened
from glmdeploy.runtime.verify_site import (
    ANSWER_PATIENCE,
    POLL_PAUSE,
    CheckFailed,
    CheckSkipped,
    Passed,
    Site,
    needs_text,
    refused,
    shown,
    with_session,
)

CAPITAL = "What is the capital of France? Answer with the name of the city alone."
SUM = "What is 17 + 25? Think briefly, then answer with the number alone."
WEATHER = "Call the function get_weather for the city of Paris and 3 days, in metric units. Only call the function."
STORIES = ("a lighthouse", "a train at night", "an old clock")

SHORT_TOKENS, LONG_TOKENS = 512, 2048
STREAM_TOKENS = 64

WEATHER_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather forecast of a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "enum": ["Paris", "Rome"]},
                "days": {"type": "integer", "enum": [1, 2, 3]},
                "metric": {"type": "boolean"},
            },
            "required": ["city", "days", "metric"],
            "additionalProperties": False,
        },
    },
}
TYPES: Mapping[str, tuple[type, str]] = {"city": (str, "string"), "days": (int, "integer"), "metric": (bool, "boolean")}
JSON_NAMES = {str: "a string", bool: "a boolean", int: "an integer", float: "a number", type(None): "null"}

FREED_SECONDS = 10.0
"""What the slot of a dropped stream gets to become free: SGLang's own second try comes after 2 s."""
DROPPED_TOKENS = 32768
WATCHED_SECONDS = 0.5
"""For how long the stream is read before it is dropped, to see how fast it is."""
SEEN_AGAIN = 4
"""How often it must be shown, without a gap, to be sure that one container answers."""
SETTLED_SECONDS = 5.0
SEEN_SECONDS = 20.0
"""What ``/v1/loads`` gets to show the request."""

THOUGHT_TAGS = ("<think>", "</think>")


def check_chat(site: Site) -> Passed:
    """A chat completion in one piece."""
    needs_text(site)
    answer = site.ask("/v1/chat/completions", site.question(CAPITAL, tokens=SHORT_TOKENS))
    if fault := chat_fault(answer.text):
        raise CheckFailed(fault)
    message = answer.data["choices"][0]["message"]
    if not (answer.data.get("usage") or {}).get("completion_tokens"):
        raise CheckFailed("the answer tells no usage")
    said = message.get("content") or message.get("reasoning_content")
    return Passed(f'"{shown(said)}"', {"chat_ms": round(answer.seconds * 1000, 3)})


def check_stream(site: Site) -> Passed:
    """Some streams, one after the other: whether they end, tell their usage, and how fast they are."""
    needs_text(site)
    topics = STORIES[: 1 if site.subject.get("quick") else None]
    streams = []
    for topic in topics:
        body = site.question(f"{secrets.token_hex(4)}: tell a story about {topic}.", tokens=STREAM_TOKENS)
        streams.append(site.stream(body | {"ignore_eos": True}))
    for one in streams:
        if not one.pieces:
            raise CheckFailed("the stream says nothing")
        if not one.finish:
            raise CheckFailed("the stream does not finish")
        if not (one.usage or {}).get("completion_tokens"):
            raise CheckFailed("the stream tells no usage, which was asked for")
    figures = stream_figures(streams)
    first = figures["time_to_first_token_ms"]["p50"]
    rate = figures.get("output_token_throughput_per_user_tokens_per_s", {}).get("p50")
    speed = f", {rate:,.0f} tokens/s" if rate else ""
    return Passed(f"first token {first:,.0f} ms{speed}, usage told", figures)


def stream_figures(streams: list[StreamedChat]) -> dict[str, Any]:
    """Time to first token, time between tokens and tokens a second, by aiperf's names."""
    gaps = [gap for one in streams if (gap := token_gap(one)) is not None]
    return {
        "time_to_first_token_ms": percentiles(one.pieces[0] * 1000 for one in streams if one.pieces),
        "inter_token_latency_ms": percentiles(gap * 1000 for gap in gaps),
        "output_token_throughput_per_user_tokens_per_s": percentiles(1 / gap for gap in gaps if gap),
    }


def token_gap(stream: StreamedChat) -> float | None:
    """Seconds between two tokens, the mean after the first one; None of a stream of one token."""
    if len(stream.pieces) < 2 or stream.tokens < 2:
        return None
    return (stream.pieces[-1] - stream.pieces[0]) / (stream.tokens - 1)


def check_reasoning(site: Site) -> Passed:
    """``reasoning_content`` apart from the answer, in one piece and streamed."""
    needs_text(site)
    if not site.has("reasoning_parser"):
        raise CheckSkipped("no reasoning parser is set")
    body = site.question(SUM, tokens=LONG_TOKENS, think=True)
    message = site.chat(body)["choices"][0]["message"]
    streamed = site.stream(body)
    pairs = {
        "": (message.get("content") or "", message.get("reasoning_content") or ""),
        " of the stream": (streamed.content, streamed.reasoning),
    }
    for where, (content, _) in pairs.items():
        if any(tag in content for tag in THOUGHT_TAGS):
            raise CheckFailed(f"the reasoning stands in the content{where}, with its tags")
    without = [where for where, (_, reasoning) in pairs.items() if not reasoning]
    if len(without) == len(pairs):
        raise CheckSkipped("the model did not reason, although it was not asked not to")
    if without:
        raise CheckFailed(f"no reasoning_content{without[0] or ' in one piece'}, and it stands in the other")
    return Passed("reasoning_content apart, in one piece and streamed")


def check_tool_call(site: Site) -> Passed:
    """A tool call whose arguments have the types of the schema, in one piece and streamed (sglang #35564).

    The model is asked first, since a demanded call is made by a grammar, which leaves the parser out. One that makes
    no call by itself gets the demand.
    """
    needs_text(site)
    if not site.has("tool_call_parser"):
        raise CheckSkipped("no tool-call parser is set")
    body = site.question(WEATHER, tokens=SHORT_TOKENS) | {"tools": [WEATHER_TOOL]}
    for choice, how in (("auto", ""), ("required", ", on demand")):
        wanted = {**body, "tool_choice": choice}
        found = site.chat(wanted)["choices"][0]
        whole = {place: one["function"] for place, one in enumerate(found["message"].get("tool_calls") or ())}
        if not whole and choice == "required" and found["finish_reason"] != "length":
            raise CheckFailed("there is no tool call in the answer, which was demanded")
        if not whole:
            continue
        wrong = call_fault(whole[0]["name"], whole[0]["arguments"])
        stream = site.stream(wanted)
        if not stream.calls:
            if stream.finish == "length":
                continue
            raise CheckFailed("there is a tool call in one piece, and none in the stream")
        first = stream.calls[min(stream.calls)]
        in_stream = call_fault(first.name, first.arguments)
        if wrong or in_stream:
            parts = [f"in one piece {wrong}" if wrong else "", f"in the stream {in_stream}" if in_stream else ""]
            raise CheckFailed("; ".join(filter(None, parts)))
        shape = ", ".join(f"{name}: {words}" for name, (_, words) in TYPES.items())
        return Passed(f"get_weather({shape}), in one piece and streamed{how}")
    raise CheckSkipped("the model made no call, and the one that was demanded was cut off")


def call_fault(name: str, arguments: str) -> str | None:
    """What is wrong with a call of :data:`WEATHER_TOOL`, as a clause."""
    if name != "get_weather":
        return f"the function {shown(name)} is called, which was not given"
    try:
        given = json.loads(arguments)
    except ValueError:
        return "the arguments are no JSON"
    if not isinstance(given, dict):
        return "the arguments are no JSON object"
    if lacking := [name for name in TYPES if name not in given]:
        return f"the argument {lacking[0]} is missing"
    wrong = [
        f"{name} is {JSON_NAMES.get(type(given[name]), 'no plain value')}, the schema says {words}"
        for name, (kind, words) in TYPES.items()
        if type(given[name]) is not kind
    ]
    return ", ".join(wrong) or None


def check_dropped_stream(site: Site) -> Passed:
    """A client that drops its stream frees its slot (sglang #36333: 0.5.18 and 0.5.19 decode on)."""
    needs_text(site)
    site = with_session(site, secrets.token_hex(8))
    before = _settled(site)
    tokens = site.tokens(DROPPED_TOKENS)
    body = site.question("Tell a long story.", tokens=tokens) | {"stream": True, "ignore_eos": True}
    began = time.monotonic()
    rate = _begin_and_drop(site, body, before)
    dropped = time.monotonic()
    # When it would end by itself: a slot that is free by then tells nothing.
    alone = tokens / rate - (dropped - began)
    while (after := time.monotonic() - dropped) < FREED_SECONDS:
        if running_requests(site) <= before:
            if after > alone / 2:
                raise CheckSkipped(
                    f"the longest request here takes {tokens / rate:.0f} s, and may have ended by itself"
                )
            return Passed(f"slot free after {after:.1f} s", {"slot_freed_after_s": round(after, 3)})
        time.sleep(POLL_PAUSE / 2)
    if before:
        raise CheckSkipped(f"{before} requests of others run, so that nothing can be told")
    raise CheckFailed(f"the slot is not free {FREED_SECONDS:.0f} s after the client left: the engine decodes on")


def _settled(site: Site) -> int:
    """How many requests run, once those of the checks before are gone."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while (found := running_requests(site)) and time.monotonic() < deadline:
        time.sleep(POLL_PAUSE / 2)
    return found


def _begin_and_drop(site: Site, body: Mapping[str, Any], before: int) -> float:
    """Begin a stream, see it run, and leave it; about how many tokens a second it brings.

    :raises CheckSkipped: where it is not seen to run.
    """
    reader = EventReader()
    with opened(site.door, "/v1/chat/completions", body, seconds=ANSWER_PATIENCE) as (answer, _):
        with gone_away():
            if answer.status != 200:
                refusal = Told(answer.status, answer.read(READ_BYTES), 0.0)
                check_status(refusal)
                raise refused(refusal)
        events, first = 0, 0.0
        while not events or time.monotonic() - first < WATCHED_SECONDS:
            with gone_away():
                content = answer.read1(READ_BYTES)
            if not content:
                raise GoneAway("the stream ended by itself")
            came = len(reader.feed(content))
            if first:
                events += came
            elif came:  # with these the watch begins: they may have come at once
                first = time.monotonic()
        rate = events / (time.monotonic() - first)
        deadline = time.monotonic() + SEEN_SECONDS
        while running_requests(site) <= before:
            if time.monotonic() > deadline:
                raise CheckSkipped("/v1/loads does not show the request: another container may have it")
            time.sleep(POLL_PAUSE / 2)
        if any(running_requests(site) <= before for _ in range(SEEN_AGAIN)):
            raise CheckSkipped("several containers answer, so that nothing can be told")
    return rate


def check_speculation(site: Site) -> Passed:
    """How many tokens a step of speculative decoding brings: ``meta_info`` of ``/generate``, of each request."""
    needs_text(site)
    if not site.has("speculative_algorithm"):
        raise CheckSkipped("no speculative decoding is set")
    lengths = []
    for topic in STORIES:
        sampling = {"max_new_tokens": site.tokens(STREAM_TOKENS * 2), "temperature": 0, "ignore_eos": True}
        found = site.ask("/generate", {"text": f"A story about {topic}:", "sampling_params": sampling}).data
        with contextlib.suppress(KeyError):
            lengths.append(float(found["meta_info"]["spec_accept_length"]))
    if not lengths:
        raise CheckFailed("the engine tells no acceptance length: it does not speculate")
    mean, best = sum(lengths) / len(lengths), max(lengths)
    drafted = site.info.get("speculative_num_draft_tokens")
    of = f" of {drafted}" if isinstance(drafted, int) else ""
    if best <= 1.0:
        raise CheckFailed(f"acceptance length {best:.2f}{of}: no draft is ever accepted, and each costs time")
    figures = {"acceptance_length_tokens": round(mean, 3), "acceptance_length_best_tokens": round(best, 3)}
    return Passed(f"{mean:.1f}{of} tokens accepted a step (best {best:.1f})", figures)
