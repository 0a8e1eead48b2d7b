"""Values of a ``config.json``, which is foreign input: every one is checked for what it must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MOST = 10**9
"""No dimension of a model is larger; a bound keeps the arithmetic of foreign numbers small."""


class UnknownModel(Exception):
    """A configuration that sizing cannot read; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Fields:
    """The keys of a ``config.json``. A key that is null counts as absent. All methods raise UnknownModel."""

    data: Mapping[str, Any]

    def has(self, name: str) -> bool:
        return self.data.get(name) is not None

    def count(self, *names: str, default: int | None = None, least: int = 1, most: int = _MOST) -> int:
        """The integer of the first of ``names`` that is there, else ``default``."""
        for name in names:
            value = self.data.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise UnknownModel(f"`{name}` is {_shown(value)}, not an integer from {least} to {most}")
            return value
        if default is None:
            raise UnknownModel(f"`{names[0]}` is missing")
        return default

    def flag(self, name: str) -> bool:
        """The switch under ``name``, off where there is none."""
        value = self.data.get(name)
        if not isinstance(value, bool | None):
            raise UnknownModel(f"`{name}` is {_shown(value)}, neither true nor false")
        return bool(value)

    def text(self, name: str) -> str:
        """The text under ``name``, empty where there is none."""
        value = self.data.get(name)
        if not isinstance(value, str | None):
            raise UnknownModel(f"`{name}` is {_shown(value)}, not a text")
        return value or ""

    def items(self, name: str) -> list[Any]:
        """The list under ``name``, empty where there is none."""
        value = self.data.get(name)
        if not isinstance(value, list | None):
            raise UnknownModel(f"`{name}` is {_shown(value)}, not a list")
        return value or []

    def inner(self, name: str) -> Fields | None:
        """The mapping under ``name``, None where there is none."""
        value = self.data.get(name)
        if not isinstance(value, Mapping | None):
            raise UnknownModel(f"`{name}` is {_shown(value)}, not a mapping")
        return None if value is None else Fields(data=value)


def _shown(value: object) -> str:
    if not isinstance(value, int | float | str | bool):
        return f"a {type(value).__name__}"
    # Python refuses to write integers of thousands of digits.
    text = "a very large number" if isinstance(value, int) and abs(value) > 10**30 else repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
