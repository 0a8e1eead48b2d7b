"""The tree that reading gives and merging works on: values with their places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.findings import KeyPath, Location
    from glmdeploy.profile.text.scalars import Scalar


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """Where a value was written, and its key where it is an entry of a mapping.

    An alias counts as written where the alias stands; what lies inside it, where the anchor stands. A block
    mapping or list lies where its first key or dash is. A mapping that several files wrote lies in the
    profile itself if that wrote it.
    """

    value: Location
    key: Location | None = None


@record
class Document:
    """A profile's data with its places.

    ``data`` holds dicts, lists, strings, numbers, booleans and None. ``marks`` has one entry for each path
    in it, the root ``()`` included. ``removed`` has the marks of the nulls that removed an entry. ``files``
    are the files that took part: the profile first, then each in the order in which it was first read.
    """

    data: dict[str, Any]
    marks: Mapping[KeyPath, Mark]
    removed: Mapping[KeyPath, Mark]
    files: tuple[str, ...]

    def locate(self, path: KeyPath, *, key: bool = False) -> Location:
        """The place of the value at ``path``, or with ``key`` of its key (a list item has none: its value).

        Where nothing stands at ``path``, the place of the nearest key on the way to it: the null that
        removed it, or the key of the mapping that lacks it.
        """
        if path in self.marks:
            mark = self.marks[path]
            return mark.key if key and mark.key else mark.value
        while path not in self.marks and path not in self.removed:
            path = path[:-1]
        mark = self.marks.get(path) or self.removed[path]
        return mark.key or mark.value


def build(root: Node, *, files: tuple[str, ...], keep_nulls: bool = False) -> Document:
    """The document of a tree. A null entry of a mapping is left out, unless ``keep_nulls``."""
    building = _Building(keep_nulls=keep_nulls)
    data = building.value(root, (), None)
    return Document(data=data, marks=building.marks, removed=building.removed, files=files)


class _Building:
    """The marks of a document, while its values are visited."""

    def __init__(self, *, keep_nulls: bool) -> None:
        self.marks: dict[KeyPath, Mark] = {}
        self.removed: dict[KeyPath, Mark] = {}
        self._keep_nulls = keep_nulls

    def value(self, node: Node, path: KeyPath, key: Location | None) -> Any:
        """What the node means, whose marks are noted."""
        self.marks[path] = Mark(value=node.location, key=key)
        if isinstance(node.value, tuple):
            return [self.value(item, (*path, index), None) for index, item in enumerate(node.value)]
        if not isinstance(node.value, dict):
            return node.value
        data = {}
        for name, entry in node.value.items():
            if entry.node.value is None and not self._keep_nulls:
                self.removed[*path, name] = Mark(value=entry.node.location, key=entry.key)
            else:
                data[name] = self.value(entry.node, (*path, name), entry.key)
        return data


def merge(base: Node, over: Node, *, stay: bool = False) -> Node:
    """``over`` laid over ``base``: mappings merge deeply, and everything else is replaced.

    A null stays in the tree as the mark of a removed entry, so that what comes later finds nothing to merge
    with there. A mapping that both wrote takes the place of ``over``, or with ``stay`` that of ``base``.
    """
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    entries = dict(base.value)
    for name, entry in over.value.items():
        held = entries.get(name)
        if held is None or not isinstance(held.node.value, dict) or not isinstance(entry.node.value, dict):
            entries[name] = entry
        else:
            entries[name] = Entry(key=held.key if stay else entry.key, node=merge(held.node, entry.node, stay=stay))
    return Node(value=entries, location=base.location if stay else over.location)
