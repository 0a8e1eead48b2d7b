"""What a rule is, beside what it checks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from glmdeploy.rules.guards.parallelism import GPU_COUNT
from glmdeploy.rules.rule import ISSUES, PULLS, Scope, Topic


@pytest.mark.parametrize(
    ("topic", "source", "until", "open_ended"),
    [
        (Topic.KNOWN_ISSUE, "a page", None, True),
        (Topic.CONSISTENCY, f"{ISSUES}1", None, True),
        (Topic.CONSISTENCY, f"{PULLS}1", None, True),
        (Topic.KNOWN_ISSUE, f"{ISSUES}1", "0.5.11", False),
        (Topic.CONSISTENCY, "a page", None, False),
    ],
)
def test_a_rule_about_an_issue_is_open_until_a_release_ends_it(
    topic: Topic, source: str, until: str | None, *, open_ended: bool
) -> None:
    rule = replace(GPU_COUNT, topic=topic, sources=("sglang/srt/server_args.py", source), scope=Scope(until=until))
    assert rule.open_ended is open_ended
