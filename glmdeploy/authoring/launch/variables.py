"""Values for parameters: from assignments in the text itself, from defaults, or left as they are written.

Nothing is taken from the environment of the import: the same text gives the same profile on every machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from glmdeploy.authoring.launch import arithmetic
from glmdeploy.authoring.launch.launch import Note, Word
from glmdeploy.authoring.launch.outcomes import Held, Setting, Variable, described, held, possible, settled
from glmdeploy.authoring.launch.pieces import BLANK, Piece, fields, spaced
from glmdeploy.authoring.launch.words import BASENAME, Opaque, Parameter, Printed, ShellError, Text
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from glmdeploy.authoring.launch.branches import Step
    from glmdeploy.authoring.launch.launch import Span
    from glmdeploy.authoring.launch.words import Assignment, Part, RawWord

__all__ = ["Scope", "Variable"]

_T = TypeVar("_T")

_EMPTY_QUOTES = Text(text="", offsets=(), quoted=True)
"""What a pair of double quotes leaves where only a parameter stands between them."""

MAX_LENGTH = 1_000_000
"""Characters that all expansions of a text may have together: a few lines can double a value many times."""

_DECLARING = frozenset({"export", "declare", "typeset", "readonly", "local"})
_READING = frozenset({"read", "mapfile", "readarray"})


@dataclass(kw_only=True)
class Scope:
    """The variables at one point of a script. ``length`` counts expanded characters, over all scopes.

    ``path`` are the branches of the command that is being read. ``told`` are notes on values that left no word.
    """

    variables: dict[str, Variable] = field(default_factory=dict)
    length: list[int] = field(default_factory=lambda: [0])
    path: tuple[Step, ...] = ()
    told: list[Note] = field(default_factory=list)
    kept_outside: dict[str, str] = field(default_factory=dict)
    """Variables of the shell around this one that it does not get, with their values as messages may show them."""
    ambient: Mapping[str, Word] = field(default_factory=dict)
    """What every shell has from what starts the nodes, such as SLURM's own variables; the server does not read it."""
    all_exported: bool = False

    def copy(self, *, exported: bool = False) -> Scope:
        """The variables of a shell inside this one; only the ``exported`` ones where it is a program of its own."""
        kept = {name: each for name, each in self.variables.items() if each.exported or not exported}
        if exported:
            kept = {**self.surrounding(), **kept}
        return Scope(
            variables=kept,
            length=self.length,
            path=self.path,
            kept_outside=self.unexported(),
            ambient=self.ambient,
        )

    def surrounding(self) -> dict[str, Variable]:
        """The variables that are there in each shell before it sets any."""
        return {name: Variable(words=(word,)) for name, word in self.ambient.items()}

    def unexported(self) -> dict[str, str]:
        """The variables that a program does not get, with their values as messages may show them."""
        own = {
            name: possible(name, held(each, self.path))
            for name, each in self.variables.items()
            if not each.exported and name.isidentifier() and name not in self.ambient
        }
        return {**self.kept_outside, **own}

    def run(self, name: str, arguments: Sequence[RawWord]) -> bool:
        """Do what a command does to variables; tells whether it is one that does nothing else."""
        if name == "unset":
            for word in arguments:
                if word.literal in self.variables:
                    self._set(word.literal, Setting(words=None, path=self.path))
            return True
        if name in _READING:
            for word in arguments:
                if word.literal.isidentifier():
                    self._set(word.literal, Setting(words=(_unknown(f"${word.literal}", word.span),), path=self.path))
            return True
        if name == "shift" and "@" in self.variables:
            count = int(arguments[0].literal) if arguments and arguments[0].literal.isdigit() else 1
            left = self.variables["@"].words[count:]
            for index in range(1, len(self.variables["@"].words) + 1):
                self.variables.pop(str(index), None)
            self.number(left)
            return True
        if name == "set":
            options = [word.literal for word in arguments]
            if "--" in options:
                self.number([each for word in arguments[options.index("--") + 1 :] for each in self.words(word)])
            if "allexport" in options or "-a" in options:
                self.all_exported = True
            return True
        exported = name == "export"
        for word in arguments if name in _DECLARING else ():
            text = word.literal
            if text.startswith("-"):
                exported = exported or "x" in text
            elif assignment := word.assignment:
                self.assign(assignment, exported=exported)
            elif exported and text in self.variables:
                self.variables[text] = replace(self.variables[text], exported=True)
        return name in _DECLARING

    def assign(self, assignment: Assignment, *, exported: bool = False, notes: tuple[Note, ...] = ()) -> None:
        """Give a variable its value in the branches of ``path``; ``notes`` are told where it is used."""
        name = assignment.name
        array = assignment.value.array
        already = len(self.told)
        if array is not None:
            value = tuple(each for item in array for each in self.words(item))
        else:
            value = (self.word(assignment.value),)
        notes = (*notes, *self.told[already:])
        del self.told[already:]
        existing = self.variables.get(name)
        if not assignment.appends or existing is None:
            setting = Setting(words=value, path=self.path, notes=notes)
            self._set(name, setting, array=array is not None, exported=exported)
            return
        now = held(existing, self.path)
        before = now.taken.words if now.taken and now.taken.words is not None else ()
        notes = (*(now.taken.notes if now.taken else ()), *notes)
        if not now.certain and len(settled(existing.settings, Setting(words=(), path=self.path))) < len(
            existing.settings
        ):
            notes = (*notes, self._doubt(name, now, assignment.value.span))
        added = value
        value = (*before[:-1], _appended(before[-1], value[0])) if array is None and before else (*before, *value)
        setting = Setting(words=value, path=self.path, added=added, notes=notes)
        self._set(name, setting, array=array is not None or existing.array, exported=exported)

    def give(self, name: str, words: Iterable[Word], *, array: bool = False) -> None:
        """Set a variable to words that are no assignment's: of a loop, or of a function's call."""
        self._set(name, Setting(words=tuple(words), path=self.path), array=array)

    def number(self, words: Sequence[Word]) -> None:
        """Make words the arguments of what is read: ``$1``, ``$@`` and so on."""
        for index, word in enumerate(words, start=1):
            self.give(str(index), [word])
        self.give("@", words, array=True)
        self.give("*", words, array=True)

    def _set(self, name: str, setting: Setting, *, array: bool = False, exported: bool = False) -> None:
        existing = self.variables.get(name)
        earlier = settled(existing.settings, setting) if existing else ()
        if setting.words is None and not earlier:
            self.variables.pop(name, None)
            return
        self.variables[name] = Variable(
            words=setting.words or (),
            array=array,
            exported=exported or self.all_exported or (existing is not None and existing.exported),
            others=earlier,
            last=setting,
        )

    def _doubt(self, name: str, value: Held, span: Span) -> Note:
        return Note(severity=Severity.WARNING, message=described(name, value, self.path), span=span)

    def words(self, raw: RawWord) -> list[Word]:
        """The words that a word becomes: one, none (``$EMPTY``) or several (``$ARGS``, ``"${ARGS[@]}"``)."""
        pieces = [piece for part in raw.parts for piece in self._pieces(part)]
        if not any(piece.breaks or (piece.split and BLANK.search(piece.word.text)) for piece in pieces):
            keep = any(piece.quoted or piece.word.text for piece in pieces) and not self._is_empty_array(raw)
            joined = self._joined([piece.word for piece in pieces], raw.span, raw.raw)
            if not keep:
                self.told += joined.notes
                return []
            return [replace(joined, broken=raw.broken)] if raw.broken else [joined]
        words = [self._joined(each, raw.span, "") for each in fields(pieces)]
        kept = {note for word in words for note in word.notes}
        self.told += [note for piece in pieces for note in piece.word.notes if note not in kept]
        return words

    def word(self, raw: RawWord) -> Word:
        """The word as one, whatever blanks it has: the value of an assignment."""
        pieces = [piece for part in raw.parts for piece in self._pieces(part)]
        return self._joined(list(spaced(pieces)), raw.span, raw.raw)

    def exported(self) -> dict[str, Word]:
        """The environment that a command gets, each value at its own place."""
        values = {}
        for name, variable in self.variables.items():
            now = held(variable, self.path)
            words = now.taken.words if now.taken else None
            if not variable.exported or variable.array:
                continue
            if words:
                values[name] = self._used(words[0], name, self._notes(name, now, words[0].span), words[0].span)
            elif not now.certain:
                span = next((each.words[0].span for each in now.others if each and each.words), (0, 1))
                self.told.append(self._doubt(name, now, span))
        return values

    def _is_empty_array(self, raw: RawWord) -> bool:
        """Whether a word is ``"${name[@]}"`` of an array without items, which is no word at all."""
        match [part for part in raw.parts if part != _EMPTY_QUOTES]:
            case [Parameter(every=True, operator="", name=name)] if name in self.variables:
                now = held(self.variables[name], self.path)
                return now.taken is not None and not now.taken.words
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
            broken=bool(words) and words[-1].broken,
            bare=any(word.bare for word in words),
        )

    def _pieces(self, part: Part) -> Iterator[Piece]:
        match part:
            case Text():
                yield Piece(
                    word=Word(text=part.text, span=(0, 0), offsets=part.offsets, bare=_is_bare(part)),
                    split=False,
                    quoted=part.quoted,
                )
            case Opaque():
                yield Piece(word=self._computed(part), split=False, quoted=part.quoted)
            case Parameter():
                yield from self._value(part)
            case Printed():
                for inner in part.parts:
                    for piece in self._pieces(inner):
                        yield replace(piece, split=not part.quoted and not piece.word.unknown, quoted=part.quoted)

    def _computed(self, part: Opaque) -> Word:
        """The number that ``$((8 * NNODES))`` is, where the text tells it."""
        found = arithmetic.value(part.raw, self._number, self._length)
        if found is None:
            return _unknown(part.raw, part.span)
        number, names = str(found[0]), _unique(found[1])
        notes = (note for name in names for note in self._notes(name, self._held(name), part.span))
        return replace(_unknown(number, part.span, *names), unknown=(), notes=_unique(notes))

    def _held(self, name: str) -> Held:
        return held(self.variables.get(name), self.path)

    def _number(self, name: str) -> int | None:
        taken = self._held(name).taken
        words = taken.words if taken else None
        known = words and not words[0].unknown and re.fullmatch(r"[0-9]{1,12}", words[0].text.strip())
        return int(words[0].text) if words and known else None

    def _length(self, name: str) -> int | None:
        variable, taken = self.variables.get(name), self._held(name).taken
        words = taken.words if taken else None
        return len(words) if variable and variable.array and words and not any(w.unknown for w in words) else None

    def _value(self, part: Parameter) -> Iterator[Piece]:
        """What stands for a parameter, to be joined."""
        now = held(self.variables.get(part.name), self.path)
        words = now.taken.words if now.taken else None
        kind = part.operator.removeprefix(":")
        is_set = words is not None and (part.operator[:1] != ":" or any(word.text for word in words))
        if kind in ("-", "=") and words and words[0].unknown and None in now.others:
            # Set to what the text does not tell, under a condition: what else it is, the text tells.
            words, is_set, now = None, False, Held(taken=None)
        if words is None:
            self._tell_of_outside(part)
        if words is None or not words:
            if not now.certain:
                self.told.append(self._doubt(part.name, now, part.span))
            self.told += now.taken.notes if now.taken else ()
        if kind == "+" or (kind in ("-", "=") and not is_set):
            if is_set or kind != "+":
                pieces = list(self._argument(part))
                if kind == "=":
                    value = self._joined(list(spaced(pieces)), part.span, part.raw)
                    self._set(part.name, Setting(words=(value,), path=self.path))
                yield from pieces
            elif now.certain:
                message = f"${part.name} is not set in this text; what {part.raw} gives where it is set was left out"
                self.told.append(Note(severity=Severity.WARNING, message=message, span=part.span))
            if not now.certain and words:
                self.told.append(self._doubt(part.name, now, part.span))
        elif words is not None:
            shown = words if part.every else words[:1]  # $ARRAY is its first item
            if len(shown) < len(words):
                self.told.append(_first_only(part, len(words)))
            notes = self._notes(part.name, now, part.span)
            for index, word in enumerate(shown):
                used = self._used(word, part.name, notes, part.span)
                if part.operator == BASENAME and not used.unknown:
                    used = used.after(used.text.rfind("/") + 1)
                split = not part.quoted and not word.unknown
                if split and not used.text.isascii():
                    used = replace(used, bare=True)
                yield Piece(word=used, split=split, quoted=part.quoted, breaks=index > 0)
        else:
            yield Piece(word=_unknown(part.raw, part.span, part.name), split=False, quoted=part.quoted)

    def _tell_of_outside(self, part: Parameter) -> None:
        if part.name in self.kept_outside:
            message = f"${part.name} is set to {self.kept_outside[part.name]} in this text, but not exported"
            message += ": the shell that reads this does not have it"
            self.told.append(Note(severity=Severity.WARNING, message=message, span=part.span))

    def _argument(self, part: Parameter) -> Iterator[Piece]:
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
                yield Piece(word=word, split=split, quoted=part.quoted or piece.quoted)

    def _notes(self, name: str, now: Held, span: Span) -> tuple[Note, ...]:
        own = now.taken.notes if now.taken else ()
        return own if now.certain else (*own, self._doubt(name, now, span))

    def _used(self, word: Word, name: str, notes: tuple[Note, ...], span: Span) -> Word:
        """The value as it stands where the variable is used."""
        self.length[0] += len(word.text)
        return Word(
            text=word.text,
            span=span,
            offsets=(span[0],) * len(word.text),
            unknown=word.unknown,
            variables=_unique((name, *word.variables)),
            notes=(*word.notes, *notes),
            broken=word.broken,
            bare=word.bare,
        )


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


def _is_bare(part: Text) -> bool:
    return not part.quoted and not part.text.isascii()


def _first_only(part: Parameter, count: int) -> Note:
    message = f"{part.raw} is only the first of the {count} items of this array; all are ${{{part.name}[@]}}"
    return Note(severity=Severity.WARNING, message=message, span=part.span)


def _unique(items: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(items))
