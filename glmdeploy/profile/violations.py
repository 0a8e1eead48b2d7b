"""What of a document its schema refuses, as findings: the offending text, what was expected, the nearest known key."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.findings import Finding, Severity, dotted
from glmdeploy.profile.schema import load
from glmdeploy.sglang.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

    from glmdeploy.findings import KeyPath
    from glmdeploy.profile.text.document import Document


@cache
def validator() -> Validator:
    """A jsonschema validator of the committed schema."""
    from jsonschema.validators import Draft202012Validator

    return Draft202012Validator(load())


def check(document: Document) -> list[Finding]:
    """The document's violations of the schema, in the order of the text; empty when it is valid."""
    findings = [finding for error in validator().iter_errors(document.data) for finding in _findings(error, document)]
    return sorted(findings, key=lambda found: (found.location.file, found.location.line, found.location.column))


def _findings(error: ValidationError, document: Document) -> Iterator[Finding]:
    path: KeyPath = tuple(error.absolute_path)
    instance: Any = error.instance
    wanted: Any = error.validator_value
    schema: dict[str, Any] = error.schema if isinstance(error.schema, dict) else {}
    match error.validator:
        case "additionalProperties":
            known = list(schema.get("properties", {}))
            for key in instance:
                if key not in known:
                    yield _unknown(document, (*path, key), known)
        case "required":
            for key in wanted:
                if key not in instance:
                    yield _missing(document, path, key, schema.get("properties", {}).get(key, {}))
        case "anyOf" if {"type": "null"} in schema["anyOf"] and len(schema["anyOf"]) == 2:
            # The null branch only says that the key may be left out: report the other one.
            branch = schema["anyOf"].index({"type": "null"}) ^ 1
            for inner in error.context or ():
                if inner.relative_schema_path[0] == branch:
                    yield from _findings(inner, document)
        case "pattern" if "propertyNames" in error.absolute_schema_path:
            yield _bad_key(document, (*path, instance), schema)
        case _:
            yield _bad_value(document, path, error, schema)


def _finding(
    document: Document, path: KeyPath, message: str, *, expected: str | None, fix: str | None, key: bool = False
) -> Finding:
    return Finding(
        id="schema",
        severity=Severity.ERROR,
        message=message,
        location=document.locate(path, key=key),
        path=path,
        expected=expected,
        fix=fix,
    )


def _unknown(document: Document, path: KeyPath, known: list[str]) -> Finding:
    name = str(path[-1])
    near = nearest(name, known, most=1)
    parent = f"`{dotted(path[:-1])}`" if len(path) > 1 else "the profile"
    return _finding(
        document,
        path,
        f"unknown key `{name}` in {parent}",
        expected=f"one of: {', '.join(sorted(known))}",
        fix=f"did you mean `{near[0]}`?" if near else None,
        key=True,
    )


def _missing(document: Document, path: KeyPath, key: str, schema: dict[str, Any]) -> Finding:
    parent = f"`{dotted(path)}`" if path else "the profile"
    example = next(iter(_resolve(schema).get("examples", ())), None)
    own: KeyPath = (*path, key)
    is_null = own in document.removed
    return _finding(
        document,
        own if is_null else path,
        f"`{dotted(own)}` is null, which removes it, but {parent} needs it"
        if is_null
        else f"{parent} lacks the key `{key}`",
        expected=schema.get("description"),
        fix=f"{'write' if is_null else 'add'} `{key}:`"
        + (f" with a value such as {json.dumps(example, ensure_ascii=False)}" if example else ""),
        key=True,
    )


def _bad_key(document: Document, path: KeyPath, schema: dict[str, Any]) -> Finding:
    message = f"`{path[-1]}` cannot be a key of `{dotted(path[:-1])}`"
    return _finding(document, path, message, expected=schema.get("errorMessage"), fix=None, key=True)


def _bad_value(document: Document, path: KeyPath, error: ValidationError, schema: dict[str, Any]) -> Finding:
    shown = json.dumps(error.instance, ensure_ascii=False)
    if len(shown) > 60:
        shown = f"{shown[:57]}..."
    what = f"`{dotted(path)}`" if path else "the profile"
    return _finding(
        document,
        path,
        f"{what} is {shown}, which is not valid",
        expected=schema.get("errorMessage") or _words(error, schema),
        fix=_advice(error.instance, schema) or _gpu(path, error.instance),
    )


def _gpu(path: KeyPath, value: object) -> str | None:
    """The GPU that may have been meant, with the count as written; of several, the first that is none."""
    for each in (value if isinstance(value, list) else [value]) if path[:1] == ("gpu",) else ():
        name, colon, count = str(each).partition(":")
        near = nearest(name, gpus.TYPES, most=1)
        if near and near[0] != name:
            return f"did you mean `{near[0]}{colon}{count}`?"
    return None


def _words(error: ValidationError, schema: dict[str, Any]) -> str:
    names = {"object": "a mapping", "array": "a list", "string": "a string", "boolean": "true or false"}
    if error.validator == "type":
        wanted: Any = error.validator_value
        wanted = [wanted] if isinstance(wanted, str) else wanted
        return " or ".join(names.get(name, f"a {name}") for name in wanted)
    return str(error.message)


def _advice(value: object, schema: dict[str, Any]) -> str | None:
    kind = schema.get("type")
    if kind == "boolean" and value in ("yes", "on", "no", "off"):
        return f"write {'true' if value in ('yes', 'on') else 'false'}: YAML 1.2 reads `{value}` as a string"
    if kind == "string" and isinstance(value, bool | int | float):
        return f'quote it: "{json.dumps(value)}"'
    if kind in ("integer", "number") and isinstance(value, str) and re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", value):
        return "write the number without quotes"
    return None


def _resolve(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    resolved: dict[str, Any] = load()["$defs"][reference.rsplit("/", 1)[1]] if reference else schema
    return resolved
