"""The schemas that profiles name for editors: one for each SGLang release, in ``schemas/releases``.

They differ from ``profile.schema.json``, which holds the models and ``validate`` to each other, in what an editor sees
and in what it should say: the options are those of one release (:mod:`glmdeploy.profile.option_schema`); a file alone
may extend another, so that keys may be missing, and null may remove one; texts are for people. They are of draft 7,
which every editor reads, and each is complete in itself, so that a copy works anywhere.

What is refused here and not by ``validate``: a null for a key that no release has, which removes nothing.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.profile import option_schema, schema
from glmdeploy.profile.option_schema import DEFINITIONS, REMOVED, apart
from glmdeploy.resources import schemas_dir
from glmdeploy.sglang import catalog

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    Json = dict[str, Any]

FOLDER = "releases"
ID = "https://glmdeploy.dev/schemas/releases/{}"

_DRAFT = "http://json-schema.org/draft-07/schema#"

_EXAMPLE = "0.5.11"
"""The release of the examples in the models."""

_WORDS = re.compile(r"\^\(\?:([a-z0-9_-]+(?:\|[a-z0-9_-]+)+)\)\$\(\?!\\n\)")
"""A pattern that takes some words and nothing else: see `fields.exact`."""

_SAID = ("description", "default", "examples", "errorMessage")
"""What a property says of itself, whatever its forms are."""


def file_name(release: str) -> str:
    """What the schema of a release is called, wherever it lies."""
    return f"profile-{release}.schema.json"


def release_file(release: str) -> Path:
    """Where a checkout has the schema of a release; that of all releases where there is no catalog of this one."""
    known = release in catalog.versions()
    return schemas_dir() / FOLDER / file_name(release) if known else schemas_dir() / schema.FILE


def files() -> Iterator[tuple[Path, str]]:
    """All schemas of a checkout, with the text that each is to have."""
    yield schemas_dir() / schema.FILE, schema.generate()
    yield schemas_dir() / FOLDER / schema.FILE, any_release()
    for release in catalog.versions():
        yield release_file(release), generate(release)


def any_release() -> str:
    """A schema that takes that of the release which `sglang.version` names, from the file beside it.

    For the catalog of a schema store, which knows one address for all profiles. Where a profile says no release and
    extends none, as in a new file, it is that of the newest.
    """
    known = catalog.versions()
    unsaid = {"not": {"anyOf": [{"required": ["extends"]}, _version({})]}}
    document = {
        "$schema": _DRAFT,
        "$id": ID.format(schema.FILE),
        "title": "glmdeploy profile",
        "type": "object",
        "allOf": [
            *({"if": _version({"const": each}), "then": {"$ref": file_name(each)}} for each in known),
            {"if": unsaid, "then": {"$ref": file_name(known[-1])}},
            {"if": _version({}), "then": _version({"enum": [*known]})},
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def _version(form: Json) -> Json:
    """A profile that says a release of this form."""
    engine = {"type": "object", "required": ["version"], "properties": {"version": form}}
    return {"required": ["sglang"], "properties": {"sglang": engine}}


def generate(release: str) -> str:
    """The schema of one release as the repository keeps it: JSON of draft 7, with a final newline.

    :raises catalog.UnknownVersion: if there is no catalog of it.
    """
    options = catalog.load(release)
    document = _shape(release)
    engine = document["properties"]["sglang"]["properties"]
    about = {"description": engine["args"]["description"]}
    document["definitions"] = {**DEFINITIONS, "args": option_schema.args(options, about)}
    engine["args"] = {"$ref": option_schema.PLACE}
    head = {
        "$schema": _DRAFT,
        "$id": ID.format(file_name(release)),
        "title": f"glmdeploy profile, SGLang {release}",
    }
    return _text({**head, **document})


def _text(document: Json) -> str:
    """JSON with an option a line, so that a new release reads well in a diff."""
    lines: dict[str, str] = {}
    args = document["definitions"]["args"]
    for group in ("properties", "patternProperties"):
        for name, value in args[group].items():
            mark = f"option {len(lines)}"
            lines[json.dumps(mark)] = json.dumps(value, ensure_ascii=False)
            args[group][name] = mark
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    return "".join(_filled(line, lines) for line in text.splitlines(keepends=True))


def _filled(line: str, lines: Mapping[str, str]) -> str:
    before, colon, mark = line.rstrip(",\n").rpartition(": ")
    return before + colon + lines[mark] + line[len(line.rstrip(",\n")) :] if mark in lines else line


def _shape(release: str) -> Json:
    """All of a profile but the options."""
    document = schema.shape()
    whole = _plain(document, document["$defs"])
    engine = whole["properties"]["sglang"]["properties"]
    engine["version"] = {
        "description": engine["version"]["description"],
        "const": release,
        "errorMessage": f"these are the options of SGLang {release}: for those of another release, "
        "run `glmdeploy schema FILE --write`",
    }
    engine["image"]["examples"] = [each.replace(_EXAMPLE, release) for each in engine["image"]["examples"]]
    whole["properties"]["gpu"]["defaultSnippets"] = [
        {"label": name, "body": f"{name}:${{1:1}}", "description": f"How many of {name} a container has."}
        for name in gpus.TYPES
    ]
    needed = _needed(whole)
    del whole["defaultSnippets"]
    properties = {
        "extends": {
            "description": "The file that this one is written over, or a list of such: a path beside this file, or "
            "the name of a profile that ships. What stands here wins, and null removes a key.",
            "examples": ["b200-eagle-bf16kv.yaml"],
            "anyOf": apart(
                [
                    {"type": "string", "minLength": 1, "errorMessage": "the name of a file, or a list of such names"},
                    {"type": "array", "items": {"type": "string", "minLength": 1}},
                    {"$ref": REMOVED},
                ]
            ),
        },
        **whole["properties"],
    }
    return {
        "description": document["description"],
        "type": "object",
        "defaultSnippets": [
            {"label": "new profile", "description": "The keys that a profile needs.", "body": _body(needed, whole, [0])}
        ],
        "properties": properties,
        "additionalProperties": False,
        # A file that extends another need not say everything itself.
        "if": {"required": ["extends"], "properties": {"extends": {"not": {"$ref": REMOVED}}}},
        "else": needed,
    }


def _plain(node: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema without references and titles; what is not needed may be null."""
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        node = target | {key: value for key, value in node.items() if key != "$ref"}
    node = {key: value for key, value in node.items() if key not in ("title", "$defs")}
    if isinstance(node.get("items"), dict):
        node["items"] = _told(_plain(node["items"], definitions))
    if isinstance(node.get("additionalProperties"), dict):
        node["additionalProperties"] = _told(_optional(_plain(node["additionalProperties"], definitions)))
    if "anyOf" in node:
        node["anyOf"] = [_plain(each, definitions) for each in node["anyOf"]]
    if "properties" in node:
        needed = node.get("required", ())
        plain = {key: _plain(value, definitions) for key, value in node["properties"].items()}
        node["properties"] = {key: _told(value if key in needed else _optional(value)) for key, value in plain.items()}
    if words := _WORDS.fullmatch(node.get("pattern", "")):
        del node["pattern"]
        node["enum"] = words[1].split("|")
    if node.get("type") == "integer" and "minimum" in node and node["minimum"] == node.get("maximum"):
        node["const"] = node.pop("minimum")
        del node["maximum"]
    return node


def _optional(node: Json) -> Json:
    """A property's schema that takes a null as well."""
    forms = [each for each in node.get("anyOf", ()) if each != {"type": "null"}]
    if len(forms) == 1:
        node = forms[0] | {key: value for key, value in node.items() if key != "anyOf"}
        forms = node.get("anyOf", [])
    if node.get("type") == "object":
        return {**node, "type": ["object", "null"]}
    said = {key: value for key, value in node.items() if key in _SAID}
    core = {key: value for key, value in node.items() if key not in _SAID and key != "anyOf"}
    wrong = {key: said.pop(key) for key in ("errorMessage",) if key in said}
    return {**said, "anyOf": [*([core | wrong] if core else []), *forms, {"$ref": REMOVED}], **wrong}


def _told(node: Json) -> Json:
    """The same with the default in words, and what was expected where an editor looks for it."""
    node = dict(node)
    if "default" in node and (node["default"] in (None, "") or isinstance(node["default"], dict | list)):
        del node["default"]
    if isinstance(default := node.get("default"), bool | int | float | str):
        shown = default if isinstance(default, str) else json.dumps(default)
        node["description"] = f"{node['description']}\n\nDefault: {shown}."
    if "anyOf" in node:
        expected = node.pop("errorMessage", None)
        node["anyOf"] = apart([_expecting(each, expected) if expected else each for each in node["anyOf"]])
    return node


def _expecting(form: Json, expected: str) -> Json:
    """One of several forms with what was expected, for an editor shows what the nearest one says.

    The type as a list, because it makes a text of its own of the types that several forms want.
    """
    if "$ref" in form:
        return form
    kind = form.get("type")
    return {"errorMessage": expected, **form, **({"type": [kind]} if isinstance(kind, str) else {})}


def _needed(node: Json) -> Json:
    """Takes ``required`` out of a mapping and those in it, and gives it back as a schema of its own.

    Where it was, a snippet stays that has the keys.
    """
    found: Json = {}
    if required := node.pop("required", None):
        found["required"] = required
    inner = {
        key: needed
        for key, value in node.get("properties", {}).items()
        if "object" in value.get("type", ()) and (needed := _needed(value))
    }
    if inner:
        # They say what is missing, and nothing that could be offered.
        found["properties"] = {key: {**needed, "doNotSuggest": True} for key, needed in inner.items()}
    if required:
        node["defaultSnippets"] = [{"label": "what it needs", "body": _body(found, node, [0])}]
    return found


def _body(needed: Json, node: Json, count: list[int]) -> Json:
    """The keys that are needed, each with an example to type over."""
    body: Json = {}
    for key in needed.get("required", ()):
        value = node["properties"][key]
        if inner := needed.get("properties", {}).get(key):
            body[key] = _body(inner, value, count)
        else:
            count[0] += 1
            body[key] = f"${{{count[0]}:{_example(value)}}}"
    return body


def _example(node: Json) -> str:
    example = (node.get("examples") or [node.get("const", "")])[0]
    return example if isinstance(example, str) else json.dumps(example)
