"""The smallest JSON value that a JSON schema allows, for structured output and tool calls."""

from __future__ import annotations

import math
from typing import Any

_DEPTH = 32
_SIZE = 10_000
_FORMATS = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "email": "stand-in@example.com",
    "time": "00:00:00Z",
    "uri": "https://example.com/stand-in",
    "uuid": "00000000-0000-0000-0000-000000000000",
}


class TooComplexError(Exception):
    """A schema for which no value was found; the message says why."""


def instance(schema: Any) -> Any:
    """A JSON value that is valid for ``schema``, of required properties and items alone where possible.

    Types, properties, items, bounds, lengths, common formats, const, enum, anyOf, oneOf, allOf and local references are
    understood, and what comes out has been validated.

    :raises TooComplexError: for the rest, and for what is no schema.
    """
    # Few requests have a schema, and each engine of the embedded cloud would import this.
    import jsonschema
    import referencing
    from referencing.exceptions import Unresolvable

    kind = jsonschema.Draft202012Validator
    try:
        kind.check_schema(schema)
        value = _value(schema, schema, _DEPTH)
        # The empty registry keeps the validator from fetching references that lead elsewhere.
        kind(schema, registry=referencing.Registry()).validate(value)
    except (jsonschema.SchemaError, jsonschema.ValidationError) as error:
        raise TooComplexError(error.message) from error
    except (Unresolvable, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise TooComplexError(f"{type(error).__name__}: {error}") from error
    return value


def _value(schema: Any, root: Any, depth: int) -> Any:
    if depth == 0:
        raise TooComplexError("it asks for a value without end")
    if isinstance(schema, bool):
        return None
    if "$ref" in schema:
        return _value(_referenced(schema["$ref"], root), root, depth - 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in schema:
            parts = schema[keyword] if keyword == "allOf" else schema[keyword][:1]
            merged = {key: value for key, value in schema.items() if key != keyword}
            for part in parts:
                merged = _merged(merged, _referenced(part["$ref"], root) if "$ref" in part else part)
            return _value(merged, root, depth - 1)
    return _of_type(schema, root, depth)


def _of_type(schema: dict[str, Any], root: Any, depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "null")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            properties = schema.get("properties", {})
            wanted = schema.get("required", [])
            return {name: _value(properties.get(name, True), root, depth - 1) for name in wanted}
        case "array":
            first = [_value(item, root, depth - 1) for item in schema.get("prefixItems", [])]
            missing = _size(schema, "minItems") - len(first)
            return first + [_value(schema.get("items", True), root, depth - 1) for _ in range(missing)]
        case "string":
            text = _FORMATS.get(schema.get("format", ""), "stand-in"[: schema.get("maxLength")])
            return text.ljust(_size(schema, "minLength"), "-")
        case "integer":
            return math.ceil(_number(schema))
        case "number":
            return _number(schema)
        case "boolean":
            return False
        case _:
            return None


def _number(schema: dict[str, Any]) -> float:
    """The number nearest to 0 within the bounds."""
    low: float = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf) + 1)
    high: float = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf) - 1)
    return min(max(0, low), high)


def _size(schema: dict[str, Any], keyword: str) -> int:
    size = int(schema.get(keyword, 0))
    if size > _SIZE:
        raise TooComplexError(f"{keyword} {size} is more than the stand-in writes")
    return size


def _merged(schema: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged = schema | other
    if "properties" in schema and "properties" in other:
        merged["properties"] = schema["properties"] | other["properties"]
    if "required" in schema and "required" in other:
        merged["required"] = [*schema["required"], *other["required"]]
    return merged


def _referenced(reference: str, root: Any) -> Any:
    found = root
    for part in reference.removeprefix("#").split("/")[1:]:
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found
