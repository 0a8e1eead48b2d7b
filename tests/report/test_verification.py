"""A verification as text, in the width of the terminal, and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy.operate.baseline import Comparison, Worse
from glmdeploy.operate.verification import Check, Verification
from glmdeploy.report.verification import verification_data, verification_text

if TYPE_CHECKING:
    from collections.abc import Callable


def level(concurrency: int, first: float, token: float, tokens: float, requests: float) -> dict[str, Any]:
    def spread(value: float) -> dict[str, float]:
        return {"avg": value, "p50": value, "p90": value * 1.5, "p99": value * 2}

    return {
        "concurrency": concurrency,
        "requests": concurrency * 3,
        "failed": 0,
        "retried": 0,
        "request_latency_ms": spread(first + 127 * token),
        "request_throughput_requests_per_s": requests,
        "time_to_first_token_ms": spread(first),
        "inter_token_latency_ms": spread(token),
        "output_token_throughput_tokens_per_s": tokens,
    }


def check(name: str, words: str, state: str = "ok", asked_again: str = "") -> Check:
    return Check(name=name, state=state, words=words, asked_again=asked_again)


GOOD = Verification(
    url="https://example--glm51-fp8-server.modal.run",
    app="glm51-fp8",
    where="here",
    checks=(
        check("health", "200 in 41 ms"),
        check("key", "401 without, 401 with a wrong one"),
        check("model", "glm-5.1, 65,536 tokens of context"),
        check("chat", '"Paris"'),
        check("stream", "first token 210 ms, 71 tokens/s, usage told"),
        check("reasoning", "reasoning_content apart, in one piece and streamed"),
        check("tool_call", "get_weather(city: string, days: integer, metric: boolean), in one piece and streamed"),
        check("dropped_stream", "slot free after 0.4 s", asked_again="status 503"),
        check("speculation", "3.1 of 4 tokens accepted a step (best 3.4)"),
        check("effective_values", "21 values as planned"),
        check("metrics", "`enable-metrics` is not set", "skipped"),
        check("canary", "20 of 20 answers"),
        check("load", "123 requests, none failed"),
    ),
    figures={"acceptance_length_tokens": 3.1},
    load=(level(1, 210, 14, 71, 0.55), level(8, 260, 16.4, 488, 3.8), level(32, 610, 22.5, 1420, 11.1)),
)
BAD = replace(
    GOOD,
    where="container",
    stand_in=True,
    checks=(
        *GOOD.checks[:9],
        check("effective_values", "kv_cache_dtype is fp8_e4m3, the plan says bfloat16", "failed"),
        *GOOD.checks[10:12],
        check("load", "3 of 96 requests failed with 32 at a time: status 429: The request queue is full.", "failed"),
    ),
)
COMPARISON = Comparison(
    compared=19,
    worse=(
        Worse(name="acceptance_length_tokens", before=3.1, now=1.2),
        Worse(name="load 32 time_to_first_token_ms p90", before=0.0, now=915.0),
    ),
    unmeasured=("load 64 request_latency_ms p50", "load 64 request_latency_ms p90"),
)


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize(
    ("name", "found", "comparison"),
    [("passed", GOOD, None), ("failed", BAD, COMPARISON), ("compared", GOOD, replace(COMPARISON, worse=()))],
)
def test_screen(
    name: str, found: Verification, comparison: Comparison | None, width: int, snapshot: Callable[[str, str], None]
) -> None:
    text = verification_text(found, width, comparison)
    assert max(map(len, text.splitlines())) <= width
    snapshot(f"verification-{name}-{width}", text + "\n")


def test_a_narrow_terminal() -> None:
    assert max(map(len, verification_text(BAD, 20, COMPARISON).splitlines())) <= 72


def test_marks_are_words_too() -> None:
    assert {line.split()[1] for line in verification_text(BAD, 200).splitlines()[:13]} == {"ok", "failed", "skipped"}


def test_json_has_everything() -> None:
    data = verification_data(BAD, COMPARISON)
    assert json.loads(json.dumps(data)) == data
    assert (data["ok"], data["asked_from"], data["stand_in"]) == (False, "container", True)
    assert data["checks"][7] == {
        "name": "dropped_stream",
        "state": "ok",
        "words": "slot free after 0.4 s",
        "asked_again": "status 503",
    }
    assert data["load"][2]["output_token_throughput_tokens_per_s"] == 1420
    assert data["baseline"]["worse"][0] == {"name": "acceptance_length_tokens", "before": 3.1, "now": 1.2}
    assert verification_data(GOOD)["ok"] is True
    assert verification_data(GOOD, COMPARISON)["ok"] is False


def test_what_steers_a_terminal_is_escaped() -> None:
    text = verification_text(replace(GOOD, checks=(check("chat", "\x1b[31mred\x07"),)), 80)
    assert "\x1b" not in text
