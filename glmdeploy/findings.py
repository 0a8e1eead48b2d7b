"""What may be changed in a profile: an edit names a place by its path and says what becomes of it. Data alone.

:mod:`glmdeploy.authoring.editor` makes edits in a file's text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias


@dataclass(frozen=True, kw_only=True)
class SetValue:
    """The scalar at ``path`` becomes the scalar ``value``.

    Where there is no such place, it is made: the last entry of its mapping, and what lacks of the mappings around it.
    """

    path: Path
    value: str | float | bool | None


@dataclass(frozen=True, kw_only=True)
class RenameKey:
    """The last key of ``path`` becomes ``name``."""

    path: Path
    name: str


@dataclass(frozen=True, kw_only=True)
class Remove:
    """The entry or list item at ``path`` goes, with its lines and the comments on them. Lines of comments stay."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class AddAfter:
    """A new entry after the one at ``path``, in the same mapping."""

    path: Path
    name: str
    value: Any


Edit: TypeAlias = SetValue | RenameKey | Remove | AddAfter

if TYPE_CHECKING:
    from collections.abc import Mapping

Path = tuple[str | int, ...]
"""The way to a value: mapping keys and list indices from the document's root."""

CHECKS: Mapping[str, str] = {
    "yaml": "a file that cannot be read as a profile",
    "schema": "a profile that its schema refuses",
    "sglang": "an option, a value or a release that SGLang does not know",
    "waiver": "a waiver that is expired, unknown, not allowed or not needed",
}
"""Findings that are not a rule's: their ids, and what each is about."""


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, kw_only=True)
class Location:
    """A place in a file: ``line`` and ``column`` count from 1; ``text`` is that whole line, without its end.

    ``length`` is the number of characters that a caret underlines, at least 1.
    """

    file: str
    line: int
    column: int
    text: str = ""
    length: int = 1


@dataclass(frozen=True, kw_only=True)
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
    path: Path = ()
    expected: str | None = None
    fix: str | None = None
    links: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    waived: str | None = None
    secret: bool = False


def dotted(path: Path) -> str:
    """The path as a user writes it: ``sglang.args.tp``, ``secrets.api_key.keys[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
