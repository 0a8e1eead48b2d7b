"""Rules whose conditions are plain data: one entry of a YAML file each, made into the same :class:`Rule`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmdeploy import source
from glmdeploy.findings import Severity
from glmdeploy.rules.conditions import DERIVED, edit, fact, faults, holds, place
from glmdeploy.rules.rule import GENERATIONS, Example, Rule, Scope, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from glmdeploy.rules.facts import Facts

FILE = Path(__file__).with_name("guards") / "known_issues.yaml"

REQUIRED = frozenset(("id", "title", "severity", "when", "message", "why", "fix", "sources", "fails", "passes"))
OPTIONAL = frozenset(("scope", "at", "edit"))
SCOPE = frozenset(("gpus", "architectures", "since", "until"))


class TableError(Exception):
    """An entry that is no rule; the message names it and says why."""


def read(text: str) -> tuple[Rule, ...]:
    """The rules of a table, whose own head describes an entry. Raises TableError for an entry that is no rule."""
    entries = source.read_text(text, FILE.name).data["rules"]
    return tuple(_rule(entry) for entry in entries)


def conditions(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The conditions of an entry, of which one must hold."""
    return entry["when"] if isinstance(entry["when"], list) else [entry["when"]]


def _faults(entry: dict[str, Any]) -> Iterator[str]:
    yield from (f"there is no `{key}`" for key in sorted(REQUIRED - entry.keys()))
    yield from (f"`{key}` is no part of a rule" for key in sorted(entry.keys() - REQUIRED - OPTIONAL))
    scope = entry.get("scope", {})
    yield from (f"`{key}` is no part of a scope" for key in sorted(scope.keys() - SCOPE))
    yield from (f"{name} is no generation" for name in scope.get("gpus", ()) if name not in GENERATIONS.values())
    yield from (f"{name} cannot be edited" for name in entry.get("edit", {}) if name in DERIVED)
    if "when" in entry:
        for condition in conditions(entry):
            yield from faults(condition)


def _rule(entry: dict[str, Any]) -> Rule:
    if found := list(_faults(entry)):
        raise TableError(f"{entry.get('id', 'an entry without an id')}: {'; '.join(found)}")
    return Rule(
        id=entry["id"],
        title=entry["title"],
        severity=Severity(entry["severity"]),
        why=" ".join(entry["why"].split()),
        fix=entry["fix"],
        sources=tuple(entry["sources"]),
        scope=_scope(entry.get("scope", {})),
        check=_check(entry),
        fails=tuple(_example(item) for item in entry["fails"]),
        passes=tuple(_example(item) for item in entry["passes"]),
    )


def _scope(data: dict[str, Any]) -> Scope:
    majors = {name: major for major, name in GENERATIONS.items()}
    return Scope(
        gpu_majors=tuple(majors[name] for name in data.get("gpus", ())),
        architectures=tuple(data.get("architectures", ())),
        since=data.get("since"),
        until=data.get("until"),
    )


def _example(data: list[str] | dict[str, Any]) -> Example:
    if isinstance(data, list):
        return Example(sets=tuple(data))
    return Example(profile=data["profile"], sets=tuple(data.get("set", ())))


def _check(entry: dict[str, Any]) -> Callable[[Facts], Iterator[Violation]]:
    when = conditions(entry)
    named = {name for condition in when for name in condition}

    def check(facts: Facts) -> Iterator[Violation]:
        broken = next((condition for condition in when if holds(facts, condition)), None)
        if broken is None:
            return
        path, key = place(facts, entry.get("at") or next(iter(broken)))
        words = {name.replace(".", "_"): fact(facts, name) for name in named}
        edits = [step for name, value in entry.get("edit", {}).items() for step in edit(facts, name, value)]
        yield Violation(
            path=path,
            key=key,
            message=entry["message"].format(gpu=facts.gpu.type, version=facts.catalog.version, **words),
            edits=tuple(edits),
        )

    return check
