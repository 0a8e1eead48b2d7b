"""What of a profile's data its schema refuses: each place once, whichever of the schema's branches refuse it.

A JSON Schema validator tells of every branch that fails; a person made one mistake. Here a value is held against the
branch that is of its type, and where there is none the place is refused as a whole. It takes the keywords that the
models' schema has (:data:`KEYWORDS`); a property test holds it to refuse exactly what a validator refuses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.findings import KeyPath

    Schema = Mapping[str, Any]

KEYWORDS = frozenset(
    (
        *("$ref", "anyOf", "type", "const", "pattern", "minimum", "maximum", "exclusiveMinimum"),
        *("items", "minItems", "maxItems", "properties", "required", "additionalProperties", "propertyNames"),
    )
)
"""The keywords that can refuse something."""

WORDS = frozenset(("$schema", "$id", "$defs", "title", "description", "default", "examples", "deprecated"))
"""The keywords that cannot; ``errorMessage`` is ours."""


class Kind(StrEnum):
    UNKNOWN = "unknown key"
    MISSING = "missing key"
    NAME = "name of a key"
    VALUE = "value"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One place that is refused.

    ``path`` leads to the value; of a key that is unknown, misnamed or missing, to where it stands or would stand.
    ``schema`` is the one of that place, with the ``errorMessage`` of the nearest around it that has one; of an unknown
    key, that of the mapping.
    """

    kind: Kind
    path: KeyPath
    value: Any = None
    schema: Schema


def faults(data: Any, schema: Schema) -> Iterator[Fault]:
    """The places of ``data`` that ``schema`` refuses, each once, in the order of the data; what lacks comes last."""
    yield from _Walk(schema).at(data, schema, ())


class _Walk:
    def __init__(self, root: Schema) -> None:
        self._root = root

    def resolved(self, schema: Schema) -> Schema:
        """The schema that a reference means, with what stands beside the reference."""
        while "$ref" in schema:
            target: Any = self._root
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        return schema

    def branches(self, schema: Schema, said: str | None = None) -> Iterator[Schema]:
        """The alternatives of a schema, each with what is said of it; null is none, for it only removes a key."""
        schema = self.resolved(schema)
        said = schema.get("errorMessage", said)
        if "anyOf" not in schema:
            if schema.get("type") != "null":
                yield {**schema, "errorMessage": said} if said else schema
            return
        for each in schema["anyOf"]:
            yield from self.branches(each, said)

    def at(self, value: Any, schema: Schema, path: KeyPath, said: str | None = None) -> Iterator[Fault]:
        """The faults of the value at ``path``; ``said`` is what is expected of it where its schema does not say."""
        schema = self.resolved(schema)
        said = schema.get("errorMessage", said)
        alternatives = tuple(self.branches(schema, said))
        fitting = [each for each in alternatives if _is(value, each.get("type"))]
        if isinstance(value, dict) and fitting:
            yield from self._mapping(value, fitting[0], path)
        elif isinstance(value, list) and fitting and not _too_few_or_many(value, fitting[0]):
            if "items" in fitting[0]:
                for index, item in enumerate(value):
                    yield from self.at(item, fitting[0]["items"], (*path, index), fitting[0].get("errorMessage"))
        elif isinstance(value, list) or not any(_takes(each, value) for each in fitting):
            one: Schema = (fitting or alternatives)[0] if len(fitting or alternatives) == 1 else {}
            told = said or next((each["errorMessage"] for each in alternatives if "errorMessage" in each), None)
            about = {**schema, **one, **({"errorMessage": told} if told else {})}
            yield Fault(kind=Kind.VALUE, path=path, value=value, schema=about)

    def _mapping(self, value: dict[str, Any], schema: Schema, path: KeyPath) -> Iterator[Fault]:
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        names = schema.get("propertyNames", {})
        for key, item in value.items():
            here = (*path, key)
            if key in properties and isinstance(properties[key], dict):
                yield from self.at(item, properties[key], here)
            elif others is False:
                yield Fault(kind=Kind.UNKNOWN, path=here, value=item, schema=schema)
            elif "pattern" in names and not _compiled(names["pattern"]).search(key):
                yield Fault(kind=Kind.NAME, path=here, value=item, schema=names)
            elif isinstance(others, dict):
                yield from self.at(item, others, here)
        for key in schema.get("required", ()):
            if key not in value:
                wanted = self.resolved(properties.get(key, {}))
                yield Fault(kind=Kind.MISSING, path=(*path, key), schema=wanted)


def _is(value: Any, kind: str | list[str] | None) -> bool:
    """Whether the value is of a JSON Schema type, or of one of several; without any, everything is."""
    if kind is None:
        return True
    if isinstance(kind, list):
        return any(_is(value, each) for each in kind)
    match kind:
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return (isinstance(value, int) and not isinstance(value, bool)) or (
                isinstance(value, float) and value.is_integer()
            )
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
    return value is None


def _takes(schema: Schema, value: Any) -> bool:
    """Whether a schema of the value's own type takes it, which is no list and no mapping."""
    if "const" in schema and value != schema["const"]:
        return False
    if isinstance(value, str):
        return "pattern" not in schema or _compiled(schema["pattern"]).search(value) is not None
    if isinstance(value, bool) or value is None:
        return True
    return (
        value >= schema.get("minimum", value)
        and value <= schema.get("maximum", value)
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
    )


def _too_few_or_many(items: list[Any], schema: Schema) -> bool:
    return not schema.get("minItems", 0) <= len(items) <= schema.get("maxItems", len(items))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
