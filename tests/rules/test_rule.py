"""What a rule is, beside what it checks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from judged import facts_of

from glmdeploy.rules.gaps import Gap, gaps
from glmdeploy.rules.guards.parallelism import GPU_COUNT
from glmdeploy.rules.rule import ISSUES, PULLS, Scope, Topic
from glmdeploy.sglang.architectures import Attention
from glmdeploy.sglang.models import GLM_DSA


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


@pytest.mark.parametrize(
    ("repo", "covered", "met"),
    [
        ("zai-org/GLM-5.1-FP8", True, set()),
        ("zai-org/GLM-4.5-Air-FP8", False, set()),
        ("acme/other", False, {Gap.MODEL}),
    ],
)
@pytest.mark.parametrize("scope", [Scope(architectures=(GLM_DSA,)), Scope(attentions=(Attention.SPARSE,))])
def test_a_scope_of_models_leaves_open_what_an_unknown_one_is(
    repo: str, met: set[Gap], scope: Scope, *, covered: bool
) -> None:
    facts = facts_of(f"model.repo={repo}")
    with gaps() as found:
        assert scope.covers(facts) is covered
    assert found == met
