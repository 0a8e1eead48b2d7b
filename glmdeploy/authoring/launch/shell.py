"""A script's commands in their order, with the variables that each one sees, down to the one that launches SGLang."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.find import find
from glmdeploy.authoring.launch.lexer import tokens
from glmdeploy.authoring.launch.tokens import Document, Operator, RawWord, ShellError, Text
from glmdeploy.authoring.launch.variables import Scope, Variable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from glmdeploy.authoring.launch.launch import Launch, Word

MAX_SHELLS = 8
"""Shells inside shells: ``sh -c "sh -c ..."``."""

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?)=", re.ASCII)
_OPENING = frozenset({"if", "while", "until", "{", "for", "case", "select", "function"})
_HEADS = frozenset({"for", "case", "select", "function"})
"""Reserved words whose line is no command."""
_CLOSING = frozenset({"fi", "done", "esac", "}"})
_BETWEEN = frozenset({"then", "else", "elif", "do", "!", "time"})
_DECLARING = frozenset({"export", "declare", "typeset", "readonly", "local"})


def launches(
    text: str, offsets: Sequence[int] | None = None, scope: Scope | None = None, depth: int = 0
) -> list[Launch]:
    """Every launch of SGLang in a shell text, in the order of the text.

    ``offsets`` are the places of its characters where it is part of another text, ``scope`` its variables at the
    start.

    :raises ShellError: where the text cannot be read as a shell reads it.
    """
    reader = _Reader(scope or Scope(), depth)
    words: list[RawWord] = []
    for token in tokens(text, range(len(text)) if offsets is None else offsets):
        match token:
            case RawWord():
                words.append(token)
            case Operator():
                reader.command(words)
                reader.operator(token.text)
                words = []
            case Document():
                reader.document(token)
    reader.command(words)
    return reader.found


class _Reader:
    def __init__(self, scope: Scope, depth: int) -> None:
        self.scope = scope
        self.depth = depth
        self.open: list[str] = []
        """The reserved words and brackets that are open: what runs inside runs under a condition, or not at all."""
        self.found: list[Launch] = []

    def operator(self, text: str) -> None:
        if text == "(":
            self.open.append(text)
        elif text == ")" and self.open[-1:] == ["("]:
            self.open.pop()

    def document(self, document: Document) -> None:
        """A script in a here-document, such as one that is piped into a shell or written to a file.

        What cannot be read as a script is another kind of document.
        """
        if "sglang" in document.text:
            inner = Scope(variables=dict(self.scope.variables), length=self.scope.length)
            with contextlib.suppress(ShellError):
                self.found += launches(document.text, document.offsets, inner, self._deeper((0, 1)))

    def command(self, words: Sequence[RawWord]) -> None:
        words = self._without_reserved(words)
        count = next((index for index, word in enumerate(words) if _assigned(word) is None), len(words))
        assignments, words = words[:count], words[count:]
        if not words:
            for word in assignments:
                self._assign(word)
            return
        name = words[0].reserved
        if name in _DECLARING:
            self._declare(words[1:], exported=name == "export")
        elif name == "unset":
            for word in words[1:]:
                self.scope.variables.pop(word.reserved, None)
        else:
            env = self.scope.exported() | dict(self._values(assignments))
            expanded = [each for word in words for each in self.scope.words(word)]
            self.found += find(expanded, env, self._inner)

    def _without_reserved(self, words: Sequence[RawWord]) -> Sequence[RawWord]:
        while words and (name := words[0].reserved):
            if name in _CLOSING:
                self.open = self.open[:-1]
            elif name in _OPENING:
                self.open.append(name)
            elif name not in _BETWEEN:
                break
            words = () if name in _HEADS else words[1:]
        return words

    def _assign(self, word: RawWord, *, exported: bool = False) -> None:
        found = _assigned(word)
        if found is None:
            return
        name, append = found
        held = self.scope.variables.get(name)
        before = held.words if held and append else ()
        if word.array is not None:
            value = tuple(each for item in word.array for each in self.scope.words(item))
            value = (*before, *value)
        else:
            value = (self._value(word),)
            if before:
                value = (*before[:-1], _appended(before[-1], value[0]))
        self.scope.variables[name] = Variable(
            words=value,
            array=word.array is not None or (append and held is not None and held.array),
            exported=exported or (held is not None and held.exported),
            conditional=bool(self.open) or (append and held is not None and held.conditional),
        )

    def _value(self, word: RawWord) -> Word:
        expanded = self.scope.word(word)
        return expanded.after(expanded.text.index("=") + 1)

    def _values(self, assignments: Sequence[RawWord]) -> Iterator[tuple[str, Word]]:
        for word in assignments:
            found = _assigned(word)
            if found is not None and word.array is None:
                yield found[0], self._value(word)

    def _declare(self, words: Sequence[RawWord], *, exported: bool) -> None:
        for word in words:
            text = word.reserved
            if text.startswith("-"):
                exported = exported or "x" in text
            elif _assigned(word) is not None:
                self._assign(word, exported=exported)
            elif exported and text in self.scope.variables:
                self.scope.variables[text] = replace(self.scope.variables[text], exported=True)

    def _inner(self, word: Word, env: Mapping[str, Word]) -> list[Launch]:
        """The launches in the text that a shell gets as an argument."""
        variables = {name: Variable(words=(value,), exported=True) for name, value in env.items() if not value.unknown}
        inner = Scope(variables=variables, length=self.scope.length)
        found = launches(word.text, word.offsets, inner, self._deeper(word.span))
        passed = {name: value for name, value in env.items() if value.unknown}
        return [replace(launch, env={**passed, **launch.env}, notes=(*word.notes, *launch.notes)) for launch in found]

    def _deeper(self, span: tuple[int, int]) -> int:
        if self.depth >= MAX_SHELLS:
            raise ShellError(f"more than {MAX_SHELLS} shells inside one another", span)
        return self.depth + 1


def _assigned(word: RawWord) -> tuple[str, bool] | None:
    """The name that a word assigns to, and whether it appends; None where it is no assignment."""
    first = word.parts[0] if word.parts else None
    match = _ASSIGNMENT.match(first.text) if isinstance(first, Text) and not first.quoted else None
    return (match[1], bool(match[2])) if match else None


def _appended(before: Word, added: Word) -> Word:
    return replace(
        added,
        text=before.text + added.text,
        raw="",
        offsets=before.offsets + added.offsets,
        unknown=before.unknown + added.unknown,
        variables=before.variables + added.variables,
        notes=before.notes + added.notes,
    )
