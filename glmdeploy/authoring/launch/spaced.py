"""Assignments that a shell does not take for such, read as they were meant: ``NAME = value``, ``$NAME=value``.

An assignment is one word that begins with a name and ``=`` (POSIX.1-2024, Shell Command Language, 2.9.1 and 2.10.2);
with a blank beside the sign the name is a command, or what is assigned is empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.launch import Note
from glmdeploy.authoring.launch.words import Assignment, Parameter, Text
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.authoring.launch.launch import Word
    from glmdeploy.authoring.launch.words import RawWord

_VALUE = re.compile(r"[\"'].*|[0-9.]+|[\w.-]+/[\w.-]+", re.DOTALL)
"""What is hardly a command of its own behind ``NAME=``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spaced:
    """What was meant to be assigned, and the error for how it is written."""

    assignment: Assignment
    note: Note
    exported: bool


def meant(assignments: Sequence[Assignment], words: Sequence[RawWord]) -> Spaced | None:
    """The assignment that a command was meant to be; ``assignments`` are those in front of its ``words``."""
    exported = bool(words) and words[0].literal in ("export", "declare", "local", "readonly", "typeset")
    rest = words[1:] if exported else words
    if assignments:
        last = assignments[-1]
        if len(words) == 1 and not last.value.parts and last.value.array is None and _VALUE.fullmatch(words[0].raw):
            return _spaced(last.name, words[0], last.value.span[0], exported=False)
        return None
    match [word.raw for word in rest]:
        case [name, "=", _] if _is_name(name):
            return _spaced(name, rest[2], rest[0].span[0], exported=exported)
        case [name, second] if _is_name(name) and re.match(r"=[^=~]", second):
            value = _without_sign(rest[1])
            return _spaced(name, value, rest[0].span[0], exported=exported) if value else None
        case [first, _] if exported and first.endswith("=") and _is_name(first[:-1]):
            return _spaced(first[:-1], rest[1], rest[0].span[0], exported=True) if _is_value(rest[1]) else None
        case [_]:
            return _dollar(rest[0], exported=exported)
    return None


def joined(words: Sequence[Word]) -> tuple[list[Word], list[Note]]:
    """The words with options and values made one between which ``=`` stands with a blank, without commas behind words,
    and an error for each.
    """
    kept: list[Word] = []
    notes: list[Note] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not re.match(r"--[A-Za-z][\w-]*=?$", word.text):
            ends = not rest or rest[0].text.startswith("--")
            if kept and ends and re.fullmatch(r"[\w./-]+,", word.text):
                message = "a comma stands behind this word, which SGLang is given with it; it was read without"
                notes.append(Note(severity=Severity.ERROR, message=message, span=word.span, fix="remove the comma"))
                word = replace(word, text=word.text[:-1], offsets=word.offsets[:-1])
            kept.append(word)
            continue
        value = None
        if word.text.endswith("=") and rest and not rest[0].text.startswith("-"):
            value = rest.pop(0)
        elif rest and rest[0].text == "=" and len(rest) > 1:
            value = rest[1]
            del rest[:2]
        elif rest and re.match(r"=[^=]", rest[0].text) and not word.text.endswith("="):
            value = rest.pop(0).after(1)
        if value is not None:
            span = (word.span[0], max(word.span[1], value.span[1]))
            message = f"a blank stands beside the = behind {word.text.rstrip('=')}; it was read as it was meant"
            notes.append(Note(severity=Severity.ERROR, message=message, span=span, fix="remove the blank"))
            rest.insert(0, value)
            word = replace(word, text=word.text.rstrip("="), offsets=word.offsets[: len(word.text.rstrip("="))])
        kept.append(word)
    return kept, notes


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z_]\w*", text, re.ASCII) is not None


def _is_value(word: RawWord) -> bool:
    return _VALUE.fullmatch(word.raw) is not None


def _without_sign(word: RawWord) -> RawWord | None:
    first = word.parts[0] if word.parts else None
    if not isinstance(first, Text) or first.quoted or not first.text.startswith("="):
        return None
    rest = replace(first, text=first.text[1:], offsets=first.offsets[1:])
    parts = (*((rest,) if rest.text else ()), *word.parts[1:])
    return replace(word, parts=parts, raw=word.raw[1:], span=(word.span[0] + 1, word.span[1]))


def _dollar(word: RawWord, *, exported: bool) -> Spaced | None:
    first = word.parts[0] if word.parts else None
    if not isinstance(first, Parameter) or first.quoted or first.operator or first.raw != f"${first.name}":
        return None
    value = _without_sign(replace(word, parts=word.parts[1:], raw=word.raw[len(first.raw) :]))
    if value is None or not _is_name(first.name):
        return None
    message = (
        f"no $ stands before a name that is set: a shell sets nothing here; {first.name} was taken as it was meant"
    )
    note = Note(severity=Severity.ERROR, message=message, span=first.span, fix=f"write {first.name}=...")
    return Spaced(assignment=Assignment(name=first.name, appends=False, value=value), note=note, exported=exported)


def _spaced(name: str, value: RawWord, start: int, *, exported: bool) -> Spaced:
    message = f"a blank stands beside the = behind {name}: a shell sets nothing here; it was taken as it was meant"
    note = Note(
        severity=Severity.ERROR, message=message, span=(start, value.span[1]), fix=f"write {name}=... without blanks"
    )
    return Spaced(assignment=Assignment(name=name, appends=False, value=value), note=note, exported=exported)
