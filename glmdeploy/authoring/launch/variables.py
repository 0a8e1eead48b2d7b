"""Values for parameters: from assignments in the text itself, from defaults, or left as they are written.

Nothing is taken from the environment of the import: the same text gives the same profile on every machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from glmdeploy.authoring.launch.launch import Note, Word
from glmdeploy.authoring.launch.words import Opaque, Parameter, ShellError, Text
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from glmdeploy.authoring.launch.launch import Span
    from glmdeploy.authoring.launch.words import Assignment, Part, RawWord

_T = TypeVar("_T")

_EMPTY_QUOTES = Text(text="", offsets=(), quoted=True)
"""What a pair of double quotes leaves where only a parameter stands between them."""

MAX_LENGTH = 1_000_000
"""Characters that all expansions of a text may have together: a few lines can double a value many times."""

_DECLARING = frozenset({"export", "declare", "typeset", "readonly", "local"})
_BLANK = re.compile(r"[ \t\n]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """A variable's value: one word, or several for an array. ``conditional``: set in a branch or a loop."""

    words: tuple[Word, ...]
    array: bool = False
    exported: bool = False
    conditional: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    """Part of a word: ``split`` where blanks in it separate words, ``breaks`` where a word begins with it."""

    word: Word
    split: bool
    quoted: bool
    breaks: bool = False


@dataclass(kw_only=True)
class Scope:
    """The variables at one point of a script. ``length`` counts expanded characters, over all scopes."""

    variables: dict[str, Variable] = field(default_factory=dict)
    length: list[int] = field(default_factory=lambda: [0])

    def run(self, name: str, arguments: Sequence[RawWord], *, conditional: bool) -> bool:
        """Do what a command does to variables; tells whether it is one that does nothing else."""
        if name == "unset":
            for word in arguments:
                self.variables.pop(word.literal, None)
            return True
        exported = name == "export"
        for word in arguments if name in _DECLARING else ():
            text = word.literal
            if text.startswith("-"):
                exported = exported or "x" in text
            elif assignment := word.assignment:
                self.assign(assignment, exported=exported, conditional=conditional)
            elif exported and text in self.variables:
                self.variables[text] = replace(self.variables[text], exported=True)
        return name in _DECLARING

    def assign(self, assignment: Assignment, *, conditional: bool, exported: bool = False) -> None:
        """Give a variable its value; ``conditional`` where a branch or a loop does it."""
        held = self.variables.get(assignment.name)
        before = held.words if held and assignment.appends else ()
        array = assignment.value.array
        if array is not None:
            value = (*before, *(each for item in array for each in self.words(item)))
        else:
            value = (self.word(assignment.value),)
            if before:
                value = (*before[:-1], _appended(before[-1], value[0]))
        appended = assignment.appends and held is not None
        self.variables[assignment.name] = Variable(
            words=value,
            array=array is not None or (appended and held is not None and held.array),
            exported=exported or (held is not None and held.exported),
            conditional=conditional or (appended and held is not None and held.conditional),
        )

    def words(self, raw: RawWord) -> list[Word]:
        """The words that a word becomes: one, none (``$EMPTY``) or several (``$ARGS``, ``"${ARGS[@]}"``)."""
        pieces = [piece for part in raw.parts for piece in self._pieces(part)]
        if not any(piece.breaks or (piece.split and _BLANK.search(piece.word.text)) for piece in pieces):
            keep = any(piece.quoted or piece.word.text for piece in pieces) and not self._is_empty_array(raw)
            return [self._joined([piece.word for piece in pieces], raw.span, raw.raw)] if keep else []
        return [self._joined(field, raw.span, "") for field in _fields(pieces)]

    def word(self, raw: RawWord) -> Word:
        """The word as one, whatever blanks it has: the value of an assignment."""
        pieces = [piece for part in raw.parts for piece in self._pieces(part)]
        return self._joined(list(_spaced(pieces)), raw.span, raw.raw)

    def exported(self) -> dict[str, Word]:
        """The environment that a command gets, each value at its own place."""
        return {
            name: self._used(variable.words[0], name, variable.words[0].span)
            for name, variable in self.variables.items()
            if variable.exported and not variable.array
        }

    def _is_empty_array(self, raw: RawWord) -> bool:
        """Whether a word is ``"${name[@]}"`` of an array without items, which is no word at all."""
        match [part for part in raw.parts if part != _EMPTY_QUOTES]:
            case [Parameter(every=True, operator="", name=name)] if name in self.variables:
                return not self.variables[name].words
        return False

    def _joined(self, words: Sequence[Word], span: Span, raw: str) -> Word:
        text = "".join(word.text for word in words)
        self.length[0] += len(text)
        if self.length[0] > MAX_LENGTH:
            raise ShellError("the variables of this text expand to more than a million characters", span)
        return Word(
            text=text,
            span=span,
            raw=raw,
            offsets=tuple(offset for word in words for offset in word.offsets),
            unknown=_unique(name for word in words for name in word.unknown),
            variables=_unique(name for word in words for name in word.variables),
            notes=_unique(note for word in words for note in word.notes),
        )

    def _pieces(self, part: Part) -> Iterator[_Piece]:
        match part:
            case Text():
                yield _Piece(
                    word=Word(text=part.text, span=(0, 0), offsets=part.offsets), split=False, quoted=part.quoted
                )
            case Opaque():
                yield _Piece(word=_unknown(part.raw, part.span), split=False, quoted=part.quoted)
            case Parameter():
                yield from self._value(part)

    def _value(self, part: Parameter) -> Iterator[_Piece]:
        """What stands for a parameter, to be joined."""
        variable = self.variables.get(part.name)
        kind = part.operator.removeprefix(":")
        is_set = variable is not None and (part.operator[:1] != ":" or any(word.text for word in variable.words))
        if kind == "+" or (kind in ("-", "=") and not is_set):
            if is_set or kind != "+":
                yield from self._argument(part)
        elif variable is not None:
            words = variable.words if part.every else variable.words[:1]  # $ARRAY is its first item
            for index, word in enumerate(words):
                used = self._used(word, part.name, part.span)
                split = not part.quoted and not word.unknown
                yield _Piece(word=used, split=split, quoted=part.quoted, breaks=index > 0)
        else:
            yield _Piece(word=_unknown(part.raw, part.span, part.name), split=False, quoted=part.quoted)

    def _argument(self, part: Parameter) -> Iterator[_Piece]:
        notes = () if part.operator.endswith("+") else (_default(part),)
        for inner in part.argument:
            for piece in self._pieces(inner):
                self.length[0] += len(piece.word.text)
                word = replace(
                    piece.word,
                    variables=_unique((part.name, *piece.word.variables)),
                    notes=(*piece.word.notes, *notes),
                )
                # Text that is written in the braces is split like a value, unless it is quoted there.
                split = not part.quoted and not piece.quoted and not word.unknown
                yield _Piece(word=word, split=split, quoted=part.quoted or piece.quoted)

    def _used(self, word: Word, name: str, span: Span) -> Word:
        """The value as it stands where the variable is used."""
        self.length[0] += len(word.text)
        notes = word.notes
        if self.variables[name].conditional:
            message = f"${name} is set under a condition; the last value in the text was taken"
            notes = (*notes, Note(severity=Severity.WARNING, message=message, span=span))
        return Word(
            text=word.text,
            span=span,
            offsets=(span[0],) * len(word.text),
            unknown=word.unknown,
            variables=_unique((name, *word.variables)),
            notes=notes,
        )


def _fields(pieces: Iterable[_Piece]) -> Iterator[list[Word]]:
    """Words apart, where an unquoted value has blanks (POSIX.1-2024, 2.6.5)."""
    field: list[Word] = []
    begun = False
    for piece in pieces:
        if piece.breaks and begun:
            yield field
            field, begun = [], False
        if not piece.split:
            field.append(piece.word)
            begun = begun or piece.quoted or bool(piece.word.text)
            continue
        for index, text in enumerate(_BLANK.split(piece.word.text)):
            if index and begun:
                yield field
                field, begun = [], False
            if text:
                place = piece.word.offsets[: len(text)]
                field.append(replace(piece.word, text=text, offsets=place))
                begun = True
    if begun:
        yield field


def _spaced(pieces: Iterable[_Piece]) -> Iterator[Word]:
    for piece in pieces:
        if piece.breaks:
            yield Word(text=" ", span=piece.word.span, offsets=piece.word.span[:1])
        yield piece.word


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


def _unknown(raw: str, span: Span, *names: str) -> Word:
    return Word(text=raw, span=span, offsets=(span[0],) * len(raw), unknown=(raw,), variables=names)


def _default(part: Parameter) -> Note:
    message = f"${part.name} is not set in this text; the default that {part.raw} gives was taken"
    return Note(severity=Severity.INFO, message=message, span=part.span)


def _unique(items: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(items))
