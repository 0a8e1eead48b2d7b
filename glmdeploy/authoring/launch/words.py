"""The words of a shell text: literal text and expansions, each piece with its place, and whether it is quoted.

What is quoted follows POSIX.1-2024, Shell Command Language, 2.2, with ``$'...'`` and ``$"..."`` of bash. Nothing is
executed: command substitutions and arithmetic stay as they are written.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING, TypeAlias

from glmdeploy.authoring.launch.grammar import PIECES, Mark, simple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.authoring.launch.launch import Span

MAX_NESTING = 20
"""Defaults inside defaults: ``${A:-${B:-...}}``."""

ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?)=", re.ASCII)
PARAMETER = r"(?P<parameter> \$ (?: [A-Za-z_]\w* | [0-9@*\#?$!-] ) )"
"""In a verbose pattern. Only one digit counts without braces: $12 is $1 and a 2."""

_IN_BRACES = re.compile(
    rf"""
      (?P<continuation> \\\n )
    | (?P<escaped> \\ (?s:.) )
    | {PARAMETER}
    | (?P<opener> \$' | \$\{{ | \$\( | ['"`] )
    | (?P<text> \$ | \\ | [^'"$`\\]+ )
    """,
    re.VERBOSE | re.ASCII,
)
_IN_DOUBLE = re.compile(
    rf"""
      (?P<continuation> \\\n )
    | (?P<escaped> \\ [$`"\\] )
    | {PARAMETER}
    | (?P<opener> \$\{{ | \$\( | ["`] )
    | (?P<text> \$ | \\ | [^"$`\\]+ )
    """,
    re.VERBOSE | re.ASCII,
)
_IN_DOCUMENT = re.compile(
    rf"""
      (?P<continuation> \\\n )
    | (?P<escaped> \\ [$`\\] )
    | {PARAMETER}
    | (?P<opener> \$\{{ | \$\( | ` )
    | (?P<text> \$ | \\ | [^$`\\]+ )
    """,
    re.VERBOSE | re.ASCII,
)
_OPENERS = {"'": "single quote that", '"': "double quote that", "`": "backquote that", "$'": "$' that", "${": "${ that"}
_BRACED = re.compile(r"\$\{([A-Za-z_]\w*|[0-9]+|[@*])(\[[@*]\])?(:?[-=+?])?", re.ASCII)
_MANY_BRACES = re.compile(rf"(?:\$\{{[^{{]*){{{MAX_NESTING + 1}}}")
_PRINTED = re.compile(
    r"\$\(\s*cat\s*<<(?P<tabs>-?)[ \t]*(?P<quote>[\"'\\]?)(?P<end>\w+)[\"']?[ \t]*\n(?P<body>(?:[^\n]*\n)*?)"
    r"(?P<indent>\t*)(?P=end)[ \t]*\n?\s*\)"
)
"""``$(cat <<END ... END)``: a text over several lines, as scripts write a long command."""
_ANSI = re.compile(
    r"\\(?:x(?P<hex>[0-9a-fA-F]{1,2})|u(?P<u>[0-9a-fA-F]{1,4})|U(?P<U>[0-9a-fA-F]{1,8})|(?P<octal>[0-7]{1,3})"
    r"|(?P<escaped>(?s:.)))|(?s:.)"
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v"}


class ShellError(Exception):
    """Text that no shell reads: ``span`` is where it goes wrong."""

    def __init__(self, message: str, span: Span) -> None:
        super().__init__(message)
        self.message = message
        self.span = span


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """Literal characters, each with its offset."""

    text: str
    offsets: tuple[int, ...]
    quoted: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """``$name``, ``${name}``, ``every`` ``${name[@]}``, or with ``operator`` and ``argument`` ``${name:-argument}``."""

    name: str
    every: bool = False
    operator: str = ""
    argument: tuple[Part, ...] = ()
    raw: str
    span: Span
    quoted: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Opaque:
    """What only a running shell could tell: ``$(...)``, backquotes, arithmetic, ``${name%suffix}``."""

    raw: str
    span: Span
    quoted: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Printed:
    """``$(cat <<END ... END)``: the lines of a here-document, without the ends of the last ones."""

    parts: tuple[Part, ...]
    raw: str
    quoted: bool


Part: TypeAlias = Text | Parameter | Opaque | Printed


@dataclass(frozen=True, kw_only=True, slots=True)
class RawWord:
    """A word before its parameters have values; ``array`` are the words of ``name=(...)``.

    ``broken``: it ends its line with a backslash and a blank, which was meant to go on with the next line.
    """

    parts: tuple[Part, ...]
    raw: str
    span: Span
    array: tuple[RawWord, ...] | None = None
    broken: bool = False

    @property
    def literal(self) -> str:
        """The word's text if it is unquoted and has no expansions, as a command's or a variable's name is written."""
        match self.parts:
            case (Text(text=text, quoted=False),):
                return text
        return ""

    @property
    def assignment(self) -> Assignment | None:
        """What the word assigns; None where it is no assignment."""
        first = self.parts[0] if self.parts else None
        if not isinstance(first, Text) or first.quoted or not (match := ASSIGNMENT.match(first.text)):
            return None
        at = match.end()
        begin = first.offsets[at - 1] + 1 if at <= len(first.offsets) else self.span[0]
        rest = Text(text=first.text[at:], offsets=first.offsets[at:], quoted=False)
        value = RawWord(
            parts=(*((rest,) if rest.text else ()), *self.parts[1:]),
            raw=self.raw[self.raw.index("=") + 1 :],
            span=(min(begin, self.span[1]), self.span[1]),
            array=self.array,
        )
        return Assignment(name=match[1], appends=bool(match[2]), value=value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """``name=value``, ``name+=value``, or ``name=(...)``, whose value has an array."""

    name: str
    appends: bool
    value: RawWord


@dataclass(kw_only=True)
class WordReader:
    """Reads the pieces of words in a text whose characters lie at ``offsets`` of the imported text."""

    text: str
    offsets: Sequence[int]
    depth: int = 0

    def _pieces(self, pattern: re.Pattern[str], mark: Mark, start: int, end: int, *, quoted: bool) -> list[Part]:
        """The parts between two offsets in a part of a word, whose literal text is that of ``pattern``."""
        parts: list[Part] = []
        found = deque(mark.inside(self.text))
        at = start
        while at < end:
            if found and found[0].start <= at:
                inner = found.popleft()
                if inner.start == at and inner.kind in PIECES:
                    parts += self.piece(inner, quoted=quoted)
                    at = inner.end
                continue
            match = matched(pattern, self.text, at, min(found[0].start, end) if found else end)
            added, at = self.literal(match, quoted=quoted)
            parts += added
        return parts

    def piece(self, mark: Mark, *, quoted: bool) -> list[Part]:
        start, end = mark.start, mark.end
        raw, span = self.text[start:end], self.span(start, end)
        match mark.kind:
            case "raw_string":
                return [self.plain(raw[1:-1], start + 1, quoted=True)]
            case "ansi_c_string":
                return [self._ansi(start + 2, end - 1)]
            case "string":
                empty = self.plain("", start, quoted=True)
                return [empty, *self._pieces(_IN_DOUBLE, mark, start + 1, end - 1, quoted=True)]
            case "expansion" if braced := _BRACED.match(raw):
                if braced[3] or braced.end() == len(raw) - 1:
                    return [self._expansion(braced, mark, quoted=quoted)]
            case "command_substitution" if printed := _PRINTED.fullmatch(raw):
                return [Printed(parts=self._printed(printed, start), raw=raw, quoted=quoted)]
        return [Opaque(raw=raw, span=span, quoted=quoted)]

    def _expansion(self, braced: re.Match[str], mark: Mark, *, quoted: bool) -> Parameter:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self.failure(f"more than {MAX_NESTING} parameters inside one another", mark.start)
        argument = self._pieces(_IN_BRACES, mark, mark.start + braced.end(), mark.end - 1, quoted=False)
        self.depth -= 1
        return Parameter(
            name=braced[1],
            every=bool(braced[2]) or braced[1] in "@*",
            operator=braced[3] or "",
            argument=joined(argument),
            raw=self.text[mark.start : mark.end],
            span=self.span(mark.start, mark.end),
            quoted=quoted,
        )

    def _printed(self, match: re.Match[str], shift: int) -> tuple[Part, ...]:
        """What a here-document in a command substitution prints; nothing in it is run."""
        parts: list[Part] = []
        at = match.start("body") + shift
        for line in match["body"].rstrip("\n").splitlines(keepends=True):
            kept = at + (len(line) - len(line.lstrip("\t")) if match["tabs"] else 0)
            at += len(line)
            if match["quote"]:
                parts.append(self.plain(self.text[kept:at], kept, quoted=False))
                continue
            while kept < at:
                added, kept = self.literal(matched(_IN_DOCUMENT, self.text, kept, at), quoted=False)
                parts += added
        return joined(parts)

    def literal(self, match: re.Match[str], *, quoted: bool) -> tuple[list[Part], int]:
        """What a piece of literal text is in a word, and where it ends.

        :raises ShellError: at a quote or bracket that is never closed.
        """
        raw, start, end = match[0], match.start(), match.end()
        match match.lastgroup:
            case "continuation":
                return [], end
            case "escaped":
                return [self.plain(raw[1], start + 1, quoted=True)], end
            case "parameter":
                name = raw[1:]
                span = self.span(start, end)
                return [Parameter(name=name, every=name in "@*", raw=raw, span=span, quoted=quoted)], end
            case "opener":
                if found := simple(self.text, start, len(self.text)):
                    return self.piece(found, quoted=quoted), found.end
                if _MANY_BRACES.match(self.text, start):
                    raise self.failure(f"more than {MAX_NESTING} parameters inside one another", start)
                raise self.failure(f"the {_OPENERS.get(raw, '( that')} opens here is never closed", start)
        if raw == "$" and not quoted and self.text[end : end + 1] == '"':
            raw = ""  # the sign of a translated text
        return [self.plain(raw, start, quoted=quoted or raw in ("", "\\"))], end

    def _ansi(self, start: int, end: int) -> Text:
        characters: list[str] = []
        offsets: list[int] = []
        for match in _ANSI.finditer(self.text, start, end):
            digits = match["hex"] or match["u"] or match["U"]
            if digits or match["octal"]:
                number = int(digits, 16) if digits else int(match["octal"], 8)
                character = chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
            elif escaped := match["escaped"]:
                character = _ESCAPES.get(escaped, escaped if escaped in "\\'\"?" else f"\\{escaped}")
            else:
                character = match[0]
            characters.append(character)
            offsets += [self.offsets[match.start()]] * len(character)
        return Text(text="".join(characters), offsets=tuple(offsets), quoted=True)

    def plain(self, text: str, start: int, *, quoted: bool) -> Text:
        return Text(text=text, offsets=tuple(self.offsets[start : start + len(text)]), quoted=quoted)

    def span(self, start: int, end: int) -> Span:
        if not self.offsets:
            return 0, 0
        first = self.offsets[min(start, len(self.offsets) - 1)]
        return first, max(first, self.offsets[max(min(end, len(self.offsets)) - 1, 0)]) + 1

    def failure(self, message: str, start: int) -> ShellError:
        return ShellError(message, self.span(start, start + 1))


def matched(pattern: re.Pattern[str], text: str, start: int, end: int) -> re.Match[str]:
    match = pattern.match(text, start, end)
    assert match is not None, "the patterns know every character"
    return match


def joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts, with neighbouring texts of a kind made one."""
    joined: list[Part] = []
    for quoted, group in groupby(parts, key=lambda part: part.quoted if isinstance(part, Text) else None):
        if quoted is None:
            joined += group
        else:
            texts = [part for part in group if isinstance(part, Text)]
            offsets = tuple(chain.from_iterable(part.offsets for part in texts))
            joined.append(Text(text="".join(part.text for part in texts), offsets=offsets, quoted=quoted))
    return tuple(joined)
