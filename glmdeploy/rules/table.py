"""Rules whose conditions are plain data: one entry of a YAML file each, made into the same :class:`Rule`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmdeploy import source
from glmdeploy.findings import Severity
from glmdeploy.rules.base import GENERATIONS, Example, Rule, Scope, Violation
from glmdeploy.rules.conditions import edit, fact, holds, place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from glmdeploy.rules.subject import Subject

FILE = Path(__file__).with_name("known_issues.yaml")


def read(text: str) -> tuple[Rule, ...]:
    """The rules of a table; docs/rules-format.md describes an entry. Raises KeyError for an entry that lacks a part."""
    entries = source.read_text(text, FILE.name).data["rules"]
    return tuple(_rule(entry) for entry in entries)


def _rule(entry: dict[str, Any]) -> Rule:
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


def _check(entry: dict[str, Any]) -> Callable[[Subject], Iterator[Violation]]:
    when = entry["when"] if isinstance(entry["when"], list) else [entry["when"]]
    named = {name for condition in when for name in condition}

    def check(subject: Subject) -> Iterator[Violation]:
        broken = next((condition for condition in when if holds(subject, condition)), None)
        if broken is None:
            return
        path, key = place(subject, entry.get("at") or next(iter(broken)))
        facts = {name.replace(".", "_"): fact(subject, name) for name in named}
        edits = [step for name, value in entry.get("edit", {}).items() for step in edit(subject, name, value)]
        yield Violation(
            path=path,
            key=key,
            message=entry["message"].format(gpu=subject.gpu.type, version=subject.catalog.version, **facts),
            edits=tuple(edits),
        )

    return check
