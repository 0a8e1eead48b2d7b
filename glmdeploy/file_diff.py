"""What changes in a profile's own file, as a unified diff in which no secret can be read."""

from __future__ import annotations

import io
import re
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

from glmdeploy import source, tokens
from glmdeploy.tokens import MASK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from glmdeploy.findings import Path
    from glmdeploy.own_file import OwnFile
    from glmdeploy.source import Document

_WORD = 8
"""Characters from which on a part of a secret is looked for in the whole text: shorter ones mean other things too."""


def lines(file: OwnFile, *, secrets: Iterable[Path] = ()) -> Iterator[str]:
    """The diff's lines without their ends, as ``patch -p0`` takes them; none where nothing changes.

    ``secrets`` are the paths of secrets in the text as it was. They are masked wherever they stand, like everything
    that has the form of a secret; such a diff is to be read, not to be applied.
    """
    paths = tuple(secrets)
    words = _words(source.read_text(file.saved, file.name), paths) if paths else []
    before, after = (
        io.StringIO(_hidden(text, file.name, paths, words), newline="\n").readlines()
        for text in (file.saved, file.text)
    )
    for line in unified_diff(before, after, file.name, file.name):
        yield line.removesuffix("\n")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"


def _words(document: Document, paths: tuple[Path, ...]) -> list[str]:
    """The values at the paths, and their parts where they may be written over several lines; the longest first."""
    values = [str(_at(document.data, leaf)) for leaf in _leaves(document, paths)]
    return sorted({word for value in values for word in (value, *value.split()) if len(word) >= _WORD}, key=len)[::-1]


def _hidden(text: str, name: str, paths: tuple[Path, ...], words: list[str]) -> str:
    if paths:
        mark = "\ufeff" if text.startswith("\ufeff") else ""
        text = mark + _masked(text.removeprefix(mark), source.read_text(text, name), paths)
    for word in words:
        text = text.replace(word, MASK)
    return tokens.mask(text)


def _masked(text: str, document: Document, paths: tuple[Path, ...]) -> str:
    """The text with the values at the paths masked where they are written, on all of their lines."""
    rows = text.splitlines(keepends=True)
    places = [place for mark in document.marks.values() for place in (mark.key, mark.value) if place]
    values = {document.marks[leaf].value for leaf in _leaves(document, paths)}
    for value in sorted(values, key=lambda place: (place.line, place.column), reverse=True):
        start, end = value.column - 1, value.column - 1 + value.length
        written = value.text[start:end]
        following = min((place.line for place in places if place.line > value.line), default=len(rows) + 1)
        between = range(value.line, following - 1)
        # Text on several lines. Otherwise only comments stand before the next key or value.
        if written.startswith(("|", ">")) or any(not re.match(r"\s*(?:#|$)", rows[row]) for row in between):
            for row in between:
                rows[row] = re.sub(r"\S[^\r\n]*", MASK, rows[row])
        if written:
            first = rows[value.line - 1]
            rows[value.line - 1] = first[:start] + MASK + first[end:]
    return "".join(rows)


def _leaves(document: Document, paths: tuple[Path, ...]) -> list[Path]:
    """The scalars at the paths and below them."""
    return [
        place
        for place in document.marks
        if any(place[: len(path)] == path for path in paths) and not isinstance(_at(document.data, place), dict | list)
    ]


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data
