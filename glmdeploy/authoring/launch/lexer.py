"""Shell text to tokens: words made of literal text and parameters, and the operators between them.

Follows POSIX.1-2024, Shell Command Language, sections 2.2 (quoting) and 2.3 (token recognition), with what bash adds
and scripts use: ``$'...'``, arrays, ``<<<``, ``&>`` and ``|&``. Nothing is executed: command substitutions and
arithmetic stay as they are written. Redirections and here-documents are taken off.
"""

from __future__ import annotations

import re
from itertools import chain, groupby
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.tokens import Document, Opaque, Operator, Parameter, RawWord, ShellError, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.authoring.launch.launch import Span
    from glmdeploy.authoring.launch.tokens import Part, Token

MAX_NESTING = 20
"""Defaults inside defaults: ``${A:-${B:-...}}``."""

_OPERATORS = (";;&", "&&", "||", ";;", ";&", "|&", ";", "&", "|", "(", ")", "\n")
_REDIRECTION = re.compile(r"(\d*|\{\w+\})(&>>|&>|<<<|<<-|<<|<>|<&|>>|>&|>\||<|>)")
_NAME = re.compile(r"[A-Za-z_]\w*|[0-9]+|[@*#?$!-]", re.ASCII)
_ARRAY = re.compile(r"([A-Za-z_]\w*)(\+?)=\(", re.ASCII)
_BRACED = re.compile(r"([A-Za-z_]\w*|[0-9]+|[@*])(\[[@*]\])?(:?[-=+?])?", re.ASCII)
_BLANK = re.compile(r"[ \t]+|\\\r?\n|\r(?=\n)|#[^\n]*")
_PLAIN = re.compile(r"(?:[^ \t\r\n;&|()<>'\"$`\\]|\r(?!\n))+")
_IN_BRACES = re.compile(r"[^}'\"$`\\]+")
_IN_DOUBLE = re.compile(r'(?:[^"$`\\]|\\(?!\r?\n|[$`"\\]|\Z))+')
_ESCAPED_IN_DOUBLE = re.compile(r'\\([$`"\\])')
_CONTINUATION = re.compile(r"\\\r?\n")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v"}
_CODE = re.compile(r"x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([0-7]{1,3})")


def tokens(text: str, offsets: Sequence[int]) -> Iterator[Token]:
    """The tokens of a text whose characters lie at ``offsets`` of the imported text.

    :raises ShellError: at an unclosed quote, bracket or brace.
    """
    return _Lexer(text, offsets).tokens()


class _Lexer:
    def __init__(self, text: str, offsets: Sequence[int]) -> None:
        self.text = text
        self.offsets = offsets
        self.at = 0
        self.depth = 0
        self.pending: list[tuple[str, bool]] = []
        """Delimiters of here-documents that begin at the next line, with whether tabs are stripped."""

    def tokens(self) -> Iterator[Token]:
        while (token := self._next()) is not None:
            yield token
            if token == Operator(text="\n"):
                yield from self._documents()

    def span(self, start: int, end: int) -> Span:
        if not self.offsets:
            return 0, 0
        first = self.offsets[min(start, len(self.offsets) - 1)]
        return first, max(first, self.offsets[max(min(end, len(self.offsets)) - 1, 0)]) + 1

    def _fail(self, message: str, start: int) -> ShellError:
        return ShellError(message, self.span(start, start + 1))

    def _next(self) -> Token | None:
        while self._blank() or self._redirection():
            pass
        if self.at >= len(self.text):
            return None
        if operator := next((each for each in _OPERATORS if self.text.startswith(each, self.at)), None):
            self.at += len(operator)
            return Operator(text=operator)
        return self._array() or self._word()

    def _blank(self) -> bool:
        """Passes over one stretch of blanks, a continuation or a comment; tells whether there was any."""
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return match is not None

    def _redirection(self) -> bool:
        match = _REDIRECTION.match(self.text, self.at)
        # `<(...)` and `>(...)` are words.
        if match is None or (match[2] in "<>" and self.text.startswith("(", match.end())):
            return False
        self.at = match.end()
        while self._blank():
            pass
        if self.at >= len(self.text) or self.text[self.at] in "\n;|&)":
            raise self._fail("a redirection lacks its file", match.start())
        target = self._word()
        if match[2] in ("<<", "<<-"):
            delimiter = "".join(part.text if isinstance(part, Text) else part.raw for part in target.parts)
            self.pending.append((delimiter, match[2] == "<<-"))
        return True

    def _documents(self) -> Iterator[Document]:
        for delimiter, tabs in self.pending:
            start = self.at
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                line = self.text[self.at : end].removesuffix("\r")
                begin, self.at = self.at, end + 1
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    yield Document(text=self.text[start:begin], offsets=tuple(self.offsets[start:begin]))
                    break
            else:
                yield Document(text=self.text[start:], offsets=tuple(self.offsets[start:]))
        self.pending.clear()

    def _array(self) -> RawWord | None:
        match = _ARRAY.match(self.text, self.at)
        if match is None:
            return None
        start, self.at = self.at, match.end()
        words = []
        while True:
            while self._blank() or self._skip("\n"):
                pass
            if self._skip(")"):
                break
            if self.at >= len(self.text) or self.text[self.at] in ";&|(<>":
                raise self._fail("the ( of this array is never closed", match.end() - 1)
            words.append(self._word())
        name = Text(text=match[0][:-1], offsets=tuple(self.offsets[start : match.end() - 1]), quoted=False)
        return RawWord(
            parts=(name,), raw=self.text[start : self.at], span=self.span(start, self.at), array=tuple(words)
        )

    def _skip(self, text: str) -> bool:
        found = self.text.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found

    def _word(self) -> RawWord:
        start = self.at
        parts = self._parts(_PLAIN)
        if self.at == start:  # `<(...)`
            self._balanced("(", ")", start)
            parts = (Opaque(raw=self.text[start : self.at], span=self.span(start, self.at), quoted=True),)
        return RawWord(parts=parts, raw=self.text[start : self.at], span=self.span(start, self.at))

    def _parts(self, plain: re.Pattern[str]) -> tuple[Part, ...]:
        """Unquoted and quoted pieces up to the first character that is neither special nor ``plain``."""
        parts: list[Part] = []
        while True:
            character = self.text[self.at : self.at + 1]
            if match := plain.match(self.text, self.at):
                parts.append(self._text(match[0], self.at, quoted=False))
                self.at = match.end()
            elif character == "'":
                parts.append(self._single())
            elif character == '"' or self.text.startswith('$"', self.at):
                self.at += character == "$"
                parts += self._double()
            elif self.text.startswith("$'", self.at):
                parts.append(self._ansi())
            elif character and character in "$`":
                parts.append(self._parameter(quoted=False))
            elif character == "\\":
                if continuation := _CONTINUATION.match(self.text, self.at):
                    self.at = continuation.end()
                else:  # a backslash at the very end stands for itself
                    escaped = min(self.at + 1, len(self.text) - 1)
                    parts.append(self._text(self.text[escaped], escaped, quoted=True))
                    self.at += 2
            else:
                return _joined(parts)

    def _text(self, text: str, start: int, *, quoted: bool) -> Text:
        return Text(text=text, offsets=tuple(self.offsets[start : start + len(text)]), quoted=quoted)

    def _single(self) -> Text:
        start = self.at + 1
        end = self.text.find("'", start)
        if end < 0:
            raise self._fail("the single quote that opens here is never closed", self.at)
        self.at = end + 1
        return self._text(self.text[start:end], start, quoted=True)

    def _double(self) -> list[Part]:
        start = self.at
        self.at += 1
        parts: list[Part] = [self._text("", start, quoted=True)]
        while not self._skip('"'):
            if match := _IN_DOUBLE.match(self.text, self.at):
                parts.append(self._text(match[0], self.at, quoted=True))
                self.at = match.end()
            elif continuation := _CONTINUATION.match(self.text, self.at):
                self.at = continuation.end()
            elif match := _ESCAPED_IN_DOUBLE.match(self.text, self.at):
                parts.append(self._text(match[1], match.start(1), quoted=True))
                self.at = match.end()
            elif self.at < len(self.text):
                parts.append(self._parameter(quoted=True))
            else:
                raise self._fail("the double quote that opens here is never closed", start)
        return parts

    def _ansi(self) -> Text:
        start = self.at
        self.at += 2
        characters: list[str] = []
        offsets: list[int] = []
        while not self._skip("'"):
            begin = self.at
            if begin >= len(self.text):
                raise self._fail("the $' that opens here is never closed", start)
            character = self.text[begin]
            self.at += 1
            if character == "\\" and (code := _CODE.match(self.text, self.at)):
                self.at = code.end()
                number = int(code[4], 8) if code[4] else int(code[1] or code[2] or code[3], 16)
                character = chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
            elif character == "\\" and self.at < len(self.text):
                escaped = self.text[self.at]
                self.at += 1
                character = _ESCAPES.get(escaped, escaped if escaped in "\\'\"?" else f"\\{escaped}")
            characters.append(character)
            offsets += [self.offsets[begin]] * len(character)
        return Text(text="".join(characters), offsets=tuple(offsets), quoted=True)

    def _parameter(self, *, quoted: bool) -> Part:
        start = self.at
        if self.text[start] == "`":
            self._backquotes()
        elif self.text.startswith("${", start):
            return self._braced(quoted=quoted)
        elif self.text.startswith("$(", start):
            self.at += 1
            self._balanced("(", ")", start)
        elif match := _NAME.match(self.text, start + 1):
            # Only one digit counts without braces: $12 is $1 and a 2.
            name = match[0][0] if match[0][0].isdigit() else match[0]
            self.at += 1 + len(name)
            raw = self.text[start : self.at]
            return Parameter(name=name, every=name in "@*", raw=raw, span=self.span(start, self.at), quoted=quoted)
        else:
            self.at += 1
            return self._text("$", start, quoted=quoted)
        return Opaque(raw=self.text[start : self.at], span=self.span(start, self.at), quoted=quoted)

    def _backquotes(self) -> None:
        start = self.at
        match = re.compile(r"`(?:\\.|[^\\`])*`", re.DOTALL).match(self.text, start)
        if match is None:
            raise self._fail("the backquote that opens here is never closed", start)
        self.at = match.end()

    def _braced(self, *, quoted: bool) -> Part:
        start = self.at
        match = _BRACED.match(self.text, start + 2)
        argument: tuple[Part, ...] = ()
        if match and (match[3] or self.text.startswith("}", match.end())):
            self.at = match.end()
            self.depth += 1
            if self.depth > MAX_NESTING:
                raise self._fail(f"more than {MAX_NESTING} parameters inside one another", start)
            argument = self._parts(_IN_BRACES)
            self.depth -= 1
            if self._skip("}"):
                return Parameter(
                    name=match[1],
                    every=bool(match[2]) or match[1] in "@*",
                    operator=match[3] or "",
                    argument=argument,
                    raw=self.text[start : self.at],
                    span=self.span(start, self.at),
                    quoted=quoted,
                )
            raise self._fail("the ${ that opens here is never closed", start)
        self.at = start + 1
        self._balanced("{", "}", start)
        return Opaque(raw=self.text[start : self.at], span=self.span(start, self.at), quoted=quoted)

    def _balanced(self, opening: str, closing: str, start: int) -> None:
        """Passes over brackets with all that is between them, quotes respected."""
        depth = 0
        piece = re.compile(rf"\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"|[{re.escape(opening + closing)}]", re.DOTALL)
        while match := piece.search(self.text, self.at):
            self.at = match.end()
            depth += (match[0] == opening) - (match[0] == closing)
            if depth == 0:
                return
        raise self._fail(f"the {opening} that opens here is never closed", start)


def _joined(parts: Sequence[Part]) -> tuple[Part, ...]:
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
