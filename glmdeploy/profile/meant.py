"""What was probably meant by a value that a profile's schema refuses: the same in another spelling, or the nearest.

A suggestion has a ``value`` only where nothing is left to decide: ``--fix`` writes that. What merely looks like it is
for a person to decide (another GPU, another number).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.profile.durations import UNITS, describe
from glmdeploy.redaction import is_secret_name
from glmdeploy.sglang import catalog, models
from glmdeploy.sglang.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from glmdeploy.findings import KeyPath

    Scalar = str | float | bool

YES = frozenset({"yes", "on", "y", "true", "1"})
NO = frozenset({"no", "off", "n", "false", "0"})

_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
}
_SECONDS = {**UNITS, "d": 86_400}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)")

_COUNTED = (
    re.compile(r"(?P<count>[1-9][0-9]?)\s*(?:[x×*:]|\s)\s*(?P<name>[A-Za-z].*)"),
    re.compile(r"(?P<name>[A-Za-z].*?)\s*(?:[x×*@=]|\s)\s*(?P<count>[1-9][0-9]?)"),
    re.compile(r"(?P<name>[A-Za-z].*?)\s*:\s*(?P<count>[0-9]+)"),
    re.compile(r"(?P<name>[A-Za-z].*?)[-_/](?P<count>[1-8])"),
    re.compile(r"(?P<name>[A-Za-z].*)"),
)
"""How people write a number of GPUs: ``8xB200``, ``B200 x 8``, ``b200:8``, ``b200``."""

_OPTION = re.compile(r"(?<!\S)--?([A-Za-z][\w-]*)(?:[ =]([^-\s]\S*))?")
_OPTIONS = 3
"""Options that are shown as they have to be written."""

_HUB = re.compile(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/([^/\s]+/[^/\s?#]+).*")
_MEBIBYTES = {"mi": 1, "mib": 1, "gi": 1024, "gib": 1024, "ti": 1024**2, "tib": 1024**2}


_MOST_NODES = 32
"""Containers of a cluster (Modal's guide, multi-node-clusters)."""


@dataclass(frozen=True, kw_only=True)
class Meant:
    """``fix`` is what to do, ``value`` what may be written without asking, ``why`` what is wrong with what stands."""

    fix: str
    value: Scalar | None = None
    why: str | None = None


def meant(path: KeyPath, value: Any, schema: Mapping[str, Any], written: str, accepts: Callable[[Any], bool]) -> Meant:
    """What to write instead of ``value``, which stands at ``path`` as ``written``; with an empty ``fix`` for nothing.

    ``schema`` is the refused place's, and ``accepts`` says whether it takes another value.
    """
    for guess in _GUESSES:
        for each in guess(path, value, schema, written):
            if each.value is None or accepts(each.value):
                return each
    return Meant(fix="")


def _gpu(path: KeyPath, value: Any, schema: Mapping[str, Any], written: str) -> Iterator[Meant]:
    if path[:1] != ("gpu",):
        return
    if isinstance(value, dict):
        count, name = value.get("count"), value.get("type", value.get("name"))
        known = gpus.named(str(name)) if name else None
        yield Meant(fix=f"write `gpu: {known or 'B200'}:{count if isinstance(count, int) else 8}`")
    if isinstance(value, int) and not isinstance(value, bool):
        yield Meant(fix=f"write the type before the count, such as `B200:{value}`", why="is a count without a type")
    if not isinstance(value, str):
        return
    for form in _COUNTED:
        found = form.fullmatch(value.strip())
        if found is None:
            continue
        name, count = found["name"].strip(), found.groupdict().get("count")
        tail = f":{int(count)}" if count else ""
        if known := gpus.named(name):
            most = gpus.TYPES[known].most
            if count and not 1 <= int(count) <= most:
                why = f"is more {known} than a container of Modal has" if int(count) else "counts none"
                yield Meant(fix=f"write a count from 1 to {most}{_hosts(known, int(count))}", why=why)
            yield Meant(fix=f"write `{known}{tail}`", value=f"{known}{tail}", why=f": Modal calls it `{known}{tail}`")
        elif near := nearest(name, gpus.TYPES, most=1):
            yield Meant(fix=f"did you mean `{near[0]}{tail}`?", why=f"names no GPU that Modal rents: {_types()}")


def _hosts(known: str, count: int) -> str:
    """How so many GPUs are written that are those of several hosts; nothing where they are not."""
    nodes, rest = divmod(count, gpus.TYPES[known].most)
    if rest or not 2 <= nodes <= _MOST_NODES or known not in gpus.RDMA:
        return ""
    return f"; {nodes} whole hosts are `gpu: {known}:{gpus.TYPES[known].most}` with `cluster: {{nodes: {nodes}}}`"


def _types() -> str:
    return ", ".join(f"`{name}`" for name in gpus.TYPES)


def _switch(_: KeyPath, value: Any, schema: Mapping[str, Any], written: str) -> Iterator[Meant]:
    if schema.get("type") != "boolean" or isinstance(value, dict | list):
        return
    word = str(value).lower()
    if word in YES | NO:
        bare = written.strip("\"'")
        why = "is text in quotes" if written != bare else f"is {_kind(value)}, not `true` or `false`"
        right = word in YES
        yield Meant(fix=f"write `{str(right).lower()}`", value=right, why=why)


def _number(_: KeyPath, value: Any, schema: Mapping[str, Any], written: str) -> Iterator[Meant]:
    if "integer" not in _kinds(schema) and "number" not in _kinds(schema):
        return
    if isinstance(value, str) and (match := re.fullmatch(r"\s*([-+]?[0-9]+(?:[,_][0-9]{3})*(?:\.[0-9]+)?)\s*", value)):
        plain = re.sub("[,_]", "", match[1])
        number = float(plain) if "." in plain else int(plain)
        quoted = written[:1] in ('"', "'")
        yield Meant(
            fix=f"write `{plain}`, without {'quotes' if quoted else 'separators'}",
            value=number,
            why=f"is text{' in quotes' if quoted else ''}, not a number",
        )
    if "MiB" in str(schema.get("errorMessage")) and isinstance(value, str):
        sized = re.fullmatch(r"\s*([0-9]+)\s*([A-Za-z]+)\s*", value)
        if sized and (unit := _MEBIBYTES.get(sized[2].lower())):
            yield Meant(
                fix=f"write `{int(sized[1]) * unit}`", value=int(sized[1]) * unit, why=": MiB are expected, as a number"
            )


def _duration(_: KeyPath, value: Any, schema: Mapping[str, Any], written: str) -> Iterator[Meant]:
    if "as whole seconds" not in str(schema.get("errorMessage")):
        return
    if isinstance(value, float):
        yield Meant(fix="write whole seconds")
    if not isinstance(value, str):
        return
    text = value.strip().lower()
    if re.fullmatch("[1-9][0-9]*", text):
        yield Meant(fix=f"write `{text}`, without quotes", value=int(text), why="is text in quotes, not a number")
    parts = _PART.findall(text)
    if parts and not re.sub(r",|and|\s", "", _PART.sub("", text)) and all(unit in _UNITS for _, unit in parts):
        seconds = sum((float(number) * _SECONDS[_UNITS[unit]] for number, unit in parts), 0.0)
        if seconds >= 1 and seconds.is_integer():
            right = describe(int(seconds))
            yield Meant(fix=f"write `{right}`", value=right, why="is not how a duration is written")


def _text(_: KeyPath, value: Any, schema: Mapping[str, Any], written: str) -> Iterator[Meant]:
    if "string" in _kinds(schema) and isinstance(value, bool | int | float):
        yield Meant(fix=f'write `"{written}"`, in quotes', value=written, why=f"is {_kind(value)}, not text")


def _choice(_: KeyPath, value: Any, schema: Mapping[str, Any], written: str) -> Iterator[Meant]:
    choices = choices_of(schema)
    if not choices or not isinstance(value, str):
        return
    near = nearest(value, choices, most=2)
    # A slip in a digit is another value, and which one is meant is not for us to say.
    sure = len(near) == 1 and re.findall(r"\d+", near[0]) == re.findall(r"\d+", value)
    if near:
        fix = f"write `{near[0]}`" if sure else f"did you mean {' or '.join(f'`{each}`' for each in near)}?"
        yield Meant(fix=fix, value=near[0] if sure else None)


def _spelled(path: KeyPath, value: Any, schema: Mapping[str, Any], written: str) -> Iterator[Meant]:
    """The same name or path as it has to be spelled."""
    if path == ("sglang", "version") and isinstance(value, int | float):
        yield Meant(fix=f"write a release such as `{catalog.versions()[-1]}`")
    if not isinstance(value, str):
        return
    text = value.strip()
    match path[-1:]:
        case ("repo",):
            if url := _HUB.fullmatch(text):
                yield Meant(fix=f"write `{url[1]}`", value=url[1], why="is an address, not a repository")
            if "/" not in text and (near := nearest(text, models.published(), most=1)):
                repo = models.published()[near[0]]
                yield Meant(fix=f"did you mean `{repo}`?", why="lacks the organisation before the name")
        case ("mount" | "path",):
            right = "/" + text.strip("/")
            yield Meant(fix=f"write `{right}`", value=right)
        case ("version",) if path[:1] == ("sglang",):
            release = text.lower().removeprefix("sglang").lstrip("=-: v")
            if release in catalog.versions():
                yield Meant(fix=f"write `{release}`", value=release)
            yield Meant(fix=f"write a release such as `{catalog.versions()[-1]}`")
        case (int(),) if path[:1] == ("secrets",):
            right = re.sub(r"[^A-Za-z0-9]+", "_", text)
            yield Meant(fix=f"write `{right}`", value=right)
        case ("rule",):
            if number := re.fullmatch(r"(?:GLM)?[-_ ]?0*([0-9]{1,3})", text, re.IGNORECASE):
                right = f"GLM{int(number[1]):03}"
                yield Meant(fix=f"write `{right}`", value=right)
    if text != value:
        yield Meant(fix=f"write `{text}`, without blanks around it", value=text)


def _shape(path: KeyPath, value: Any, schema: Mapping[str, Any], written: str) -> Iterator[Meant]:
    kinds = _kinds(schema)
    if kinds == {"array"} and isinstance(value, str | int | float):
        if {"object"} == _kinds(schema.get("items", {})) or "$ref" in schema.get("items", {}):
            yield Meant(fix="begin each item on a line of its own with `- `, and write its keys there")
        elif written:
            yield Meant(fix=f"write `[{written}]`")
        elif value == "":
            yield Meant(fix="remove it, or write its items between `[` and `]`")
    if kinds == {"object"} and path == ("sglang", "args") and isinstance(value, str | list):
        text = value if isinstance(value, str) else " ".join(map(str, value))
        # No value of an option that is called a key or a token: it may be one.
        given = {name: "..." if is_secret_name(name) else said or "true" for name, said in _OPTION.findall(text)}
        options = [f"`{name}: {said}`" for name, said in given.items()] or ["`tp: 8`"]
        more = " and so on" if len(options) > _OPTIONS else ""
        yield Meant(fix=f"write an option a line, without its dashes: {', '.join(options[:_OPTIONS])}{more}")
    elif kinds == {"object"} and isinstance(value, list):
        pairs = [item for item in value if isinstance(item, str) and re.fullmatch("[A-Za-z_][A-Za-z0-9_]*=.*", item)]
        if pairs:
            name = pairs[0].partition("=")[0]
            yield Meant(fix=f"write a variable a line, with a colon: `{name}: ...` in place of `- {name}=...`")
    elif kinds == {"object"} and isinstance(value, str) and {"name", "keys"} <= set(schema.get("properties", ())):
        yield Meant(fix="write the name of a Modal Secret and its keys: `{name: my-secret, keys: [MY_KEY]}`")
    elif kinds == {"object"} and written and len(needed := schema.get("required", ())) == 1:
        yield from _inside(needed[0], value, schema["properties"][needed[0]], written)


def _inside(key: str, value: Any, schema: Mapping[str, Any], written: str) -> Iterator[Meant]:
    """A mapping with the one key that it needs: with what was written, where that can be its value."""
    if "integer" in _kinds(schema):
        least, most = schema.get("minimum", 0), schema.get("maximum", math.inf)
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        written = written if fits else str(next(iter(schema.get("examples", ())), least))
    if _kinds(schema):
        yield Meant(fix=f"write `{{{key}: {written}}}`")


_GUESSES = (_gpu, _duration, _switch, _number, _choice, _spelled, _text, _shape)


def choices_of(schema: Mapping[str, Any]) -> list[str]:
    """The values that a place takes, where it takes no others (``profile.fields`` says so in its words)."""
    words = str(schema.get("errorMessage", ""))
    return words.removeprefix("one of: ").split(", ") if words.startswith("one of: ") else []


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    """The JSON types that a place takes, null apart."""
    kind = schema.get("type", [])
    found = {kind} if isinstance(kind, str) else set(kind)
    for branch in schema.get("anyOf", ()):
        found |= _kinds(branch)
    return found - {"null"}


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "a boolean"
    return "text" if isinstance(value, str) else "a number"
