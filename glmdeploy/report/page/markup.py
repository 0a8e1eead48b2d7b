"""HTML made of data: every text is masked and escaped where it enters, so that no section can forget to.

What is written is XML too (the polyglot form of HTML): every element is closed, every attribute quoted, no entity has a
name. A test parses the page as XML, which a browser would not complain about.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from glmdeploy.report.view import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VOID = ("meta", "link", "br", "hr")
"""Elements of HTML that have no end tag."""

_FROM = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
_ESCAPES = str.maketrans(_FROM)
_ADDRESS = re.compile(r"(https://[^\s,]+)")


@dataclass(frozen=True, slots=True)
class Markup:
    """A piece of a page, which is not escaped again."""

    html: str


Child: TypeAlias = "Markup | str | int | Iterable[Child] | None"
Value: TypeAlias = str | float | bool | None


def tag(element: str, *children: Child, **attributes: Value) -> Markup:
    """An element. Text is masked and escaped; None stands for nothing.

    An attribute that is a word of Python's ends with an underscore (``class_``), other underscores stand for dashes.
    One that is None or False is left out, one that is True has its own name as its value.
    """
    words = "".join(
        _attribute(name, value) for name, value in attributes.items() if value is not None and value is not False
    )
    inner = "".join(_pieces(children))
    return Markup(f"<{element}{words}/>" if element in VOID else f"<{element}{words}>{inner}</{element}>")


def joined(*children: Child) -> Markup:
    """The children one after the other, without an element around them."""
    return Markup("".join(_pieces(children)))


def lines(some: Iterable[Child]) -> Markup:
    """The children with a line's end between each two, for preformatted text."""
    return Markup("\n".join(joined(each).html for each in some))


def prose(text: str) -> Markup:
    """A message's text, with what stands in backticks as code."""
    pieces = clean(text).split("`")
    if len(pieces) % 2 == 0:  # a backtick alone is no code
        return joined(text)
    return joined(tag("code", piece) if place % 2 else piece for place, piece in enumerate(pieces) if piece)


def link(address: str, *children: Child) -> Markup:
    """An anchor for an address of the web, which nothing loads by itself; the text alone for anything else."""
    inner = children or (address.removeprefix("https://"),)
    if not address.startswith("https://"):
        return joined(*inner)
    return tag("a", *inner, href=address, rel="noreferrer")


def linked(text: str) -> Markup:
    """A text whose addresses of the web are anchors."""
    return joined(link(piece) if place % 2 else piece for place, piece in enumerate(_ADDRESS.split(text)))


def sentence(text: str) -> Markup:
    """A message, which begins small and has no end, as a sentence."""
    return prose(f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!')) else '.'}")


def shortened(text: str, most: int) -> str:
    """The text in at most so many characters, with its middle left out: names tell most at their ends.

    It is masked first: what is left of a secret has not its form any more.
    """
    text = clean(text)
    if len(text) <= most:
        return text
    tail = most // 2
    return f"{text[: most - tail - 1]}…{text[len(text) - tail :]}"


def number(value: float) -> str:
    """A coordinate."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def _attribute(name: str, value: Value) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is True:
        return f' {name}="{name}"'
    text = number(value) if isinstance(value, float) else str(value)
    return f' {name}="{_escaped(text)}"'


def _pieces(children: Iterable[Child]) -> Iterator[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            yield child.html
        elif isinstance(child, str | int):
            yield _escaped(str(child))
        else:
            yield from _pieces(child)


def _escaped(text: str) -> str:
    return clean(text).translate(_ESCAPES)
