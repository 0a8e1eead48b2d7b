"""JSON (RFC 8259) with the place of every text in it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring.formats.located import Located, placed

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.launch import Span

_BLANK = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_OTHER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")
_PIECE = re.compile(r"\\u[0-9a-fA-F]{4}(?:\\u[dD][c-fC-F][0-9a-fA-F]{2})?|\\.|[^\\]+", re.DOTALL)
MAX_DEPTH = 60


class NotJson(Exception):
    """``span`` is where it stops being JSON."""

    def __init__(self, span: Span) -> None:
        super().__init__("no JSON")
        self.span = span


class Reader:
    """Reads a text: texts become :class:`Located`, the keys of mappings too, ``keys`` has those by their names."""

    def __init__(self, text: Located) -> None:
        self.text = text
        self.at = 0

    def whole(self) -> Any:
        """The one value that the text is.

        :raises NotJson: where it is none.
        """
        value = self._value(0)
        self._blank()
        if self.at < len(self.text.text):
            raise self._failure()
        return value

    def _failure(self) -> NotJson:
        return NotJson(self.text.span(min(self.at, max(len(self.text.text) - 1, 0)), self.at + 1))

    def _blank(self) -> None:
        match = _BLANK.match(self.text.text, self.at)
        self.at = match.end() if match else self.at

    def _value(self, depth: int) -> Any:
        self._blank()
        each = self.text.text[self.at : self.at + 1]
        if depth > MAX_DEPTH:
            raise self._failure()
        if each == "{":
            return self._mapping(depth)
        if each == "[":
            return self._list(depth)
        if each == '"':
            return self._string()
        if match := _OTHER.match(self.text.text, self.at):
            self.at = match.end()
            return json.loads(match[0])
        raise self._failure()

    def _list(self, depth: int) -> list[Any]:
        items: list[Any] = []
        while self._next("[" if not items else ",", "]"):
            items.append(self._value(depth + 1))
        return items

    def _mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        first = True
        while self._next("{" if first else ",", "}"):
            first = False
            self._blank()
            key = self._string().text
            self._blank()
            if not self.text.text.startswith(":", self.at):
                raise self._failure()
            self.at += 1
            found[key] = self._value(depth + 1)
        return found

    def _next(self, before: str, end: str) -> bool:
        """Step over what stands before an item; False at the end."""
        self._blank()
        each = self.text.text[self.at : self.at + 1]
        if before in "[{":
            self.at += 1
            self._blank()
            if self.text.text.startswith(end, self.at):
                self.at += 1
                return False
            return True
        self.at += 1
        if each == end:
            return False
        if each != before:
            self.at -= 1
            raise self._failure()
        return True

    def _string(self) -> Located:
        match = _STRING.match(self.text.text, self.at)
        if match is None:
            raise self._failure()
        start, self.at = match.start() + 1, match.end()
        inner = self.text.cut(start, match.end() - 1)
        if "\\" not in inner.text:
            return inner
        characters: list[str] = []
        offsets: list[int] = []
        for piece in _PIECE.finditer(inner.text):
            if piece[0].startswith("\\"):
                try:
                    value = json.loads(f'"{piece[0]}"')
                except ValueError:
                    raise self._failure() from None
                characters.append(value)
                offsets += [inner.offsets[piece.start()]] * len(value)
            else:
                characters.append(piece[0])
                offsets += inner.offsets[piece.start() : piece.end()]
        return Located(text="".join(characters), offsets=tuple(offsets)) if characters else placed("", inner.span()[0])


def read(text: Located) -> Any:
    """The value of a JSON text.

    :raises NotJson: where it is none.
    """
    return Reader(text).whole()
