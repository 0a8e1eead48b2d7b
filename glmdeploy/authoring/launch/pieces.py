"""The pieces that expansions leave, and the words that a shell makes of them (POSIX.1-2024, 2.6.5)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.launch import Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BLANK = re.compile(r"[ \t\n]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Part of a word: ``split`` where blanks in it separate words, ``breaks`` where a word begins with it."""

    word: Word
    split: bool
    quoted: bool
    breaks: bool = False


def fields(pieces: Iterable[Piece]) -> Iterator[list[Word]]:
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
        for index, text in enumerate(BLANK.split(piece.word.text)):
            if index and begun:
                yield field
                field, begun = [], False
            if text:
                place = piece.word.offsets[: len(text)]
                field.append(replace(piece.word, text=text, offsets=place))
                begun = True
    if begun:
        yield field


def spaced(pieces: Iterable[Piece]) -> Iterator[Word]:
    for piece in pieces:
        if piece.breaks:
            yield Word(text=" ", span=piece.word.span, offsets=piece.word.span[:1])
        yield piece.word
