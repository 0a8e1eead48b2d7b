"""A document's data with its faults taken out, so that the rest of it can still be judged."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.profile.faults import Kind
from glmdeploy.profile.schema import load
from glmdeploy.sglang.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from glmdeploy.findings import KeyPath
    from glmdeploy.profile.faults import Fault

WAIVE: KeyPath = ("waive",)
_FOR_EVER = "9999-12-31"
_RELEASE: KeyPath = ("sglang", "version")


@dataclass(frozen=True, kw_only=True)
class Mended:
    """``data`` is a profile's, with stand-ins for what it needs; the values at the ``lost`` paths are not known.

    A list with a faulty item is lost as a whole, and so is what a misspelled key may have been meant for.
    """

    data: dict[str, Any]
    lost: frozenset[KeyPath]


def mended(data: Mapping[str, Any], found: Iterable[Fault]) -> Mended | None:
    """The data without the faults that were ``found``; None where too little is left: no release, no judgement."""
    made = copy.deepcopy(dict(data))
    lost: set[KeyPath] = set()
    for fault in found:
        if fault.path[:1] == WAIVE and len(fault.path) > 1:
            continue
        path = _whole(fault.path)
        if path in ((), *(_RELEASE[:length] for length in (1, 2))):
            return None
        if fault.kind is Kind.UNKNOWN:
            _remove(made, path)
            lost |= {(*path[:-1], name) for name in nearest(str(path[-1]), fault.schema.get("properties", ()), most=2)}
            continue
        lost.add(path)
        _remove(made, path)
        if (schema := _needed(path)) is not None:
            _put(made, path, _stand_in(schema))
    if isinstance(made.get("waive"), list):
        made["waive"] = [each for each in map(_waiver, made["waive"]) if each]
    return Mended(data=made, lost=frozenset(lost))


def _whole(path: KeyPath) -> KeyPath:
    """The path up to the first list on it."""
    return path[: next((place for place, part in enumerate(path) if isinstance(part, int)), len(path))]


def _waiver(item: Any) -> dict[str, str] | None:
    """A waiver that holds for the rule that it names: what is wrong with it is told, and is no reason for more."""
    rule = item.get("rule") if isinstance(item, dict) else None
    digits = rule.upper().removeprefix("GLM").strip() if isinstance(rule, str) else ""
    if not digits.isascii() or not digits.isdigit() or len(digits) > 3:
        return None
    return {"rule": f"GLM{int(digits):03}", "reason": "not read", "until": _FOR_EVER}


def _remove(data: dict[str, Any], path: KeyPath) -> None:
    holder: Any = data
    for part in path[:-1]:
        if not isinstance(holder, dict) or part not in holder:
            return
        holder = holder[part]
    if isinstance(holder, dict):
        holder.pop(path[-1], None)


def _put(data: dict[str, Any], path: KeyPath, value: Any) -> None:
    holder: Any = data
    for part in path[:-1]:
        if not isinstance(holder, dict) or part not in holder:
            return  # What is around it has a stand-in, which is whole.
        holder = holder[part]
    if isinstance(holder, dict):
        holder[path[-1]] = value


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "anyOf" in schema:
        schema = next((each for each in schema["anyOf"] if each.get("type") != "null"), schema)
    if "$ref" in schema:
        found: Mapping[str, Any] = load()["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        return found
    return schema


def _needed(path: KeyPath) -> Mapping[str, Any] | None:
    """The schema of a key that its mapping must have; None for one that may be left out."""
    schema: Mapping[str, Any] = load()
    for part in path[:-1]:
        inner = schema.get("properties", {}).get(part)
        if inner is None:
            return None
        schema = _resolved(inner)
    found: Mapping[str, Any] | None = schema.get("properties", {}).get(path[-1])
    return found if found is not None and path[-1] in schema.get("required", ()) else None


def _stand_in(schema: Mapping[str, Any]) -> Any:
    """A value that the schema takes: its example, its least, or a mapping of such."""
    if examples := schema.get("examples"):
        return copy.deepcopy(examples[0])
    schema = _resolved(schema)
    if "minimum" in schema:
        return schema["minimum"]
    return {name: _stand_in(schema["properties"][name]) for name in schema.get("required", ())}
