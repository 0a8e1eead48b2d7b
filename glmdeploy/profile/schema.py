"""The profile's JSON Schema: generated from the models, kept in the repository, and used before the models.

Editors read ``schemas/profile.schema.json``; so does :func:`check`, which turns every violation into a finding with
its place, the offending text, what was expected and the nearest known key.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.findings import Finding, Severity, dotted
from glmdeploy.resources import schemas_dir
from glmdeploy.sglang import catalog
from glmdeploy.sglang.command import RESERVED
from glmdeploy.sglang.releases import flags
from glmdeploy.sglang.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

    from glmdeploy.findings import KeyPath
    from glmdeploy.profile.text.document import Document
    from glmdeploy.sglang.catalog import Option

FILE = "profile.schema.json"
ID = "https://glmdeploy.dev/schemas/profile.schema.json"

_OPTION = "option {}"
"""Keeps the place of an option while the rest of the schema is indented."""


def generate() -> str:
    """The schema as the repository keeps it: JSON of draft 2020-12, indented, with a final newline."""
    from glmdeploy.profile.models import Profile

    schema = Profile.model_json_schema(by_alias=True)
    args = schema["$defs"]["Sglang"]["properties"]["args"]
    options = properties({"$ref": "#/$defs/Sglang/properties/args/additionalProperties"})
    args["properties"] = {name: _OPTION.format(name) for name in options}
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        **schema,
        "title": "glmdeploy profile",
    }
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    for name, option in options.items():
        # One option a line, so that a new release reads well in a diff.
        text = text.replace(json.dumps(_OPTION.format(name)), json.dumps(option, ensure_ascii=False), 1)
    return text


@cache
def load() -> dict[str, Any]:
    """The committed schema."""
    document: dict[str, Any] = json.loads((schemas_dir() / FILE).read_text(encoding="utf-8"))
    return document


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


MAX_DESCRIPTION = 160
"""Characters of a help text; the whole of it is in ``glmdeploy catalog show``."""

MAX_EXAMPLES = 24
"""Choices that are worth a menu: of the parsers and quantizations there are more."""


def properties(value: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A schema for each option that a profile may set, by name without dashes; ``value`` is what each one takes."""
    newest: dict[str, Option] = {}
    for version in catalog.versions():
        for option in catalog.load(version).options:
            if option.dest not in RESERVED and option.action not in ("help", "removed"):
                newest[option.canonical] = option
    return {flag.removeprefix("--"): _property(flag, newest[flag], value) for flag in sorted(newest)}


def _property(flag: str, option: Option, value: dict[str, Any]) -> dict[str, Any]:
    span, known = flags()[flag], catalog.versions()
    releases = [f"since {span.first}"] if span.first != known[0] else []
    releases += [f"until {span.last}"] if span.last != known[-1] else []
    notes = [_shortened(option.help or ""), f"(SGLang {', '.join(releases)})" if releases else ""]
    found: dict[str, Any] = {"description": " ".join(note for note in notes if note) or "(no help text)"}
    if option.choices and len(option.choices) <= MAX_EXAMPLES:
        found["examples"] = [*option.choices]
    if option.deprecated or span.last != known[-1]:
        found["deprecated"] = True
    return value | found


def _shortened(text: str) -> str:
    """The text on one line; where it is long, its first sentences, or else its first words."""
    text = re.sub(r"\s+", " ", text).strip()
    if len(text) <= MAX_DESCRIPTION:
        return text
    sentences = re.findall(r".*?[.!?](?= |$)", text[:MAX_DESCRIPTION])
    return "".join(sentences).strip() if sentences else text[:MAX_DESCRIPTION].rpartition(" ")[0] + " …"
