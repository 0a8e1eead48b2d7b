"""Guard rules: what is known to go wrong, judged on effective values.

A rule is one constant in the module of its facts, or, where its condition is plain data, one entry of
``known_issues.yaml``. This table is the only registry. Ids are never reused: docs/rules.md lists each one.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from glmdeploy.rules.guards import (
    attention,
    contradictions,
    exclusions,
    hub,
    idle,
    kernels,
    leaks,
    memory,
    names,
    operations,
    parallelism,
    releases,
    scheduling,
    security,
    sparse_attention,
    speculation,
    timeouts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.rules.rule import Rule

RETIRED: Mapping[str, str] = {}
"""Ids of rules that were released and are no more, each with what became of it."""


@cache
def rules() -> tuple[Rule, ...]:
    """All rules, by id."""
    from glmdeploy.rules import table

    constants = (
        *attention.RULES,
        *sparse_attention.RULES,
        *kernels.RULES,
        *contradictions.RULES,
        *parallelism.RULES,
        *speculation.RULES,
        *scheduling.RULES,
        *exclusions.RULES,
        *releases.RULES,
        *security.RULES,
        *leaks.RULES,
        *hub.RULES,
        *operations.RULES,
        *names.RULES,
        *timeouts.RULES,
        *idle.RULES,
        *memory.RULES,
    )
    data = table.read(table.FILE.read_text(encoding="utf-8"))
    return tuple(sorted((*constants, *data), key=lambda rule: rule.id))
