"""Edits of a YAML file that keep its comments, order and layout: text surgery at the positions that reading gives.

Each edit is proved before it counts: the text is read again and must give exactly the intended data, in its order;
otherwise, and for everything that is known to be unsafe, the edit is refused with :class:`EditError`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from glmdeploy import source
from glmdeploy.edits import AddAfter, Edit, Remove, RenameKey, SetValue
from glmdeploy.errors import GlmdeployError, ProfileError
from glmdeploy.findings import dotted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.findings import Location, Path
    from glmdeploy.source import Document


class EditError(GlmdeployError):
    """An edit that cannot be made without endangering the rest of the file."""


def apply(text: str, edits: Sequence[Edit], file: str) -> str:
    """``text`` with the edits made, one after the other; each sees what those before it left.

    :raises EditError: if an edit cannot be made safely; ``file`` is named in the message.
    :raises ProfileError: if ``text`` is no profile to begin with.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    for edit in edits:
        document = source.read_text(text, file)
        _check(edit, document, file)
        changed = _Surgeon(text, document, file).make(edit)
        _prove(changed, _intended(document.data, edit), edit, file)
        text = changed
    return mark + text


def _check(edit: Edit, document: Document, file: str) -> None:
    parent = _at(document.data, edit.path[:-1]) if edit.path[:-1] in document.marks else None
    if not edit.path or edit.path not in document.marks or not isinstance(parent, dict):
        raise EditError(f"{file} has no `{dotted(edit.path)}` of its own")
    if isinstance(edit, SetValue) and isinstance(_at(document.data, edit.path), dict | list):
        raise EditError(f"`{dotted(edit.path)}` in {file} is not a single value")
    if isinstance(edit, RenameKey | AddAfter) and edit.name in parent:
        raise EditError(f"{file} has `{dotted((*edit.path[:-1], edit.name))}` already")
    if isinstance(edit, Remove) and len(parent) == 1:
        raise EditError(f"`{dotted(edit.path)}` is all that its mapping in {file} holds")


def _intended(data: dict[str, Any], edit: Edit) -> Any:
    """The data after the edit. Shares what it does not change."""
    copy = dict(data)
    holder: Any = copy
    for part in edit.path[:-1]:
        inner = holder[part]
        holder[part] = dict(inner) if isinstance(inner, dict) else list(inner)
        holder = holder[part]
    entries = list(holder.items())
    holder.clear()
    for key, value in entries:
        if key != edit.path[-1]:
            holder[key] = value
            continue
        match edit:
            case SetValue():
                holder[key] = edit.value
            case RenameKey():
                holder[edit.name] = value
            case AddAfter():
                holder |= {key: value, edit.name: edit.value}
    return copy


def _prove(text: str, intended: Any, edit: Edit, file: str) -> None:
    try:
        # As JSON, because 1, 1.0 and true are equal in Python, and mappings in another order too.
        good = json.dumps(source.read_text(text, file).data) == json.dumps(intended)
    except ProfileError:
        good = False
    if not good:
        what = "is written in a way (an alias, or over several lines) that"
        raise EditError(f"`{dotted(edit.path)}` in {file} {what} cannot be changed safely", advice="Edit it by hand.")


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data


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

    def make(self, edit: Edit) -> str:
        key = self._document.marks[edit.path].key
        if key is None:
            raise EditError(f"`{dotted(edit.path)}` in {self._file} is not an entry of a mapping")
        match edit:
            case SetValue():
                return self._set(edit, key)
            case RenameKey():
                return self._rename(edit, key)
            case Remove():
                return self._remove_in_flow(edit) if self._in_flow(edit.path) else self._remove(edit, key)
            case AddAfter():
                entry = f"{_written(edit.name)}: {_written(edit.value)}"
                if self._in_flow(edit.path):
                    return self._replace(self._flow_end(edit.path), 0, f", {entry}")
                return self._add(edit, key, entry)

    def _set(self, edit: SetValue, key: Location) -> str:
        value = self._document.marks[edit.path].value
        written = self._slice(value)
        if written.startswith("*"):
            raise EditError(f"`{dotted(edit.path)}` in {self._file} is an alias")
        if self._empty(edit.path, written):
            colon = self._text.index(":", self._offset(key) + key.length)
            return self._replace(colon + 1, 0, " " + _written(edit.value))
        return self._replace(self._offset(value), len(written), _like(written, edit.value))

    def _rename(self, edit: RenameKey, key: Location) -> str:
        written, value = self._slice(key), self._document.marks[edit.path].value
        start, end = self._offset(key), self._offset(key) + len(written)
        if value.line == key.line and not self._in_flow(edit.path):
            # With the value, so that a comment behind it keeps its column.
            end = self._offset(value) + len(self._slice(value))
        rest = self._text[start + len(written) : end]
        return self._replace(start, end - start, _like(written, edit.name) + rest)

    def _empty(self, path: Path, written: str) -> bool:
        return _at(self._document.data, path) is None and written.lower() not in ("null", "~")

    def _remove(self, edit: Remove, key: Location) -> str:
        self._whole_line(edit.path, key)
        last = self._last_line(edit.path, key)
        return self._text[: self._starts[key.line - 1]] + self._text[self._starts[last] :]

    def _add(self, edit: AddAfter, key: Location, entry: str) -> str:
        self._whole_line(edit.path, key)
        last = self._last_line(edit.path, key)
        # The end of this line, or the file's first one where the file stops without any.
        ending = re.search(r"\r\n|\r|\n", self._lines[key.line - 1] + self._text)
        newline = ending[0] if ending else "\n"
        before = self._text[: self._starts[last]]
        if not before.endswith(("\r", "\n")):
            before += newline
        return before + key.text[: key.column - 1] + entry + newline + self._text[self._starts[last] :]

    def _whole_line(self, path: Path, key: Location) -> None:
        if key.text[: key.column - 1].strip():
            raise EditError(f"`{dotted(path)}` in {self._file} shares its line with what holds it")

    def _last_line(self, path: Path, key: Location) -> int:
        """The number, from 1, of the last line that the entry takes."""
        inside = (mark for place, mark in self._document.marks.items() if place[: len(path)] == path)
        # What an alias repeats stands where the anchor is, which may be above.
        last = max(key.line, *(mark.value.line for mark in inside))
        for line in self._lines[last:]:
            indent = len(line) - len(line.lstrip(" "))
            # Text that goes on over several lines: deeper than the key, and neither blank nor a comment.
            if not line.strip() or line.lstrip().startswith("#") or indent < key.column:
                break
            last += 1
        return last

    def _in_flow(self, path: Path) -> bool:
        return self._text.startswith("{", self._offset(self._document.marks[path[:-1]].value))

    def _flow_end(self, path: Path) -> int:
        """Where the value of an entry ends, in a mapping in brackets that lies on one line."""
        holder, mark = self._document.marks[path[:-1]].value, self._document.marks[path]
        if not self._slice(holder).endswith("}") or mark.key is None or mark.key.line != holder.line:
            raise EditError(f"`{dotted(path[:-1])}` in {self._file} is in brackets over several lines")
        return self._offset(mark.value) + len(self._slice(mark.value))

    def _remove_in_flow(self, edit: Remove) -> str:
        end = self._flow_end(edit.path)
        key = self._document.marks[edit.path].key
        start = self._offset(key) if key else end
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


def _like(written: str, value: Any) -> str:
    """A scalar as YAML, in the quotes of what it replaces, if that had any."""
    if isinstance(value, str) and written.startswith('"'):
        return _quoted(value)
    if isinstance(value, str) and written.startswith("'") and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return _written(value)


def _written(value: Any) -> str:
    """A value as YAML on one line: text without quotes where it is read back as that text, else JSON."""
    return value if isinstance(value, str) and value.isprintable() and _plain(value) else _quoted(value)


def _plain(text: str) -> bool:
    """Whether the text needs no quotes: as key and as value, on a line of its own and in brackets."""
    try:
        alone = source.read_text(f"{text}: {text}", "").data
        in_brackets = source.read_text(f"{{{text}: {text}, a: [{text}]}}", "").data
    except ProfileError:
        return False
    return alone == {text: text} and in_brackets == {text: text, "a": [text]}


def _quoted(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    # JSON escapes the control characters; some others may not stand in a profile, or cannot be seen.
    return text if text.isprintable() else json.dumps(value)
