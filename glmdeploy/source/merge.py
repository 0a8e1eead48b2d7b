"""Laying one profile over another."""

from __future__ import annotations

from glmdeploy.source.nodes import Entry, Node


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
