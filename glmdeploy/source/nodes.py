"""The tree that reading gives and merging works on: values with their places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glmdeploy.findings import Location
    from glmdeploy.source.scalars import Scalar


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A scalar, a list or a mapping. Trees are shared between files that use them: never change one."""

    value: Scalar | tuple[Node, ...] | dict[str, Entry]
    location: Location

    @property
    def kind(self) -> str:
        """What the value is, for a message."""
        match self.value:
            case None:
                return "null"
            case bool():
                return "a boolean"
            case int() | float():
                return "a number"
            case str():
                return "text"
            case tuple():
                return "a list"
            case _:
                return "a mapping"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A key's place and its value."""

    key: Location
    node: Node
