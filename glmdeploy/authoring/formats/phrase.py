"""Texts that become arguments without a shell: split at blanks, with a shell's quotes; and pieces of words."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.words import ShellError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from glmdeploy.authoring.launch.launch import Word

_TOKEN = re.compile(
    r"""
      (?P<blank> [ \t\r\n]+ )
    | (?P<single> '[^']*' )
    | (?P<double> "(?:[^"\\]|\\(?s:.))*" )
    | (?P<joined> \\\r?\n )
    | (?P<escaped> \\(?s:.) )
    | (?P<open> ['"] )
    | (?P<operator> [;&|<>]+ )
    | (?P<text> [^\s'"\\;&|<>]+ | (?s:.) )
    """,
    re.VERBOSE,
)
_ESCAPED = re.compile(r'\\(?=["\\$`\n])')


def split(word: Word) -> tuple[list[Word], Word | None]:
    """The arguments that a text stands for, and the first operator of a shell's in it, where the splitting ends.

    :raises ShellError: at a quote that is never closed.
    """
    found: list[Word] = []
    held: list[int] | None = None
    for match in _TOKEN.finditer(word.text):
        start, end = match.span()
        match match.lastgroup:
            case "blank":
                if held is not None:
                    found.append(cut(word, held))
                held = None
                continue
            case "operator":
                if held is not None:
                    found.append(cut(word, held))
                return found, cut(word, range(start, len(word.text)))
            case "open":
                place = _place(word, start)
                raise ShellError("the quote that opens here is never closed", (place, place + 1))
            case "single":
                kept: Iterable[int] = range(start + 1, end - 1)
            case "double":
                skipped = {each.start() for each in _ESCAPED.finditer(word.text, start + 1, end - 1)}
                kept = (at for at in range(start + 1, end - 1) if at not in skipped)
            case "joined":
                continue
            case "escaped":
                kept = range(start + 1, end)
            case _:
                kept = range(start, end)
        held = [*(held or ()), *kept]
    if held is not None:
        found.append(cut(word, held))
    return found, None


def cut(word: Word, kept: Sequence[int]) -> Word:
    """The word of some of a word's characters, with what is unknown and noted in them."""
    text = "".join(word.text[at] for at in kept)
    offsets = tuple(_place(word, at) for at in kept)
    span = (min(offsets), max(offsets) + 1) if offsets else (word.span[0], word.span[0] + 1)
    unknown = tuple(each for each in word.unknown if each in text)
    return replace(
        word,
        text=text,
        raw=text,
        span=span,
        offsets=offsets,
        unknown=unknown,
        notes=tuple(each for each in word.notes if each.span[0] < span[1] and span[0] < each.span[1]),
    )


def _place(word: Word, at: int) -> int:
    return word.offsets[at] if at < len(word.offsets) else word.span[0]
