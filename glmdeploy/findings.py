"""What is found in a profile, where, and what may be done about it: findings, places and edits. Data alone.

:mod:`glmdeploy.authoring.editor` makes edits in a file's text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from glmdeploy.records import record

KeyPath = tuple[str | int, ...]
"""The way to a value: mapping keys and list indices from the document's root."""


def at(data: Any, path: KeyPath) -> Any:
    """The value at the path. :raises LookupError: if there is none."""
    for part in path:
        data = data[part]
    return data


def dotted(path: KeyPath) -> str:
    """The path as a user writes it: ``sglang.args.tp``, ``secrets.api_key.keys[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def listed(parts: Sequence[str], last: str = "and") -> str:
    """As people enumerate: ``a``, ``a and b``, ``a, b and c``; nothing for none."""
    *first, final = parts or [""]
    return f"{', '.join(first)} {last} {final}" if first else final


@record
class _Edit:
    """A place by its path; what becomes of it is said by the classes below."""

    path: KeyPath

    def applied_to(self, data: dict[str, Any]) -> dict[str, Any]:
        """The data with the edit made, in its order. Shares with ``data`` what it does not change.

        :raises LookupError: if the place is not there, and the edit does not make it.
        """
        copy = dict(data)
        holder: Any = copy
        for part in self.path[:-1]:
            inner = holder.get(part) if isinstance(holder, dict) else holder[part]
            holder[part] = list(inner) if isinstance(inner, list) else dict(inner or {})
            holder = holder[part]
        self._change(holder)
        return copy

    def _change(self, holder: Any) -> None:
        raise NotImplementedError

    def _replace(self, holder: dict[str, Any], *entries: tuple[str, Any]) -> None:
        """These entries stand in place of the one at the path, and of others of their names."""
        others = [(key, value) for key, value in holder.items() if key not in dict(entries) or key == self.path[-1]]
        holder.clear()
        for key, value in others:
            holder.update(entries if key == self.path[-1] else [(key, value)])


@record
class SetValue(_Edit):
    """The scalar at ``path`` becomes the scalar ``value``.

    Where there is no such place, it is made: the last entry of its mapping, and what lacks of the mappings around it.
    An item of a list must be there.
    """

    value: str | float | bool | None

    def _change(self, holder: Any) -> None:
        holder[self.path[-1]] = self.value


@record
class RenameKey(_Edit):
    """The last key of ``path`` becomes ``name``."""

    name: str

    def _change(self, holder: Any) -> None:
        self._replace(holder, (self.name, holder[self.path[-1]]))


@record
class Remove(_Edit):
    """The entry or list item at ``path`` goes, with its lines and the comments on them. Lines of comments stay."""

    def _change(self, holder: Any) -> None:
        del holder[self.path[-1]]


@record
class AddAfter(_Edit):
    """A new entry after the one at ``path``, in the same mapping."""

    name: str
    value: Any

    def _change(self, holder: Any) -> None:
        before = self.path[-1]
        self._replace(holder, (str(before), holder[before]), (self.name, self.value))


Edit: TypeAlias = SetValue | RenameKey | Remove | AddAfter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHECKS: Mapping[str, str] = {
    "yaml": "a file that cannot be read as a profile",
    "schema": "a profile that its schema refuses",
    "sglang": "an option, a value or a release that SGLang does not know",
    "knowledge": "what could not be judged, because something is not known",
    "waiver": "a waiver that is expired, unknown, not allowed or not needed",
}
"""Findings that are not a rule's: their ids, and what each is about."""


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """A place in a file: ``line`` and ``column`` count from 1; ``text`` is that whole line, without its end.

    ``length`` is the number of characters that a caret underlines, at least 1.
    """

    file: str
    line: int
    column: int
    text: str = ""
    length: int = 1


@record
class Finding:
    """One fault or remark.

    ``id`` is a guard rule's id (``GLM001``), or a word for what precedes the rules: ``yaml``, ``schema``,
    ``profile``, ``sglang``. ``expected`` and ``fix`` are sentences; ``links`` are URLs or upstream files.
    ``edits`` make the fix where it can be made without asking. ``waived`` is the reason of a waiver that holds.
    ``secret`` says that the value at ``path`` is a secret, which may not be shown.
    """

    id: str
    severity: Severity
    message: str
    location: Location
    path: KeyPath = ()
    expected: str | None = None
    fix: str | None = None
    links: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    waived: str | None = None
    secret: bool = False
