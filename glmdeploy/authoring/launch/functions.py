"""Functions of a shell text: which are called, and their commands as those of the place where they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.authoring.launch.branches import Step
    from glmdeploy.authoring.launch.shell import Command, Document


def called(items: Sequence[Command | Document]) -> frozenset[str]:
    """The functions that a text defines."""
    return frozenset(step.said for item in items for step in item.path if step.kind == "function" and step.said)


def own_function(path: Sequence[Step], names: frozenset[str]) -> str | None:
    """The outermost function that a command belongs to."""
    return next((step.said for step in path if step.kind == "function" and step.said in names), None)


def rebased(items: Sequence[Command | Document]) -> Iterator[Command | Document]:
    """A function's commands with their paths inside it."""
    for item in items:
        at = next((index for index, step in enumerate(item.path) if step.kind == "function"), -1)
        yield replace(item, path=item.path[at + 1 :])
