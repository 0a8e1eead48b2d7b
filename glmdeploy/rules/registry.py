"""All guard rules: those of the modules and of the tables in guards/, both of which are found by themselves."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from glmdeploy.errors import GlmdeployError
from glmdeploy.rules import conditions, guards, tables
from glmdeploy.sglang.catalog import version_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from glmdeploy.rules.rule import Rule

RETIRED: Mapping[str, str] = {}
"""Ids of rules that were released and are no more, each with what became of it. Ids are never reused."""


@cache
def rules() -> tuple[Rule, ...]:
    """All rules, by id."""
    modules = [import_module(f"{guards.__name__}.{found.name}") for found in pkgutil.iter_modules(guards.__path__)]
    constants = (rule for module in modules for rule in module.RULES)
    data = (conditions.rule(entry) for table in tables.TABLES for entry in tables.entries(table))
    return tuple(sorted((*constants, *data), key=lambda rule: rule.id))


def due(known: Iterable[Rule], release: str) -> tuple[Rule, ...]:
    """The rules about issues without an end whose last look was at a release before ``release``, in their order.

    Whether an issue ended is for a person to decide: by its sources, and by what the release does.
    """
    return tuple(rule for rule in known if rule.open_ended and version_key(rule.looked.release) < version_key(release))


def reserved(released: Iterable[str]) -> list[str]:
    """All ids that are taken: those of the rules, and of the retired ones. ``released`` are those that were so far.

    :raises GlmdeployError: if an id that was released is neither now, or one is both.
    """
    ids = {rule.id for rule in rules()}
    if lost := sorted(set(released) - ids - RETIRED.keys()):
        raise GlmdeployError(
            f"released, and no rules any more: {', '.join(lost)}",
            advice="an id stays reserved: name it in RETIRED of glmdeploy/rules/registry.py, with what became of it",
        )
    if again := sorted(ids & RETIRED.keys()):
        raise GlmdeployError(f"retired, and rules again: {', '.join(again)}", advice="give the rule a new id")
    return sorted(ids | RETIRED.keys())
