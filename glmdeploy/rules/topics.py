"""What rules are about, by the ranges of their ids, and the checks that come before the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from glmdeploy.rules.rule import Rule

CHECKS: Mapping[str, str] = {
    "yaml": "a file that cannot be read as a profile",
    "schema": "a profile that its schema refuses",
    "sglang": "an option, a value or a release that SGLang does not know",
    "waiver": "a waiver that is expired, unknown, not allowed or not needed",
}
"""Findings that are not a rule's: their ids, and what each is about."""

_TOPICS = {
    1: "known issues",
    20: "consistency",
    40: "timeouts",
    60: "operations and security",
    80: "memory",
    100: "known issues",
    120: "consistency",
}
"""The first number of each range; what became too narrow goes on above."""


def topic(rule: str) -> str:
    """``timeouts`` for GLM040 to GLM059."""
    number = int(rule.removeprefix("GLM"))
    return next(name for first, name in reversed(_TOPICS.items()) if first <= number)


def by_topic(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    """The rules of each topic, in their order."""
    groups: dict[str, list[Rule]] = {}
    for rule in rules:
        groups.setdefault(topic(rule.id), []).append(rule)
    return groups
