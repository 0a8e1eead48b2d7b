"""What may be changed in a profile: an edit names a place by its path and says what becomes of it. Data alone.

:mod:`glmdeploy.editor` makes edits in a file's text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from glmdeploy.findings import Path


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
