"""Edits of a YAML file that keep its comments, order and layout: text surgery at the positions that reading gives.

Each edit is proved before it counts: the text is read again and must give exactly the intended data, in its order;
otherwise, and for everything that is known to be unsafe, the edit is refused with :class:`EditError`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeAlias

from glmdeploy.errors import GlmdeployError, ProfileError
from glmdeploy.findings import AddAfter, Edit, Remove, RenameKey, SetValue, at, dotted
from glmdeploy.profile.text.load import read_text
from glmdeploy.profile.text.scalars import write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.findings import KeyPath, Location
    from glmdeploy.profile.text.document import Document, Mark


class EditError(GlmdeployError):
    """An edit that cannot be made without endangering the rest of the file."""


@dataclass(frozen=True, kw_only=True)
class _Fill:
    """The null or empty mapping at ``path`` becomes ``value``."""

    path: KeyPath
    value: dict[str | int, Any]


_Step: TypeAlias = Edit | _Fill

_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'""", re.DOTALL)


def apply(text: str, edits: Sequence[Edit], file: str) -> str:
    """``text`` with the edits made, one after the other; each sees what those before it left.

    :raises EditError: if an edit cannot be made safely; ``file`` is named in the message.
    :raises ProfileError: if ``text`` is no profile to begin with.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    for edit in edits:
        document = read_text(text, file)
        step = _grounded(edit, document, file)
        _check(step, document, file)
        changed = _Surgeon(text, document, file).make(step)
        _prove(changed, edit.applied_to(document.data), step, file)
        text = changed
    return mark + text


def _grounded(edit: Edit, document: Document, file: str) -> _Step:
    """The edit, or what adds the value of a ``SetValue`` where there is no such place."""
    if not isinstance(edit, SetValue) or edit.path in document.marks:
        return edit
    path = edit.path
    added: Any = edit.value
    while path[:-1] not in document.marks:
        added, path = {path[-1]: added}, path[:-1]
    holder = at(document.data, path[:-1])
    if isinstance(holder, dict) and holder:
        return AddAfter(path=(*path[:-1], next(reversed(holder))), name=str(path[-1]), value=added)
    if holder not in (None, {}):
        raise EditError(f"`{dotted(path[:-1])}` in {file} is no mapping that `{path[-1]}` can be added to")
    return _Fill(path=path[:-1], value={path[-1]: added})


def _check(edit: _Step, document: Document, file: str) -> None:
    parent = at(document.data, edit.path[:-1]) if edit.path[:-1] in document.marks else None
    kinds = (dict, list) if isinstance(edit, Remove | SetValue) else dict
    if not edit.path or edit.path not in document.marks or not isinstance(parent, kinds):
        raise EditError(f"{file} has no `{dotted(edit.path)}` of its own")
    if isinstance(edit, SetValue) and isinstance(at(document.data, edit.path), dict | list):
        raise EditError(f"`{dotted(edit.path)}` in {file} is not a single value")
    if isinstance(edit, RenameKey | AddAfter) and edit.name in parent:
        raise EditError(f"{file} has `{dotted((*edit.path[:-1], edit.name))}` already")
    if isinstance(edit, Remove) and len(parent) == 1:
        kind = "list" if isinstance(parent, list) else "mapping"
        raise EditError(f"`{dotted(edit.path)}` is all that its {kind} in {file} holds")


def _prove(text: str, intended: Any, edit: _Step, file: str) -> None:
    try:
        # As JSON, because 1, 1.0 and true are equal in Python, and mappings in another order too.
        good = json.dumps(read_text(text, file).data) == json.dumps(intended)
    except ProfileError:
        good = False
    if not good:
        what = "is written in a way (an alias, or over several lines) that"
        raise EditError(f"`{dotted(edit.path)}` in {file} {what} cannot be changed safely", advice="edit it by hand")


class _Surgeon:
    """Cuts one text. Offsets count characters from 0."""

    def __init__(self, text: str, document: Document, file: str) -> None:
        self._text = text
        self._document = document
        self._file = file
        self._lines = text.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def make(self, edit: _Step) -> str:
        for part in range(1, len(edit.path)):
            self._refuse_alias(edit.path[:part])
        mark = self._document.marks[edit.path]
        # An item of a list has no key: it can be removed, and another scalar written instead of it.
        key = mark.key or mark.value
        match edit:
            case SetValue() | _Fill():
                return self._set(edit, key)
            case RenameKey():
                return self._rename(edit, key)
            case Remove():
                return self._remove_in_flow(edit, key) if self._in_flow(edit.path) else self._remove(edit, key)
            case AddAfter():
                return self._add_in_flow(edit, key) if self._in_flow(edit.path) else self._add(edit, key)

    def _set(self, edit: SetValue | _Fill, key: Location) -> str:
        self._refuse_alias(edit.path)
        value = self._document.marks[edit.path].value
        written = self._slice(value)
        if self._empty(edit.path, written):
            if self._document.marks[edit.path].key is None:
                raise EditError(f"`{dotted(edit.path)}` in {self._file} is an item without a value")
            colon = self._text.index(":", self._offset(key) + key.length)
            return self._replace(colon + 1, 0, " " + write(edit.value))
        return self._replace(self._offset(value), len(written), _like(written, edit.value))

    def _refuse_alias(self, path: KeyPath) -> None:
        if self._slice(self._document.marks[path].value).startswith("*"):
            raise EditError(f"`{dotted(path)}` in {self._file} is an alias", advice="edit it by hand")

    def _rename(self, edit: RenameKey, key: Location) -> str:
        written, value = self._slice(key), self._document.marks[edit.path].value
        start, end = self._offset(key), self._offset(key) + len(written)
        if value.line == key.line and not self._in_flow(edit.path):
            # With the value, so that a comment behind it keeps its column.
            end = self._offset(value) + len(self._slice(value))
        rest = self._text[start + len(written) : end]
        return self._replace(start, end - start, _like(written, edit.name) + rest)

    def _empty(self, path: KeyPath, written: str) -> bool:
        return at(self._document.data, path) is None and written.lower() not in ("null", "~")

    def _remove(self, edit: Remove, key: Location) -> str:
        column = self._whole_line(edit.path, key)
        last = self._last_line(edit.path, key, column)
        text = self._text_lines(edit.path)
        lines = (self._lines[number - 1] for number in range(key.line + 1, last + 1) if number not in text)
        comments = "".join(line for line in lines if line.lstrip().startswith("#"))
        return self._text[: self._starts[key.line - 1]] + comments + self._text[self._starts[last] :]

    def _add(self, edit: AddAfter, key: Location) -> str:
        last = self._last_line(edit.path, key, self._whole_line(edit.path, key))
        # The end of this line, or the file's first one where the file stops without any.
        ending = re.search(r"\r\n|\r|\n", self._lines[key.line - 1] + self._text)
        newline = ending[0] if ending else "\n"
        before = self._text[: self._starts[last]]
        if not before.endswith(("\r", "\n")):
            before += newline
        added = "".join(line + newline for line in _block(edit.name, edit.value, key.text[: key.column - 1]))
        return before + added + self._text[self._starts[last] :]

    def _whole_line(self, path: KeyPath, key: Location) -> int:
        """The column, from 1, where an entry or an item with its dash begins, and with it the line."""
        before = key.text[: key.column - 1]
        bare = before if self._document.marks[path].key else re.sub(r"-[ \t]+$", "", before)
        if bare.strip() or (bare == before and not self._document.marks[path].key):
            raise EditError(f"`{dotted(path)}` in {self._file} shares its line with what holds it")
        return len(bare) + 1

    def _last_line(self, path: KeyPath, key: Location, column: int) -> int:
        """The number, from 1, of the last line that an entry or item takes which begins in ``column``."""
        inside = (mark for place, mark in self._document.marks.items() if place[: len(path)] == path)
        # What an alias repeats stands where the anchor is, which may be above.
        last = max(key.line, *(mark.value.line for mark in inside), *self._text_lines(path))
        for line in self._lines[last:]:
            # Text without quotes that goes on: deeper than the key, and neither blank nor a comment.
            if not line.strip() or line.lstrip().startswith("#") or _indent(line) < column:
                break
            last += 1
        return last

    def _text_lines(self, path: KeyPath) -> set[int]:
        """The numbers of the lines on which a block or quotes go on, at ``path`` and below: none is a comment."""
        marks = [mark for place, mark in self._document.marks.items() if place[: len(path)] == path]
        return {number for mark in marks for number in self._continued(mark)}

    def _continued(self, mark: Mark) -> range:
        value = mark.value
        if self._slice(value).startswith(("|", ">")):
            below = self._lines[value.line :]
            # Deeper than its key or dash, and as deep as its first line.
            least = mark.key.column if mark.key else _indent(value.text) + 1
            least = max(least, next((_indent(line) for line in below if line.strip()), 0))
            rows = takewhile(lambda row: not row[1].strip() or _indent(row[1]) >= least, enumerate(below))
            return range(value.line + 1, value.line + 2 + max((row for row, line in rows if line.strip()), default=-1))
        quoted = _QUOTED.match(self._text, self._offset(value))
        return range(value.line + 1, value.line + len(quoted[0].splitlines())) if quoted else range(0)

    def _in_flow(self, path: KeyPath) -> bool:
        return self._text.startswith(("{", "["), self._offset(self._document.marks[path[:-1]].value))

    def _flow_end(self, path: KeyPath, key: Location) -> int:
        """Where the value of an entry or item ends, in brackets that lie on one line."""
        holder, value = self._document.marks[path[:-1]].value, self._document.marks[path].value
        if not self._slice(holder).endswith(("}", "]")) or key.line != holder.line:
            raise EditError(f"`{dotted(path[:-1])}` in {self._file} is in brackets over several lines")
        return self._offset(value) + len(self._slice(value))

    def _add_in_flow(self, edit: AddAfter, key: Location) -> str:
        # What is written as JSON stays JSON.
        quote = key.text.startswith('"', key.column - 1)
        entry = f", {write(edit.name, quote=quote)}: {write(edit.value, quote=quote)}"
        return self._replace(self._flow_end(edit.path, key), 0, entry)

    def _remove_in_flow(self, edit: Remove, key: Location) -> str:
        start, end = self._offset(key), self._flow_end(edit.path, key)
        if after := re.compile(r"\s*,\s*").match(self._text, end):
            return self._replace(start, after.end() - start, "")
        before = re.search(r"\s*,\s*$", self._text[:start])
        start = before.start() if before else start
        return self._replace(start, end - start, "")

    def _offset(self, place: Location) -> int:
        return self._starts[place.line - 1] + place.column - 1

    def _slice(self, place: Location) -> str:
        return place.text[place.column - 1 :][: place.length]

    def _replace(self, start: int, length: int, new: str) -> str:
        """The text with ``new`` in place of ``length`` characters; a comment behind keeps its column if it can."""
        rest = self._text[start + length :]
        gap = re.match(r" {2,}(?=#)", rest)
        if gap:
            rest = " " * max(2, len(gap[0]) + length - len(new)) + rest[gap.end() :]
        return self._text[:start] + new + rest


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _like(written: str, value: Any) -> str:
    """A scalar as YAML, in the quotes of what it replaces, if that had any."""
    if isinstance(value, str) and written.startswith('"'):
        return write(value, quote=True)
    if isinstance(value, str) and written.startswith("'") and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return write(value)


def _block(name: str, value: Any, indent: str) -> list[str]:
    """An entry as YAML: a mapping over several lines, anything else on one."""
    if not isinstance(value, dict) or not value:
        return [f"{indent}{write(name)}: {write(value)}"]
    inner = [line for key, item in value.items() for line in _block(key, item, f"{indent}  ")]
    return [f"{indent}{write(name)}:", *inner]
