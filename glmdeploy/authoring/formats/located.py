"""Pieces of an imported text that know where each of their characters stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.launch import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from glmdeploy.authoring.launch.launch import Note, Span

MAX_LENGTH = 1_000_000
"""Characters that one piece may have after its variables: a few lines can double a value many times."""

_NAMES = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Located:
    """``text``, and in ``offsets`` the place of each of its characters in the imported text."""

    text: str
    offsets: Sequence[int]

    def cut(self, start: int, end: int | None = None) -> Located:
        """The characters from ``start`` up to ``end``."""
        return Located(text=self.text[start:end], offsets=self.offsets[start:end])

    def span(self, start: int = 0, end: int | None = None) -> Span:
        """The place of the characters from ``start`` up to ``end``; of an empty piece that of its neighbour."""
        if not self.offsets:
            return 0, 1
        end = len(self.text) if end is None else end
        first = self.offsets[min(start, len(self.offsets) - 1)]
        return first, max(first, self.offsets[max(min(end, len(self.offsets)) - 1, 0)]) + 1

    def stripped(self) -> Located:
        """Without blanks and line breaks around it."""
        start = len(self.text) - len(self.text.lstrip())
        return self.cut(start, max(len(self.text.rstrip()), start))

    def lines(self) -> Iterator[Located]:
        """The lines without their ends."""
        start = 0
        while (end := self.text.find("\n", start)) >= 0:
            yield self.cut(start, end)
            start = end + 1
        yield self.cut(start)

    def word(self, *, raw: str = "", unknown: Sequence[str] = (), notes: Sequence[Note] = ()) -> Word:
        """The piece as one word; ``unknown`` are the parts whose value the text does not tell."""
        names = tuple(found[0] for part in unknown if (found := _NAMES.search(part)))
        return Word(
            text=self.text,
            span=self.span(),
            raw=raw,
            offsets=tuple(self.offsets),
            unknown=tuple(unknown),
            variables=names,
            notes=tuple(notes),
        )

    def replaced(self, pattern: re.Pattern[str], value: Callable[[re.Match[str]], Located | None]) -> Located:
        """With what ``value`` gives for each match, which stands at the match's place; None leaves it as it is."""
        pieces: list[Located] = []
        end = 0
        for match in pattern.finditer(self.text):
            found = value(match)
            if found is not None:
                pieces += [self.cut(end, match.start()), placed(found.text, self.span(match.start())[0])]
                end = match.end()
        return joined([*pieces, self.cut(end)]) if pieces else self


def whole(text: str) -> Located:
    """The whole of an imported text, its line ends as ``\\n``."""
    if "\r\n" not in text:
        return Located(text=text, offsets=range(len(text)))
    kept = [index for index in range(len(text)) if not text.startswith("\r\n", index)]
    return Located(text=text.replace("\r\n", "\n"), offsets=kept)


def placed(text: str, at: int) -> Located:
    """A text that all stands at one place: the value of a variable where that is used."""
    return Located(text=text, offsets=(at,) * len(text))


def joined(pieces: Iterable[Located]) -> Located:
    """The pieces behind one another, cut off at a million characters."""
    kept: list[Located] = []
    length = 0
    for piece in pieces:
        length += len(piece.text)
        if length > MAX_LENGTH:
            break
        kept.append(piece)
    if len(kept) == 1:
        return kept[0]
    return Located(
        text="".join(piece.text for piece in kept), offsets=tuple(chain.from_iterable(piece.offsets for piece in kept))
    )


def logical_lines(text: Located, *, mark: str = "\\", comment: str | None = None, glue: str = "") -> Iterator[Located]:
    """The lines, those that end with ``mark`` joined with the next by ``glue``.

    ``comment`` is how a line begins that is left out where it stands between two that belong together.
    """
    pieces: list[Located] = []
    for line in text.lines():
        if pieces and comment and line.text.lstrip().startswith(comment):
            continue
        if line.text.endswith(mark):
            cut = line.cut(0, len(line.text) - len(mark))
            pieces += [cut, placed(glue, line.span(len(cut.text))[0])]
            continue
        yield joined([*pieces, line])
        pieces = []
    if pieces:
        yield joined(pieces)


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "s": " "}


def split(text: Located, *, escapes: bool = False) -> list[Located]:
    """The words of a command that no shell reads: blanks part them, quotes and backslashes hold together.

    As POSIX quoting without expansions (Python's ``shlex``); ``escapes``: a backslash also means control characters,
    and so within single quotes (``systemd.service(5)``, "Command lines"). A quote that is never closed ends the text.
    """
    words: list[Located] = []
    characters: list[str] = []
    offsets: list[int] = []
    begun, quote, at = False, "", 0
    while at < len(text.text):
        each, place = text.text[at], text.offsets[at]
        at += 1
        if each == "\\" and at < len(text.text) and (quote != "'" or escapes):
            following = text.text[at]
            known = _ESCAPES.get(following, following) if escapes else following
            kept = known if not quote or escapes or following in '"\\' else each + following
            characters.append(kept)
            offsets += [place] * len(kept)
            begun, at = True, at + 1
        elif each == quote:
            quote = ""
        elif each in "\"'" and not quote:
            quote, begun = each, True
        elif each in " \t\n" and not quote:
            if begun:
                words.append(Located(text="".join(characters), offsets=tuple(offsets)))
            characters, offsets, begun = [], [], False
        else:
            characters.append(each)
            offsets.append(place)
            begun = True
    if begun:
        words.append(Located(text="".join(characters), offsets=tuple(offsets)))
    return words
