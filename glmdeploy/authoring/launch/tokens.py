"""What shell text consists of: words made of literal text and parameters, operators, and here-documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.launch import Span


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


Part: TypeAlias = Text | Parameter | Opaque


@dataclass(frozen=True, kw_only=True, slots=True)
class RawWord:
    """A word before its parameters have values; ``array`` are the words of ``name=(...)``."""

    parts: tuple[Part, ...]
    raw: str
    span: Span
    array: tuple[RawWord, ...] | None = None

    @property
    def reserved(self) -> str:
        """The word's text if it could be a reserved word: unquoted and literal."""
        match self.parts:
            case (Text(text=text, quoted=False),):
                return text
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Operator:
    """What stands between commands."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """The body of a here-document, which belongs to the command before it."""

    text: str
    offsets: tuple[int, ...]


Token: TypeAlias = RawWord | Operator | Document
