"""What other programs say, in the style of our own messages: lower case, code in backticks, no full stop."""

from __future__ import annotations

import re

_QUOTED = re.compile(r"(?<![\w`])'((?:[^'`\n\\]|\\.)*)'(?!\w)|(?<![\w`])\"((?:[^\"`\n\\]|\\.)*)\"(?!\w)")
_FLAG = re.compile(r"(?<![\w`./-])(--?[A-Za-z][\w-]*)(?![\w`]*`)")
_CAPITAL = re.compile(r"[A-Z](?:[a-z]|'| |$)")
_NAMES = ("Modal", "Python", "Git", "Docker", "Linux", "I ")
"""Names that keep their capital at the beginning of a sentence."""


def styled(text: str) -> str:
    """The text in our style: what it has in quotes stands in backticks, and so do its options."""
    words = text.strip()
    pieces = re.split(r"(`[^`]*`)", words)
    words = "".join(piece if piece.startswith("`") else _coded(piece) for piece in pieces)
    if words.endswith(".") and not words.endswith(".."):
        words = words[:-1]
    return lowered(words)


def lowered(text: str) -> str:
    """The text with a small first letter, unless that belongs to a name or an abbreviation."""
    if not _CAPITAL.match(text) or text.startswith(_NAMES):
        return text
    return text[0].lower() + text[1:]


def _coded(text: str) -> str:
    text = _QUOTED.sub(lambda found: f"`{found[1] if found[1] is not None else found[2]}`", text)
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(piece if piece.startswith("`") else _FLAG.sub(r"`\1`", piece) for piece in pieces)


def one_of(values: object) -> str:
    """``one of: `a`, `b` `` for the values of a list or a tuple."""
    assert isinstance(values, list | tuple)
    return "one of: " + ", ".join(f"`{value}`" for value in values)
