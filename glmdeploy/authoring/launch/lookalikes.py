"""Characters that cannot be seen, or look like others, in the words of a command: told by name, read as meant.

A word processor, a chat or a web page makes an em dash of two hyphens, curly quotes of straight ones, and a no-break
space of a blank. No shell takes the one for the other. Names are those of the Unicode character database.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.launch import Note
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.authoring.launch.launch import Word

DASHES = "\u00ad\u02d7\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u2e3a\u2e3b\ufe58\ufe63\uff0d"
"""Characters that look like a hyphen. The soft hyphen is one only where a word begins."""

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
)
_BLANK = r"[^\S \t\n]"
"""A blank that no shell takes for one. (A carriage return behind a line is taken off before.)"""
_ODD = re.compile(rf"{_BLANK}|[{_INVISIBLE}{DASHES}\u2018-\u201f\u2032\u2033\u00ab\u00bb\uff01-\uff5e]")
_LEFT = re.compile(rf"[{DASHES}\u2018-\u201f]")
_DASHED = re.compile(rf"[-{DASHES}]+")
_DASH = re.compile(rf"[{DASHES}]")
_HIDDEN = re.compile(rf"[{_INVISIBLE}]")
_UNSEEN = re.compile(rf"{_BLANK}|[{_INVISIBLE}]")
_BLANKS = re.compile(_BLANK)
_QUOTES = {"\u201c": "\u201d", "\u2018": "\u2019", "\u201d": "\u201d", "\u2019": "\u2019", "\u00ab": "\u00bb"}
_FULL = re.compile(r"[\uff01-\uff5e]")


def as_meant(words: Sequence[Word]) -> tuple[list[Word], list[Note]]:
    """The words with such characters replaced by what was meant, and an error for each of them.

    In quotes, in a text with blanks, or in a language that has its own characters, only what is invisible is told,
    with a warning, and stays.
    """
    if all(word.text.isascii() for word in words):
        return list(words), []
    meant: list[Word] = []
    notes: list[Note] = []
    for word in words:
        if word.text.isascii() or not _ODD.search(word.text):
            meant.append(word)
        elif not word.bare or " " in word.text.strip(" ") or "\n" in word.text or word.text.startswith(("{", "[")):
            meant.append(word)
            notes += _told(word, word, _UNSEEN, Severity.WARNING)
        else:
            for piece in _pieces(word):
                fixed = _meant(piece)
                meant.append(fixed)
                notes += _told(piece, fixed, _ODD, Severity.ERROR)
                if _ODD.sub("", fixed.text).isascii():
                    notes += _told(fixed, fixed, _LEFT, Severity.WARNING)
            notes += _told(word, word, _BLANKS, Severity.ERROR)
    return meant, notes


def named(character: str) -> str:
    """A character as messages name it: ``an em dash (U+2014)``."""
    name = {"\r": "carriage return", "\ufeff": "byte order mark"}.get(character)
    name = name or unicodedata.name(character, "unnamed character").lower()
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name} (U+{ord(character):04X})"


def _pieces(word: Word) -> Iterator[Word]:
    """The word apart at blanks that no shell takes for one."""
    at = 0
    for match in _BLANKS.finditer(word.text + "\xa0"):
        if word.text[at : match.start()]:
            yield _part(word, at, match.start())
        at = match.end()


def _part(word: Word, start: int, end: int) -> Word:
    if (start, end) == (0, len(word.text)):
        return word
    places = word.offsets[start:end]
    span = (places[0], places[-1] + 1) if places and places[-1] >= places[0] else word.span
    return replace(word, text=word.text[start:end], offsets=places, span=span, raw=word.text[start:end])


def _meant(word: Word) -> Word:
    """The word as it was meant."""
    characters = list(zip(word.text, (*word.offsets, *[word.span[1]] * len(word.text)), strict=False))
    dashes = match.end() if (match := _DASHED.match(word.text)) else 0
    name, equals, _ = word.text.partition("=")
    visible = [_HIDDEN.sub("", character) for character, _ in characters]
    if dashes and dashes < len(word.text) and _DASH.search(word.text[:dashes]):
        rest = _HIDDEN.sub("", name[dashes:])
        sign = "-" if len(rest) == 1 or rest[:1].isdigit() else "--"
        visible[:dashes] = [sign, *[""] * (dashes - 1)]
    is_option = "".join(visible).lstrip("\u2018\u201c").startswith("-")
    for index in range(len(name) + len(equals) if is_option else 0):
        visible[index] = _FULL.sub(_ascii, _DASH.sub("-", visible[index]))
    begin = len(name) + 1 if is_option and equals else 0
    _unquote(visible, begin)
    if "/" in "".join(visible[begin:]):
        visible[begin:] = [_DASH.sub("-", character) for character in visible[begin:]]
    if _FULL.sub("", value := "".join(visible[begin:])).isascii() and not value.isascii():
        visible[begin:] = [_FULL.sub(_ascii, character) for character in visible[begin:]]
    text = "".join(visible)
    if text == word.text:
        return word
    places = [place for shown, (_, place) in zip(visible, characters, strict=True) for _ in shown]
    return replace(word, text=text, offsets=tuple(places))


def _unquote(visible: list[str], begin: int) -> None:
    """Take off curly quotes, whole pairs or half of one that blanks took apart."""
    shown = [index for index in range(begin, len(visible)) if visible[index]]
    if not shown:
        return
    first, last = shown[0], shown[-1]
    if visible[first] in _QUOTES:
        visible[first] = ""
    if last != first and visible[last] in _QUOTES.values():
        visible[last] = ""


def _ascii(match: re.Match[str]) -> str:
    return chr(ord(match[0]) - 0xFEE0)


def _told(word: Word, fixed: Word, pattern: re.Pattern[str], severity: Severity) -> Iterator[Note]:
    """A note for each kind of character that was replaced, or, with ``fixed`` the same word, that stands there."""
    said: set[str] = set()
    for match in pattern.finditer(word.text):
        character = match[0]
        kept = fixed is not word and fixed.text.count(character) >= word.text.count(character)
        if character in said or kept or (fixed is word and pattern is _ODD):
            continue
        said.add(character)
        at = word.offsets[match.start()] if match.start() < len(word.offsets) else word.span[0]
        begins = _DASH.fullmatch(character) and not word.text[: match.start()].strip("-" + DASHES)
        if severity is Severity.WARNING:
            hidden = ", where nobody sees it" if _UNSEEN.fullmatch(character) else ", and was left as it is"
            message = f"{named(character)} stands in this value{hidden}"
        elif begins:
            message = f"{named(character)} stands in front of this word, which no shell and no program takes for --"
        elif _BLANKS.fullmatch(character):
            message = f"{named(character)} stands here, which no shell takes for a blank"
        elif character in _QUOTES or character in _QUOTES.values():
            message = f"{named(character)} stands here, which no shell takes for a quote"
        elif _HIDDEN.fullmatch(character):
            message = f"{named(character)} stands in this word, where nobody sees it"
        else:
            message = f"{named(character)} stands in this word in place of an ASCII character"
        what = "remove it" if _HIDDEN.fullmatch(character) and not begins else "type it anew in ASCII"
        yield Note(
            severity=severity,
            message=message if severity is Severity.WARNING else f"{message}; it was read as it was meant",
            span=(at, at + 1),
            fix=what,
        )
