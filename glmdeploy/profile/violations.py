"""What of a document its schema refuses, as findings: one for each fault, with the offending text and what to do."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from glmdeploy import redaction
from glmdeploy.findings import Finding, RenameKey, SetValue, Severity, at, dotted, listed
from glmdeploy.profile import stranger
from glmdeploy.profile.faults import Kind, faults
from glmdeploy.profile.meant import choices_of, meant
from glmdeploy.profile.schema import load
from glmdeploy.profile.text.characters import shown
from glmdeploy.profile.text.scalars import write
from glmdeploy.sglang import catalog
from glmdeploy.sglang.spelling import nearest, same

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from glmdeploy.findings import Edit, KeyPath
    from glmdeploy.profile.faults import Fault
    from glmdeploy.profile.text.document import Document

ARGS: KeyPath = ("sglang", "args")

_OTHERWISE: Mapping[tuple[KeyPath, str], tuple[str, ...]] = {(("cluster",), "size"): ("nodes",)}
"""Keys that are called otherwise elsewhere, and what they are here: Modal's decorator counts a cluster's ``size``."""

_KINDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
}
_NAME = re.compile(r"[A-Z][A-Z0-9_. -]*")
"""What is meant as the name of a variable, and no secret."""

_SECRET = 8
"""Characters from which on a text may be a secret, and is masked."""

_SHOWN = 60
"""Characters of a value that a message repeats."""


def check(document: Document) -> list[Finding]:
    """The document's violations of the schema, in the order of the text; empty when it is valid."""
    return told(document, faults_of(document))


def faults_of(document: Document) -> list[Fault]:
    """What the schema refuses, in the order of the data."""
    return list(faults(document.data, load()))


def told(document: Document, found: Sequence[Fault]) -> list[Finding]:
    """The findings about the document's faults, in the order of the text: one each, or one where it is no profile."""
    if found and (other := stranger.keys(document.data)):
        return [stranger.finding(other, document.locate(()), document.files[0])]
    needed = load()["required"]
    if found and not document.data.keys() & set(needed):
        return [_nothing(document, needed, found)]
    findings = [_finding(document, fault) for fault in _grouped(found)]
    return sorted(findings, key=lambda each: (each.location.file, each.location.line, each.location.column))


def _grouped(found: Sequence[Fault]) -> Iterator[Fault]:
    """The faults, but those only that are no consequence of another: a key that is misspelled does not lack as well."""
    misspelled = {
        (*fault.path[:-1], right)
        for fault in found
        if fault.kind is Kind.UNKNOWN
        for right in _OTHERWISE.get((fault.path[:-1], str(fault.path[-1])))
        or nearest(str(fault.path[-1]), fault.schema.get("properties", ()), most=1)
    }
    return (fault for fault in found if fault.kind is not Kind.MISSING or fault.path not in misspelled)


def _finding(document: Document, fault: Fault) -> Finding:
    match fault.kind:
        case Kind.UNKNOWN:
            return _unknown(document, fault)
        case Kind.MISSING:
            return _missing(document, fault)
        case Kind.NAME:
            return _misnamed(document, fault)
        case Kind.VALUE:
            return _wrong(document, fault)


def _made(
    document: Document,
    path: KeyPath,
    message: str,
    *,
    expected: str | None = None,
    fix: str | None = None,
    key: bool = False,
    place: KeyPath | None = None,
    edits: tuple[Edit, ...] = (),
    secret: bool = False,
) -> Finding:
    return Finding(
        id="schema",
        severity=Severity.ERROR,
        message=message,
        location=document.locate(path if place is None else place, key=key),
        path=path,
        expected=expected or None,
        fix=fix or None,
        edits=edits,
        secret=secret,
    )


def _nothing(document: Document, needed: Sequence[str], found: Sequence[Fault]) -> Finding:
    """One finding for a document that has nothing of a profile."""
    strangers = [fault for fault in found if fault.kind is Kind.UNKNOWN]
    lacking = listed([f"`{key}`" for key in needed])
    if strangers:
        keys = listed([f"`{shown(str(fault.path[0]))}`" for fault in strangers[:3]])
        more = " and more" if len(strangers) > 3 else ""
        message = f"this is no profile: it has {keys}{more}, and none of the keys {lacking}"
    else:
        message = f"the profile {'has' if document.data else 'is empty: it has'} none of the keys that it needs"
    expected = None if strangers else lacking
    return _made(document, (), message, expected=expected, fix=stranger.BEGIN)


def _unknown(document: Document, fault: Fault) -> Finding:
    *above, key = fault.path
    path, name, known = tuple(above), str(key), list(fault.schema.get("properties", ()))
    near = _OTHERWISE.get((path, name)) or nearest(name, known, most=2)
    edits: tuple[Edit, ...] = ()
    expected = fix = None
    if places := _elsewhere(name, path) if not any(same(name, each) for each in near) else []:
        fix = f"write it under {listed(places, 'or')}"
    elif not near and path != ARGS and _is_option(name):
        fix = "write it under `sglang.args`, with SGLang's other options"
    elif near:
        holder = at(document.data, path)
        sure = len(near) == 1 and near[0] not in holder and re.findall(r"\d+", near[0]) == re.findall(r"\d+", name)
        edits = (RenameKey(path=fault.path, name=near[0]),) if sure else ()
        fix = f"write `{near[0]}`" if sure else f"did you mean {listed([f'`{each}`' for each in near], 'or')}?"
        if len(near) == 1 and near[0] in holder:
            fix = f"remove it: `{near[0]}` stands there already"
    else:
        expected, fix = f"one of: {', '.join(f'`{each}`' for each in sorted(known))}", "remove it"
    message = f"unknown key `{shown(name)}` in {_named(path)}"
    return _made(document, fault.path, message, expected=expected, fix=fix, key=True, edits=edits)


def _missing(document: Document, fault: Fault) -> Finding:
    *above, key = fault.path
    path, schema = tuple(above), fault.schema
    example = next(iter(schema.get("examples", ())), schema.get("minimum"))
    example = None if isinstance(example, list | dict) else example
    needs = [name for name in schema.get("required", ()) if schema.get("type") == "object"]
    null = fault.path in document.removed
    mark = document.removed.get(fault.path)
    nothing = mark is not None and not mark.value.text[mark.value.column - 1 :].split("#")[0].strip()
    verb = "write" if null else "add"
    fix = f"{verb} `{key}:`" if example is None else f"{verb} `{key}: {write(example)}`, or another value"
    if needs:
        fix = f"{verb} `{key}:` with {listed([f'`{name}`' for name in needs])} in it"
    return _made(
        document,
        fault.path,
        f"`{dotted(fault.path)}` {'has no value' if nothing else 'is null'}, but {_named(path)} needs it"
        if null
        else f"{_named(path)} lacks the key `{key}`",
        expected=_said(schema.get("description")),
        fix=fix,
        key=True,
        place=fault.path if null else path,
    )


def _misnamed(document: Document, fault: Fault) -> Finding:
    *above, key = fault.path
    name = str(key)
    words = re.fullmatch(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)", name)
    right = re.sub(r"[-. ]", "_", name.strip())
    # A secret that is spelt otherwise is one that nothing knows by its form any more.
    told = redaction.mask(name) == name and re.fullmatch(fault.schema["pattern"], right)
    fix = f"write `{right}`" if told else None
    return _made(
        document,
        fault.path,
        f"`{shown(name)}` cannot be a key of {_named(tuple(above))}",
        expected=marked(fault.schema.get("errorMessage")),
        fix=f"write `{words[1]}: ...`, with a colon" if words else fix,
        key=True,
    )


def _wrong(document: Document, fault: Fault) -> Finding:
    path, value, schema = fault.path, fault.value, fault.schema
    written = _written(document, path)
    guess = meant(path, value, schema, written, lambda other: not any(faults(other, _alone(schema))))
    # Whoever writes a key or a token where its name belongs must not find it in a log.
    hidden = path[:1] == ("secrets",) and isinstance(value, str) and path[-1] != "name" and not _NAME.fullmatch(value)
    takes = _taken(schema)
    secret = hidden and len(value) >= _SECRET
    several = isinstance(value, dict | list)
    block = several and document.locate(path).line != document.locate(path, key=True).line
    if several:
        size = "an empty list" if value == [] else _KINDS["object" if isinstance(value, dict) else "array"]
        message = f"{_named(path)} {guess.why or f'is {size}'}"
    elif value is None:
        message = f"{_named(path)} is null, which is no value"
    elif hidden or (path == ARGS and isinstance(value, str)):
        message = f"{_named(path)} is text"
    else:
        repeated = shown(written or write(value), _SHOWN)
        why = guess.why if guess.why and guess.why.startswith(":") else f" {guess.why}"
        message = f"`{_last(path)}: {repeated}`{why}" if guess.why else f"`{dotted(path)}` cannot be `{repeated}`"
    edits = () if guess.value is None else (SetValue(path=path, value=guess.value),)
    # Who is told what to write needs not be told what may be written; of choices another may be meant.
    expected = takes if not guess.fix or choices_of(schema) else None
    return _made(document, path, message, expected=expected, fix=guess.fix, key=block, edits=edits, secret=secret)


def _taken(schema: Mapping[str, Any]) -> str | None:
    """What a place takes, in words."""
    if said := schema.get("errorMessage"):
        return marked(said)
    kind = schema.get("type")
    kinds = [kind] if isinstance(kind, str) else list(kind or ())
    words = " or ".join(_KINDS[each] for each in kinds if each in _KINDS)
    keys = [f"`{name}`" for name in schema.get("required", ())] if kinds == ["object"] else []
    low, high = schema.get("minItems"), schema.get("maxItems")
    if kinds == ["array"] and low:
        words = f"a list of {low}" if low == high else "a list of one or more"
    return f"{words} with {listed(keys)}" if keys else words or None


def marked(text: str | None) -> str | None:
    """What is expected, with its values in backticks: those that are listed, and the one that is an example."""
    if text is None:
        return None
    if text.startswith("one of: "):
        return "one of: " + ", ".join(f"`{each}`" for each in text.removeprefix("one of: ").split(", "))
    text = re.sub(r"(?<=, of )([A-Z][A-Z0-9!+-]+(?:, [A-Z][A-Z0-9!+-]+)+)", lambda found: _coded(found[1]), text)
    text = re.sub(r"(?<=such as )([^\s,`]+)", r"`\1`", text)
    return re.sub(r"\(([a-z0-9]+(?:, [a-z0-9]+)*)\)", lambda found: f"({_coded(found[1])})", text)


def _coded(listed: str) -> str:
    return ", ".join(f"`{each}`" for each in listed.split(", "))


def _said(description: str | None) -> str | None:
    """The first sentence of a description, in the style of messages."""
    if not description:
        return None
    first = description.removesuffix(".").split(". ")[0]
    name = re.match(r"[A-Z]+[a-z]*", first)
    proper = name and (name[0].isupper() or name[0] in ("Modal", "Debian", "Python", "Hugging")) and len(name[0]) > 1
    return first if proper else first[:1].lower() + first[1:]


def _written(document: Document, path: KeyPath) -> str:
    """The value as it stands in the text, where it is one word or a quoted text on one line."""
    place = document.locate(path)
    text = place.text[place.column - 1 : place.column - 1 + place.length]
    return text if path in document.marks and not isinstance(at(document.data, path), dict | list) else ""


def _alone(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {**schema, "$defs": load()["$defs"]}


def _last(path: KeyPath) -> str:
    """The key that a reader sees before the value: of a list's item the list's."""
    return dotted(path[-1:]) if isinstance(path[-1], str) else dotted(path)


def _named(path: KeyPath) -> str:
    return f"`{dotted(path)}`" if path else "the profile"


def _elsewhere(name: str, path: KeyPath) -> list[str]:
    """Where in a profile a key of just this name belongs, if not here; the places are quoted."""
    places = [place for known, place in _places() if same(known, name) and place != path]
    return [f"`{dotted(place)}`" if place else "no other key, at the left margin" for place in places][:3]


@cache
def _places() -> tuple[tuple[str, KeyPath], ...]:
    """Every key that the schema knows outside of lists, with the path of its mapping."""
    schema, found = load(), []

    def visit(node: Mapping[str, Any], path: KeyPath) -> None:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        for branch in node.get("anyOf", ()):
            visit(branch, path)
        for name, inner in node.get("properties", {}).items() if path != ARGS else ():
            found.append((name, path))
            visit(inner, (*path, name))

    visit(schema, ())
    return tuple(found)


def _is_option(name: str) -> bool:
    try:
        catalog.load(catalog.versions()[-1]).find(name.strip().replace("_", "-").lower())
    except (catalog.UnknownOption, catalog.AmbiguousOption):
        return False
    return True
