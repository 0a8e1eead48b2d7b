"""The tables of ``docs/measured.md``: what stands between the marks of a part is replaced, and nothing else.

A part begins with ``<!-- measured: NAME -->`` and ends with ``<!-- end of NAME -->``.
"""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "measured.md"


def found(name: str) -> str:
    """What stands between the marks of a part.

    :raises SystemExit: where the page has no such part.
    """
    return _marks(name)[2]


def write(name: str, text: str) -> bool:
    """Put a part's text on the page; returns whether it was another one before."""
    before, after, old = _marks(name)
    PAGE.write_text(f"{before}{block(text)}{after}", encoding="utf-8")
    return old != block(text)


def block(text: str) -> str:
    """A text as it stands between marks."""
    return f"\n\n{text.strip()}\n\n"


def _marks(name: str) -> tuple[str, str, str]:
    """The page up to the end of the first mark, from the beginning of the last one, and what is between."""
    begin, end = f"<!-- measured: {name} -->", f"<!-- end of {name} -->"
    text = PAGE.read_text(encoding="utf-8")
    match = re.fullmatch(f"(.*{re.escape(begin)})(.*)({re.escape(end)}.*)", text, re.DOTALL)
    if match is None:
        raise SystemExit(f"{PAGE} has no part `{name}`: it begins with {begin} and ends with {end}")
    return match[1], match[3], match[2]
