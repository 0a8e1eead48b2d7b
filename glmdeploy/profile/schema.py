"""The profile's JSON Schema: generated from the models and kept in the repository, as ``schemas/profile.schema.json``.

Editors read it; what a document has against it is told by :mod:`glmdeploy.profile.violations`.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from glmdeploy.resources import schemas_dir
from glmdeploy.sglang import catalog
from glmdeploy.sglang.command import RESERVED
from glmdeploy.sglang.releases import flags

if TYPE_CHECKING:
    from glmdeploy.sglang.catalog import Option

FILE = "profile.schema.json"
ID = "https://glmdeploy.dev/schemas/profile.schema.json"

_OPTION = "option {}"
"""Keeps the place of an option while the rest of the schema is indented."""


def generate() -> str:
    """The schema as the repository keeps it: JSON of draft 2020-12, indented, with a final newline."""
    schema = shape()
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


def shape() -> dict[str, Any]:
    """The schema as the models declare it, of any option a value; its keys sorted, but those that a profile has."""
    from glmdeploy.profile.models import Profile

    definitions: dict[str, Any] = {}
    profile = Profile.definition(definitions)
    found: dict[str, Any] = _sorted({"$defs": dict(sorted(definitions.items())), **profile})
    return found


def _sorted(node: Any, within: str = "") -> Any:
    if isinstance(node, list):
        return [_sorted(item) for item in node]
    if not isinstance(node, dict):
        return node
    names = node if within in ("properties", "default", "examples") else sorted(node)
    return {name: _sorted(node[name], name) for name in names}


@cache
def load() -> dict[str, Any]:
    """The committed schema."""
    document: dict[str, Any] = json.loads((schemas_dir() / FILE).read_text(encoding="utf-8"))
    return document


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
