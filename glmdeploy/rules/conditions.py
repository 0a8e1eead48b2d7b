"""Conditions that are plain data: facts, and what they must be for a rule to be broken.

A condition is a mapping of facts to expectations, which must all hold. A fact is

- an option's destination or neutral name (``kv_cache_dtype``, ``dsa_decode_backend``): its effective value;
- ``env.NAME``: the variable in SGLang's environment;
- any other name with a dot: that place of the profile (``secrets.api_key``, ``server.public``);
- a name of :data:`DERIVED`: what follows from several of them.

An expectation is a value that the fact must equal, a list of which it must be one, or a mapping of one or more of

============  ======================================================================================================
``not``       a value that it must not equal, or a list of which it must be none; a fact that is not known fails
``above``     a number that it exceeds
``below``     a number that it stays under
``on``        true: the variable or switch is on; false: it is off or absent
``given``     true: the profile says something; false: it does not
``matches``   a regular expression that is found in its text, in any case of letters
============  ======================================================================================================
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.findings import Remove, SetValue, Severity
from glmdeploy.gpus import GENERATIONS
from glmdeploy.rules.facts import ARGS
from glmdeploy.rules.rule import FIRST_LOOK, Example, Look, Rule, Scope, Topic, Violation
from glmdeploy.sglang.architectures import Attention

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from glmdeploy.findings import Edit, KeyPath
    from glmdeploy.rules.facts import Facts

DERIVED: Mapping[str, tuple[Callable[[Facts], Any], Callable[[Facts], KeyPath]]] = {
    "speculates": (lambda facts: facts.speculates, lambda facts: facts.path("speculative_algorithm")),
    "algorithm": (lambda facts: facts.algorithm, lambda facts: facts.path("speculative_algorithm")),
    "adapters": (lambda facts: facts.adapts, lambda facts: ARGS),
    "attention_groups": (lambda facts: facts.attention_groups, lambda facts: ARGS),
    "checkpoint": (
        lambda facts: facts.quantization,
        lambda facts: ("model", "repo"),
    ),
    "architecture": (lambda facts: facts.architecture, lambda facts: ("model", "repo")),
    "experts": (lambda facts: facts.kind and facts.kind.experts, lambda facts: ("model", "repo")),
    "capability": (lambda facts: capability(facts.gpu.type), lambda facts: ("gpu",)),
    "gpu_count": (lambda facts: facts.gpu.count, lambda facts: ("gpu",)),
    "nodes": (lambda facts: facts.nodes, lambda facts: ("gpu",)),
}
"""Facts that follow from others, and where they are decided: whether EAGLE speculates under any of its names, the
algorithm in capitals, whether LoRA adapters are served, into how many groups data-parallel attention divides the
ranks, how the checkpoint stores its weights (:func:`glmdeploy.sglang.models.quantization`), its architecture and
whether that is a mixture of experts, the GPU's compute capability (8.9), the number of GPUs of a container, and the
containers that serve together."""

OPERANDS: Mapping[str, type | tuple[type, ...]] = {
    "not": (str, int, float, bool, list),
    "above": (int, float),
    "below": (int, float),
    "on": bool,
    "given": bool,
    "matches": str,
}
"""What each operator takes."""

REQUIRED = frozenset(
    ("id", "title", "severity", "topic", "when", "message", "why", "fix", "sources", "fails", "passes")
)
OPTIONAL = frozenset(("scope", "at", "edit", "looked"))
SCOPE = frozenset(("gpus", "architectures", "attentions", "since", "until"))


def capability(gpu: str) -> float:
    """The compute capability of a type of GPU as one number: 8.9."""
    major, minor = gpus.TYPES[gpu].capability
    return major + minor / 10


def fact(facts: Facts, name: str) -> Any:
    """The fact's value, None where it is absent or not known."""
    if name in DERIVED:
        return DERIVED[name][0](facts)
    if name.startswith("env."):
        return facts.env.get(name.removeprefix("env."))
    if "." not in name:
        return facts.value(name)
    value: Any = facts.profile
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
    return value


def holds(facts: Facts, condition: Mapping[str, Any]) -> bool:
    """Whether every expectation of the condition is met."""
    return all(_meets(facts, name, expected) for name, expected in condition.items())


def faults(condition: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the condition itself: nothing to expect, or an operator or operand that does not exist.

    Whether its facts exist depends on SGLang's releases, and is for the tests to say.
    """
    if not condition:
        yield "a condition expects something"
    for name, expected in condition.items():
        if expected is None or expected in ([], {}):
            yield f"{name} is expected to be nothing"
        if not isinstance(expected, dict):
            continue
        for operator, operand in expected.items():
            if operator not in OPERANDS:
                yield f"{operator} is no operator of a condition"
            elif not isinstance(operand, OPERANDS[operator]) or operand == []:
                yield f"{operator} does not take {operand!r}"


def place(facts: Facts, name: str) -> tuple[KeyPath, bool]:
    """Where the fact stands, and whether its key is meant, because nothing is written there."""
    if name in DERIVED:
        return DERIVED[name][1](facts), False
    if name.startswith("env."):
        variable = name.removeprefix("env.")
        return facts.env_path(variable), variable not in facts.env
    if "." not in name:
        return facts.path(name), facts.setting(name) is None
    return tuple(name.split(".")), fact(facts, name) is None


def edit(facts: Facts, name: str, value: Any) -> tuple[Edit, ...]:
    """The edit that makes the fact ``value``, which is no derived one; None removes what the profile says."""
    if "." not in name:
        return facts.drop(name) if value is None else facts.put(name, value)
    path, absent = place(facts, name)
    if value is None:
        return () if absent else (Remove(path=path),)
    return (SetValue(path=(*path, name.removeprefix("env.")) if absent and name[:4] == "env." else path, value=value),)


def _meets(facts: Facts, name: str, expected: Any) -> bool:
    value = fact(facts, name)
    if isinstance(expected, dict):
        return all(_operation(facts, name, value, operator, operand) for operator, operand in expected.items())
    return value in expected if isinstance(expected, list) else bool(value == expected)


def _operation(facts: Facts, name: str, value: Any, operator: str, operand: Any) -> bool:
    match operator:
        case "not":
            return value is not None and value not in (operand if isinstance(operand, list) else [operand])
        case "above":
            return isinstance(value, int | float) and value > operand
        case "below":
            return isinstance(value, int | float) and value < operand
        case "on":
            on = facts.env_flag(name.removeprefix("env.")) if name.startswith("env.") else bool(value)
            return on is operand
        case "given":
            given = value is not None if "." in name else facts.setting(name) is not None
            return given is operand
        case "matches":
            return isinstance(value, str) and re.search(operand, value, re.IGNORECASE) is not None
    raise ValueError(f"{operator} is no operator of a condition")


class TableError(Exception):
    """An entry that is no rule; the message names it and says why."""


def alternatives(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The conditions of an entry, of which one must hold."""
    return entry["when"] if isinstance(entry["when"], list) else [entry["when"]]


def _faults(entry: dict[str, Any]) -> Iterator[str]:
    yield from (f"there is no `{key}`" for key in sorted(REQUIRED - entry.keys()))
    yield from (f"`{key}` is no part of a rule" for key in sorted(entry.keys() - REQUIRED - OPTIONAL))
    scope = entry.get("scope", {})
    yield from (f"`{key}` is no part of a scope" for key in sorted(scope.keys() - SCOPE))
    yield from (f"{name} is no topic" for name in (entry.get("topic"),) if name and name not in set(Topic))
    yield from (f"{name} is no generation" for name in scope.get("gpus", ()) if name not in GENERATIONS.values())
    yield from (f"{name} is no kind of attention" for name in scope.get("attentions", ()) if name not in set(Attention))
    yield from (f"{name} cannot be edited" for name in entry.get("edit", {}) if name in DERIVED)
    if "when" in entry:
        for condition in alternatives(entry):
            yield from faults(condition)


def rule(entry: dict[str, Any]) -> Rule:
    """The rule of an entry; the head of a table describes them.

    :raises TableError: for an entry that is no rule.
    """
    if found := list(_faults(entry)):
        raise TableError(f"{entry.get('id', 'an entry without an id')}: {'; '.join(found)}")
    return Rule(
        id=entry["id"],
        title=entry["title"],
        severity=Severity(entry["severity"]),
        topic=Topic(entry["topic"]),
        why=" ".join(entry["why"].split()),
        fix=entry["fix"],
        sources=tuple(entry["sources"]),
        scope=_scope(entry.get("scope", {})),
        check=_check(entry),
        fails=tuple(_example(item) for item in entry["fails"]),
        passes=tuple(_example(item) for item in entry["passes"]),
        looked=Look(**entry["looked"]) if "looked" in entry else FIRST_LOOK,
    )


def _scope(data: dict[str, Any]) -> Scope:
    majors = {name: major for major, name in GENERATIONS.items()}
    return Scope(
        gpu_majors=tuple(majors[name] for name in data.get("gpus", ())),
        architectures=tuple(data.get("architectures", ())),
        attentions=tuple(map(Attention, data.get("attentions", ()))),
        since=data.get("since"),
        until=data.get("until"),
    )


def _example(data: list[str] | dict[str, Any]) -> Example:
    if isinstance(data, list):
        return Example(sets=tuple(data))
    return Example(profile=data["profile"], sets=tuple(data.get("set", ())))


def _check(entry: dict[str, Any]) -> Callable[[Facts], Iterator[Violation]]:
    when = alternatives(entry)
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
