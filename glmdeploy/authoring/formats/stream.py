"""A text's documents where it is YAML, and what every format in YAML does with what it finds."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.launch import Note, Word
from glmdeploy.authoring.launch.script import hide
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown
from glmdeploy.profile.text.foreign import read_stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from glmdeploy.authoring.launch.launch import Launch, Span
    from glmdeploy.authoring.launch.script import Script
    from glmdeploy.profile.text.foreign import Pair, Tree

ENDINGS = (".yaml", ".yml", ".json")

# A text without a line of this kind is no mapping or list of YAML's; most shell texts are passed over by it.
_SHOWS = re.compile(
    r"^[ \t]*(?:-[ \t]+)*(?:[^\s#'\"{}\[\],&*!|>%@`-][^\n]*?|\"[^\"\n]*\"|'[^'\n]*')[ \t]*:(?:\s|$)|[{]", re.MULTILINE
)


def documents(script: Script) -> tuple[Tree, ...]:
    """The documents of a text; none where it is no YAML."""
    if not script.file.endswith(ENDINGS) and not _may_be(script.text):
        return ()
    found = _read(script.text, script.file)
    return () if isinstance(found, ProfileError) else found


def mappings(script: Script) -> list[Mapping[str, Pair]]:
    """The entries of each document, where all of them are mappings; else nothing."""
    found: list[Mapping[str, Pair]] = [each.entries for each in documents(script) if each.entries is not None]
    return found if len(found) == len(documents(script)) else []


def fault_of(script: Script) -> ProfileError | None:
    """Why a text is no YAML, if it is none."""
    error = _read(script.text, script.file)
    if not isinstance(error, ProfileError):
        return None
    return ProfileError(
        [
            replace(each, id="import", location=replace(each.location, text=hide(each.location.text)))
            for each in error.findings
        ]
    )


@lru_cache(maxsize=4)
def _may_be(text: str) -> bool:
    return _SHOWS.search(text) is not None


@lru_cache(maxsize=4)
def _read(text: str, file: str) -> tuple[Tree, ...] | ProfileError:
    """Each format asks anew, also where there is nothing to read."""
    try:
        return read_stream(text, file)
    except ProfileError as error:
        return error


def refused(
    script: Script, message: str, span: Span, *, fix: str | None = None, expected: str | None = None
) -> ProfileError:
    """The error that ends an import at a place of the text."""
    note = Note(severity=Severity.ERROR, message=message, span=span, fix=fix, expected=expected)
    return ProfileError(script.findings([note], secrets_of(script)))


def finished(script: Script, found: Sequence[Launch], notes: Sequence[Note], *, what: str, span: Span) -> list[Launch]:
    """The launches of a file with the notes that hold for all of it.

    :raises ProfileError: where there are none.
    """
    if not found:
        message = f"this is {what}, but nothing in it launches SGLang"
        hints = [each for each in notes if each.severity is Severity.ERROR]
        expected = "a command with `python3 -m sglang.launch_server` or `sglang serve`"
        note = Note(severity=Severity.ERROR, message=message, span=span, expected=expected)
        raise ProfileError(script.findings([note, *hints], secrets_of(script)))
    secrets = tuple(secrets_of(script))
    return [replace(each, notes=(*notes, *each.notes), secrets=secrets) for each in found]


def secrets_of(script: Script) -> Iterator[Word]:
    """The values of the Secrets of Kubernetes in a text, whatever they are called."""
    waiting = list(documents(script))
    while waiting:
        tree = waiting.pop()
        waiting += tree.items or ()
        waiting += [pair.value for pair in (tree.entries or {}).values()]
        kind = (tree.entries or {}).get("kind")
        if kind is None or kind.value.text != "Secret":
            continue
        for name in ("data", "stringData"):
            held = (tree.entries or {}).get(name)
            for pair in (held.value.entries or {}).values() if held else ():
                if pair.value.text:
                    yield Word(text=pair.value.text, span=pair.value.span)


def label(text: str) -> str:
    """A key or a name as messages show it."""
    return f"`{shown(text)}`"
