"""Which rules are due for a look: those about issues without an end, not held against the release yet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from glmdeploy.rules.registry import due, rules
from glmdeploy.rules.rule import ISSUES, Look, Scope, Topic

RULE = replace(rules()[0], topic=Topic.KNOWN_ISSUE, scope=Scope(), looked=Look(date="2026-11-29", release="0.5.22"))


@pytest.mark.parametrize(
    ("looked", "release", "wanted"),
    [("0.5.22", "0.5.23", True), ("0.5.23", "0.5.23", False), ("0.5.9", "0.5.10", True), ("0.5.10", "0.5.9", False)],
)
def test_by_release(looked: str, release: str, wanted: bool) -> None:
    rule = replace(RULE, looked=Look(date="2026-11-29", release=looked))
    assert due([rule], release) == ((rule,) if wanted else ())


def test_an_issue_that_ended_is_not_due() -> None:
    assert due([replace(RULE, scope=Scope(until="0.5.20"))], "0.5.23") == ()


def test_what_is_about_no_issue_is_not_due() -> None:
    plain = replace(RULE, topic=Topic.CONSISTENCY, sources=("https://modal.com/docs/guide/timeouts",))
    assert due([plain], "0.5.23") == ()
    assert due([replace(plain, sources=(f"{ISSUES}1",))], "0.5.23") != ()
