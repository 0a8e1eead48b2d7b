"""What a check reports: a severity, a message, and the place in the source that caused it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.edits import Edit

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
