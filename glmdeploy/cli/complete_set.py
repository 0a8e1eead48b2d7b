"""What a shell completes behind ``--set``: the path of a value, step by step, and behind ``=`` the value."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from glmdeploy.cli import complete

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click
    from click.shell_completion import CompletionItem

    from glmdeploy.sglang.catalog import Catalog, Option

ARGS, ENV = "sglang.args.", "sglang.env."
BOOLEANS = ("true", "false")
_RELEASE = re.compile(r"^sglang:[^\n]*\n(?:(?:[ \t#][^\n]*)?\n)*?[ \t]+version: *[\"']?([\w.]+)", re.MULTILINE)


def values(context: click.Context, _: click.Parameter, incomplete: str) -> complete.Items:
    """``PATH=VALUE``, by the schema of profiles and the options of the profile's release."""
    path, equals, value = incomplete.partition("=")
    if equals:
        return [complete.item(f"{path}={each}") for each in _values(context, path) if each.startswith(value)]
    found = [_path(each, meaning) for each, meaning in _paths(context, path) if each.startswith(path)]
    return sorted(found, key=lambda item: item.value)


def _path(path: str, meaning: str) -> CompletionItem[str]:
    return complete.item(path if path.endswith(".") else f"{path}=", complete.PART, meaning or None)


def _paths(context: click.Context, path: str) -> Iterator[tuple[str, str]]:
    """Paths one step further than what stands before the last dot: of a section with a dot behind."""
    if path.startswith(ARGS):
        for option in _settable(_catalog(context)):
            yield f"{ARGS}{option.canonical.removeprefix('--')}", _sentence(option.help or "")
    elif path.startswith(ENV):
        for name, variable in _catalog(context).env.items():
            yield f"{ENV}{name}", variable.type
    else:
        before = path.rpartition(".")[0]
        schema = _schema()
        for name, inner in _properties(schema, _at(schema, before)).items():
            section = bool(_properties(schema, inner)) or f"{before}.{name}." in (ARGS, ENV)
            dotted = f"{before}.{name}" if before else name
            yield f"{dotted}." if section else dotted, _sentence(inner.get("description", ""))


def _values(context: click.Context, path: str) -> list[str]:
    if path.startswith(ARGS):
        name = path.removeprefix(ARGS)
        for option in _settable(_catalog(context)):
            if f"--{name}" in option.flags:
                return [*map(str, option.choices or (BOOLEANS if option.nargs == 0 else ()))]
        return []
    if path.startswith(ENV):
        variable = _catalog(context).env.get(path.removeprefix(ENV))
        return [*BOOLEANS] if variable and variable.type == "bool" else []
    if path == "gpu":
        from glmdeploy.gpus import TYPES

        return [*TYPES]
    schema = _schema()
    return list(dict.fromkeys(_choices(schema, _at(schema, path))))


def _settable(catalog: Catalog) -> list[Option]:
    from glmdeploy.sglang.command import RESERVED

    return [
        option
        for option in catalog.options
        if option.action not in ("help", "removed") and option.dest not in RESERVED and not option.deprecated
    ]


def _catalog(context: click.Context) -> Catalog:
    """Of the release that the profile on the command line pins, else of the newest."""
    from glmdeploy.sglang.catalog import load, versions

    named = context.params.get("profile") or context.params.get("profiles") or context.params.get("subject")
    # After an option that lacks its value nothing is taken from the arguments yet.
    name = (named if isinstance(named, str) else named[0]) if named else next(iter(context.args), "")
    found = _RELEASE.search(complete.profile_text(name))
    return load(found[1] if found and found[1] in versions() else versions()[-1])


def _sentence(text: str) -> str:
    return re.split(r"[.;:](?:\s|$)", " ".join(text.split()), maxsplit=1)[0]


# The schema of profiles -----------------------------------------------------------------------------------------------


def _schema() -> dict[str, Any]:
    from glmdeploy.resources import schemas_dir

    found: dict[str, Any] = json.loads((schemas_dir() / "profile.schema.json").read_bytes())
    return found


def _ways(schema: dict[str, Any], node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a value can be, each apart."""
    if "$ref" in node:
        yield from _ways(schema, schema["$defs"][node["$ref"].rpartition("/")[2]])
    elif "anyOf" in node:
        for each in node["anyOf"]:
            yield from _ways(schema, each)
    else:
        yield node


def _properties(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    return {name: each for way in _ways(schema, node) for name, each in way.get("properties", {}).items()}


def _at(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """What the schema says of a path; nothing for one that it does not know."""
    node = schema
    for name in filter(None, path.split(".")):
        node = _properties(schema, node).get(name, {})
    return node


def _choices(schema: dict[str, Any], node: dict[str, Any]) -> Iterator[str]:
    for way in _ways(schema, node):
        if way.get("type") == "boolean":
            yield from BOOLEANS
        yield from map(str, way.get("enum", ()))
        # A pattern of words alone, as ^(?:one|two)$ is.
        if words := re.match(r"\^\(\?:([\w-]+(?:\|[\w-]+)+)\)\$", way.get("pattern", "")):
            yield from words[1].split("|")
