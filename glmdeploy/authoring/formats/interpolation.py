"""The variables of Docker Compose: ``${NAME:-default}``, from the shell or ``.env``, which are not in the text.

Follows https://docs.docker.com/reference/compose-file/interpolation/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.launch import Note
from glmdeploy.authoring.launch.words import ShellError
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.launch import Span, Word

MAX_NESTING = 20
"""Defaults inside defaults: ``${A:-${B:-...}}``."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")


def interpolated(word: Word) -> Word:
    """The word with defaults in the place of its variables. A variable without one stays, and is unknown."""
    if "$" not in word.text:
        return word
    filled = _Filled(word=word)
    filled.fill(0, len(word.text), 0)
    return replace(
        word,
        text="".join(filled.text),
        offsets=tuple(filled.offsets),
        unknown=tuple(dict.fromkeys(filled.unknown)),
        variables=tuple(dict.fromkeys(filled.variables)),
        notes=(*word.notes, *filled.notes),
    )


@dataclass(kw_only=True)
class _Filled:
    word: Word
    text: list[str] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def fill(self, at: int, end: int, depth: int) -> None:
        text = self.word.text
        while at < end:
            if text[at] != "$":
                self._keep(at, at + 1)
                at += 1
            elif text.startswith("$$", at):
                self._keep(at + 1, at + 2)
                at += 2
            elif match := _NAME.match(text, at + 1, end):
                self._unset(match[0], at, match.end())
                at = match.end()
            elif text.startswith("{", at + 1) and (match := _NAME.match(text, at + 2, end)):
                close = self._close(at + 2, end)
                self._braced(match, at, close, depth)
                at = close + 1
            else:
                message = "Docker Compose refuses this dollar sign: one that is meant for the container is written `$$`"
                self.notes.append(Note(severity=Severity.ERROR, message=message, span=self._span(at, at + 1)))
                self._keep(at, at + 1)
                at += 1

    def _braced(self, name: re.Match[str], start: int, close: int, depth: int) -> None:
        operator = _OPERATOR.match(self.word.text, name.end(), close)
        kind = operator[0][-1] if operator else ""
        if kind not in ("-", "+"):
            self._unset(name[0], start, close + 1)
            return
        self.variables.append(name[0])
        if depth >= MAX_NESTING:
            raise ShellError(f"more than {MAX_NESTING} parameters inside one another", self._span(start, close + 1))
        if kind == "-" and operator:
            raw = shown(self.word.text[start : close + 1])
            message = f"${name[0]} is not set in this text; the default that {raw} gives was taken"
            self.notes.append(Note(severity=Severity.INFO, message=message, span=self._span(start, close + 1)))
            self.fill(operator.end(), close, depth + 1)

    def _close(self, at: int, end: int) -> int:
        """Where the braces close that are open at a place."""
        depth = 1
        for index in range(at, end):
            if self.word.text[index] == "}":
                depth -= 1
                if not depth:
                    return index
            elif self.word.text.startswith("${", index) and not self.word.text.startswith("$$", index - 1):
                depth += 1
        raise ShellError("the ${ that opens here is never closed", self._span(at - 2, at))

    def _unset(self, name: str, start: int, end: int) -> None:
        self.variables.append(name)
        self.unknown.append(self.word.text[start:end])
        self._keep(start, end)

    def _keep(self, start: int, end: int) -> None:
        self.text.append(self.word.text[start:end])
        self.offsets += self.word.offsets[start:end]

    def _span(self, start: int, end: int) -> Span:
        return self.word.offsets[start], self.word.offsets[max(end - 1, start)] + 1
