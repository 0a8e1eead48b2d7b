"""The pages of the documentation, taken apart: fenced blocks with what is said of them, headings, links.

What a page says of a block stands in HTML comments right above it, one a line, which nobody sees who reads the page:

- ``<!-- not run: REASON -->``: nothing here can run it;
- ``<!-- exits: 1 -->``: the last command of the block fails with this code;
- ``<!-- file: NAME -->``: the block is the text of a file, which is there before the next block;
- ``<!-- over: PROFILE -->``: a part of a profile, which is laid over this one;
- ``<!-- thorough -->``: it takes long, and runs with ``--all`` alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parent.parent

MARKS = {"not run", "exits", "file", "over", "thorough"}

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}) *(?P<language>[\w-]*)")
_MARK = re.compile(r"^ *<!-- (?P<name>[a-z ]+?)(?:: (?P<value>.*?))? -->$")
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<to>[^)\s]+)\)|<(?:img|source) [^>]*src(?:set)?=\"(?P<src>[^\"]+)\"")
_CODE = re.compile(r"`+[^`]*`+")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block. ``line`` is that of its fence, from 1; ``text`` ends in a newline."""

    page: str
    line: int
    language: str
    text: str
    marks: Mapping[str, str]

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page: those at the top and those in docs."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order.

    :raises ValueError: for a fence that nothing closes, or a mark that is none.
    """
    found: list[Block] = []
    marks: dict[str, str] = {}
    inside: tuple[int, str, str, str, list[str]] | None = None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if inside is not None:
            start, indent, fence, language, lines = inside
            if line.strip() == fence:
                text = "".join(f"{each.removeprefix(indent)}\n" for each in lines)
                found.append(Block(page=name(page), line=start, language=language, text=text, marks=marks))
                inside, marks = None, {}
            else:
                lines.append(line)
        elif opening := _FENCE.match(line):
            inside = (number, opening["indent"], opening["fence"], opening["language"], [])
        elif mark := _MARK.match(line):
            if mark["name"] in MARKS:
                marks[mark["name"]] = mark["value"] or ""
            elif mark["name"] != "end" and not mark["name"].startswith(("made by", "measured", "end of")):
                raise ValueError(f"{name(page)}:{number}: {mark['name']!r} is no mark of a block")
        elif line.strip() and marks:
            raise ValueError(f"{name(page)}:{number}: the marks above it are of no block")
    if inside is not None:
        raise ValueError(f"{name(page)}:{inside[0]}: nothing closes this block")
    return found


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """The lines of a page that are in no block, with their numbers."""
    fence = ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        opening = _FENCE.match(line)
        if fence:
            fence = "" if line.strip() == fence else fence
        elif opening:
            fence = opening["fence"]
        else:
            yield number, line


def links(page: Path) -> Iterator[tuple[int, str]]:
    """What a page links to or shows, with the line."""
    for number, line in prose(page):
        for found in _LINK.finditer(_CODE.sub(lambda code: "`" * len(code[0]), line)):
            yield number, found["to"] or found["src"]
        for address in re.findall(r"<(https?://[^>\s]+)>", line):
            yield number, address


def anchors(page: Path) -> set[str]:
    """What a link to a part of the page may end in: its headings, as GitHub names them, and ids of its own."""
    found: set[str] = set()
    for _, line in prose(page):
        found |= set(re.findall(r'<a id="([^"]+)">', line))
        if heading := re.match(r"#{1,6} +(.*?) *#*$", line):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            again = 0
            while (slug if not again else f"{slug}-{again}") in found:
                again += 1
            found.add(slug if not again else f"{slug}-{again}")
    return found
