"""The schemas that profiles name for editors: one for each SGLang release, in ``schemas/releases``.

They differ from ``profile.schema.json``, which holds the models and ``validate`` to each other, in what an editor sees
and in what it should say: the options are those of one release (:mod:`glmdeploy.profile.option_schema`); a file alone
may extend another, so that keys may be missing, and null may remove one; texts are for people. They are of draft 7,
which every editor reads, and each is complete in itself, so that a copy works anywhere.

What is refused here and not by ``validate``: a null for a key that no release has, which removes nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from glmdeploy.profile import option_schema, schema
from glmdeploy.profile.option_schema import DEFINITIONS, REMOVED
from glmdeploy.resources import schemas_dir
from glmdeploy.sglang import catalog

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Json = dict[str, Any]

FOLDER = "releases"
ID = "https://glmdeploy.dev/schemas/releases/{}"

_SAID = ("description", "default", "examples", "errorMessage")
"""What a property says of itself, whatever its forms are."""


def file_name(release: str) -> str:
    """What the schema of a release is called, wherever it lies."""
    return f"profile-{release}.schema.json"


def release_file(release: str) -> Path:
    """The schema of a release that ships; that of all releases where there is no catalog of this one."""
    known = release in catalog.versions()
    return schemas_dir() / FOLDER / file_name(release) if known else schemas_dir() / schema.FILE


def generate(release: str) -> str:
    """The schema of one release as the repository keeps it: JSON of draft 7, with a final newline.

    :raises catalog.UnknownVersion: if there is no catalog of it.
    """
    options = catalog.load(release)
    document = _shape()
    engine = document["properties"]["sglang"]["properties"]
    about = {"description": engine["args"]["description"]}
    document["definitions"] = {**DEFINITIONS, "args": option_schema.args(options, about)}
    engine["version"] = {
        "description": engine["version"]["description"],
        "const": release,
        "errorMessage": f"this schema is that of SGLang {release}: `glmdeploy schema FILE --write` "
        "puts that of another release in its place",
    }
    engine["args"] = {"$ref": option_schema.PLACE}
    head = {
        "$schema": "http://json-schema.org/draft-07/schema#",
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


def _shape() -> Json:
    """All of a profile but the options."""
    from glmdeploy.profile.models import Profile

    document = Profile.model_json_schema(by_alias=True)
    whole = _plain(document, document["$defs"])
    needed = _needed(whole)
    properties = {
        "extends": {
            "description": "The file that this one is written over, or a list of such: a path beside this file, or "
            "the name of a profile that ships. What stands here wins, and null removes a key.",
            "examples": ["b200-eagle-bf16kv.yaml"],
            "anyOf": [
                {"type": "string", "minLength": 1, "errorMessage": "the name of a file, or a list of such names"},
                {"type": "array", "items": {"type": "string", "minLength": 1}},
                {"$ref": REMOVED},
            ],
        },
        **whole["properties"],
    }
    return {
        "description": document["description"],
        "type": "object",
        "defaultSnippets": [_new_profile(needed, whole)],
        "properties": properties,
        "additionalProperties": False,
        # A file that extends another need not say everything itself.
        "if": {"required": ["extends"], "properties": {"extends": {"not": {"$ref": REMOVED}}}},
        "else": needed,
    }


def _plain(node: Any, definitions: Mapping[str, Any], *, listed: bool = False) -> Any:
    """A schema without references and titles; what is not needed may be null.

    ``listed``: it is an item of a list, of which all is needed that the model needs.
    """
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        node = target | {key: value for key, value in node.items() if key != "$ref"}
    node = {key: value for key, value in node.items() if key not in ("title", "$defs")}
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            node[key] = _plain(node[key], definitions, listed=key == "items")
    if isinstance(node.get("additionalProperties"), dict):
        node["additionalProperties"] = _optional(node["additionalProperties"])
    if "anyOf" in node:
        node["anyOf"] = [_plain(each, definitions) for each in node["anyOf"]]
    if "properties" in node:
        needed = node.get("required", ())
        plain = {key: _plain(value, definitions) for key, value in node["properties"].items()}
        node["properties"] = {key: value if key in needed else _optional(value) for key, value in plain.items()}
        if listed:
            node["properties"] = {key: _kept(value) for key, value in node["properties"].items()}
    return node


def _kept(node: Json) -> Json:
    """A property of a list's item, where what is needed is always needed."""
    return node


def _optional(node: Json) -> Json:
    """A property's schema that takes a null as well, and says what it says once."""
    node = {key: value for key, value in node.items() if not (key == "default" and value in (None, {}, []))}
    forms = [each for each in node.get("anyOf", ()) if each != {"type": "null"}]
    said = {key: value for key, value in node.items() if key in _SAID and (key != "errorMessage" or forms)}
    if len(forms) == 1:
        node = forms[0] | said
        forms = node.get("anyOf", [])
        said = {key: value for key, value in node.items() if key in _SAID and (key != "errorMessage" or forms)}
    if node.get("type") == "object":
        return {**node, "type": ["object", "null"]}
    core = {key: value for key, value in node.items() if key not in said and key != "anyOf"}
    return {**said, "anyOf": [*([core] if core else []), *forms, {"$ref": REMOVED}]}


def _needed(node: Json) -> Json:
    """Takes ``required`` out of a mapping and those in it, and gives it back as a schema of its own."""
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
    return found


def _new_profile(needed: Json, whole: Json) -> Json:
    return {
        "label": "new profile",
        "description": "The keys that a profile needs.",
        "body": _body(needed, whole, [0]),
    }


def _body(needed: Json, node: Json, count: list[int]) -> Json:
    body: Json = {}
    for key in needed.get("required", ()):
        value = node["properties"][key]
        inner = needed.get("properties", {}).get(key)
        if inner:
            body[key] = _body(inner, value, count)
        else:
            count[0] += 1
            body[key] = f"${{{count[0]}:{_example(value)}}}"
    return body


def _example(node: Json) -> Any:
    examples = node.get("examples") or [node.get("minimum", "")]
    return examples[0]
