"""What one release takes as a profile's ``sglang.args``, as JSON Schema: names, types, choices, help.

It accepts all that :func:`glmdeploy.sglang.command.read` accepts of a single option, and refuses what that refuses for
its name, its type or its choices; tests hold the two together. Two options that are one, and texts that begin like JSON
and are none, are for the command alone to find.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from glmdeploy.sglang import catalog, json_options, releases
from glmdeploy.sglang.command import RESERVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from glmdeploy.sglang.catalog import Catalog, Option

    Json = dict[str, Any]

PLACE = "#/definitions/args"
"""Where a whole schema has that of the options."""

REMOVED = "#/definitions/removed"
"""Null, which removes what an extended profile says."""

_RARE = "#/definitions/rare"
"""What a deprecated option, or one that may go without a value, can be besides: removed, or a list of one value."""

# As Python reads a number: with blanks around it and underscores in it; its digits may be those of any script.
_DIGITS = r"(?:[0-9]|[^\x00-\x7f])(?:_?(?:[0-9]|[^\x00-\x7f]))*"
_WHOLE = rf"^\s*[+-]?{_DIGITS}\s*$"
_FLOAT = (
    rf"^\s*[+-]?(?:{_DIGITS}\.?(?:{_DIGITS})?(?:[eE][+-]?{_DIGITS})?|\.{_DIGITS}(?:[eE][+-]?{_DIGITS})?"
    r"|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN])\s*$"
)
_HUMAN = rf"^\s*(?:[+-]?{_DIGITS}|{_DIGITS}(?:\.{_DIGITS})?[kMGT]|{_DIGITS}[KMGT]i)\s*$"
_JSON = r'^\s*[\[{"0-9tfnNI-]'

_NUMBERS: Mapping[str, Json] = {
    "int": {"type": ["integer", "string"], "pattern": _WHOLE, "errorMessage": "an integer"},
    "float": {"type": ["number", "string"], "pattern": _FLOAT, "errorMessage": "a number"},
    "human_readable_int": {
        "type": ["integer", "string"],
        "pattern": _HUMAN,
        "errorMessage": "an integer, also 64k or 64Ki",
    },
}

DEFINITIONS: Mapping[str, Json] = {
    # In this form because editors would offer the null of `type: null` as a value. `properties`: see `apart`.
    "removed": {"not": {"type": ["array", "boolean", "number", "object", "string"]}, "properties": {}},
    "rare": {
        "not": {
            "anyOf": [
                {"type": ["boolean", "number", "object", "string"]},
                {"type": "array", "minItems": 2},
                {"type": "array", "maxItems": 0},
            ]
        },
        "properties": {},
    },
    **_NUMBERS,
}
"""What the options refer to."""

MAX_HELP = 320
"""Characters of a help text; the whole of it is in ``glmdeploy catalog show``."""


def args(release: Catalog, about: Json) -> Json:
    """The schema of ``sglang.args``; ``about`` is what it says of itself."""
    own = [option for option in release.options if _may_be_set(option)]
    named = {_name(option): _property(option) for option in sorted(own, key=_name)}
    aliases = {
        flag.removeprefix("--"): {"allOf": [{"$ref": _place(option)}], "doNotSuggest": True}
        for option in own
        for flag in option.flags
        if flag != option.canonical and flag.startswith("--")
    }
    least = _least(release)
    shorter = {pattern: {"$ref": _place(option)} for option in own if (pattern := _spellings(option, least))}
    return {
        "type": ["object", "null"],
        **about,
        "properties": named | aliases | dict(_refused(release)),
        "patternProperties": shorter | dict(_others(release)),
        "additionalProperties": False,
    }


def _may_be_set(option: Option) -> bool:
    return option.dest not in RESERVED and option.action not in ("help", "removed")


def _name(option: Option) -> str:
    return option.canonical.removeprefix("--")


def _place(option: Option) -> str:
    return f"{PLACE}/properties/{_name(option)}"


def _property(option: Option) -> Json:
    found: Json = {"description": _description(option)}
    if option.deprecated:
        found |= {"deprecated": True, "doNotSuggest": True}
    plain = isinstance(option.default, int | float | str) and not isinstance(option.default, bool)
    if plain and option.takes_value and not option.choices:
        found["default"] = option.default
    if not option.takes_value:
        # What one switches is nearly always that which is not so by itself.
        found["defaultSnippets"] = [{"label": "true", "body": True}]
    forms = [*_branches(option)]
    if option.deprecated:
        # Of each form but the last: what is removed is not told of.
        said = {"deprecationMessage": _one_line(option.deprecated)}
        forms = [({"allOf": [each]} if "$ref" in each else each) | said for each in forms[:-1]] + forms[-1:]
    return found | {"anyOf": apart(forms)}


def apart(forms: list[Json]) -> list[Json]:
    """Forms of which an editor can tell the one that holds.

    For yaml-language-server 1.25.0 all hold whose title, description and properties are the same, even where they have
    none, and it shows what it shows once for each (``isAllSchemasMatched`` of its ``yamlHover.js``).
    """
    return [each if not place or "$ref" in each else {"properties": {}, **each} for place, each in enumerate(forms)]


def _branches(option: Option) -> Iterator[Json]:
    if not option.takes_value:
        yield {"type": "boolean", "errorMessage": "true or false: a switch takes no value"}
        yield {"$ref": REMOVED}
        return
    one = [*_values(option)]
    if option.nargs in ("+", "*"):
        yield from one
        yield {"type": "array", "items": _in_list(one), "minItems": 1}
        yield {"$ref": REMOVED}
    else:
        yield from one
        yield {"$ref": REMOVED if option.nargs is None and option.action == "store" else _RARE}


def _values(option: Option) -> Iterator[Json]:
    """What an option with a value takes as its only one."""
    if option.choices:
        yield {"enum": [*option.choices], "description": _description(option)}
        if option.type == "int":
            digits = "|".join(str(choice) for choice in option.choices)
            yield {"type": "string", "pattern": rf"^\s*[+]?[0_]*(?:{digits})\s*$"}
    elif option.type in _NUMBERS:
        yield {"$ref": f"#/definitions/{option.type}"}
    elif json_options.is_json(option):
        yield _json(option)
    else:
        yield {"type": ["string", "number", "object"], "errorMessage": "a string"}


def _in_list(one: list[Json]) -> Json:
    """The same for each of several, where a mapping has no place."""
    first = {key: value for key, value in one[0].items() if key != "description"}
    if "object" in first.get("type", ()):
        return first | {"type": ["string", "number"]}
    return first if len(one) == 1 else {"anyOf": [first, *one[1:]]}


def _json(option: Option) -> Json:
    later = json_options.LATER.get(option.dest)
    found: Json = {"type": ["object", "string"], "errorMessage": "a mapping, or JSON"}
    if option.json_keys is not None:
        return found | {
            "pattern": r"^\s*\{",
            "properties": {phase: _keys(keys) for phase, keys in option.json_keys.items()},
            "additionalProperties": False,
        }
    if later is None:
        return found | {"type": ["object", "string", "number"], "pattern": _JSON}
    if later.or_path:
        # What is no JSON is the name of a file.
        return found | {"type": ["object", "string", "number"], "pattern": r"^(?!\s*\[)"}
    begins = [r"\s*\{", *(["@"] if later.at_file else []), *(["$"] if later.or_empty else [])]
    return found | {"pattern": f"^(?:{'|'.join(begins)})"}


def _keys(keys: Iterable[str]) -> Json:
    return {
        "type": ["object", "null"],
        "properties": {key: {} for key in keys},
        "additionalProperties": False,
    }


def _spellings(option: Option, least: Mapping[str, int]) -> str | None:
    """A pattern of all its names, with dashes and without, and of all of argparse's abbreviations of them.

    ``least``: see :func:`_least`.
    """
    names = [flag.removeprefix("--") for flag in option.flags if flag.startswith("--")]
    return f"^(--)?({'|'.join(_abbreviated(name, least[name]) for name in names)})$" if names else None


def _abbreviated(name: str, least: int) -> str:
    """A pattern of a name and of its beginnings from ``least`` letters on."""
    head, rest = name[:least], name[least:]
    return head + "".join(f"({letter}" for letter in rest) + ")?" * len(rest)


def _least(release: Catalog) -> dict[str, int]:
    """How many letters of each name there must be at least for argparse to know it, by name without dashes."""
    names = sorted({flag.removeprefix("--") for each in release.options for flag in each.flags if flag[:2] == "--"})
    shared = [0, *map(_shared, names, names[1:]), 0]  # with the neighbours in the alphabet, the nearest of all
    return {name: min(max(shared[place], shared[place + 1]) + 1, len(name)) for place, name in enumerate(names)}


def _shared(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (mine, its) in pairs if mine != its), min(len(one), len(other)))


def _refused(release: Catalog) -> Iterator[tuple[str, Json]]:
    """Names that are refused with more to say than that they are not known; null removes them all the same."""
    own = {flag.removeprefix("--"): option for option in release.options for flag in option.flags}
    for name, option in sorted(own.items()):
        if option.dest in RESERVED:
            yield name, _not_here(f"`{name}` comes from {RESERVED[option.dest]}: remove it")
        elif option.action == "removed":
            yield name, _not_here(f"SGLang {release.version} has no `{name}` any more: {option.deprecated}")
    for name, reason, fix in _elsewhere(release):
        if fix:
            yield name, _not_here(f"SGLang {release.version} has no `{name}`{reason}; {fix}")


def _others(release: Catalog) -> Iterator[tuple[str, Json]]:
    """Patterns of the names that other releases have, and this one has nothing for, by what is to say of them."""
    found: dict[str, list[str]] = {}
    for name, reason, fix in _elsewhere(release):
        if not fix:
            found.setdefault(reason, []).append(name)
    for reason, names in found.items():
        yield f"^({'|'.join(names)})$", _not_here(f"SGLang {release.version} does not have this option{reason}")


def _elsewhere(release: Catalog) -> Iterator[tuple[str, str, str | None]]:
    """The names that other releases have: each with when it came or went, and what to write here."""
    own = {flag for option in release.options for flag in option.flags}
    for flag in sorted(flag for flag in releases.flags() if flag.startswith("--") and flag not in own):
        name = flag.removeprefix("--")
        yield name, *releases.unknown_option(name, None, release.version)


def _not_here(message: str) -> Json:
    return {"type": "null", "errorMessage": message, "doNotSuggest": True}


def _description(option: Option) -> str:
    """The help text, the default, and which releases have the option."""
    span, known = releases.flags()[option.canonical], catalog.versions()
    parts = [shortened(option.help or "", MAX_HELP), f"Default: {_default(option)}."]
    parts.append(f"Since SGLang {span.first}{' or earlier' if span.first == known[0] else ''}.")
    if span.last != known[-1]:
        parts.append(f"Last in SGLang {span.last}.")
    return "\n\n".join(part for part in (parts[0], " ".join(parts[1:])) if part)


def _default(option: Option) -> str:
    value = option.default
    if value is None or value == "==SUPPRESS==":
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value) if value != "" else "an empty text"


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def shortened(text: str, most: int) -> str:
    """The text on one line; where it is longer than ``most`` characters, its first sentences, or else words."""
    text = _one_line(text)
    if len(text) <= most:
        return text
    sentences = re.findall(r".*?[.!?](?= |$)", text[:most])
    return "".join(sentences).strip() if sentences else text[:most].rpartition(" ")[0] + " …"
