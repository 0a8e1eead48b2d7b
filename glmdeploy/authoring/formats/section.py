"""A mapping of a file, of which each key is placed, told, or known to be of no matter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.stream import label, refused
from glmdeploy.authoring.launch.launch import Note, Word
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.authoring.launch.launch import Span
    from glmdeploy.authoring.launch.script import Script
    from glmdeploy.profile.text.foreign import Tree


@dataclass(kw_only=True)
class Section:
    """``tree`` is the mapping. What is taken from it is the taker's to place; :meth:`close` tells the rest."""

    script: Script
    tree: Tree
    notes: list[Note]
    _taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.tree.entries is None:
            raise refused(self.script, f"here stands {self.tree.kind}, where a mapping is expected", self.tree.span)

    def names(self) -> list[str]:
        """The keys, in the order of the file."""
        return list(self.tree.entries or ())

    def __contains__(self, name: str) -> bool:
        return name in (self.tree.entries or {})

    @property
    def called(self) -> str | None:
        """The text of its key ``name``, which is not taken by that; None without one."""
        pair = (self.tree.entries or {}).get("name")
        return pair.value.text if pair else None

    @property
    def place(self) -> tuple[int, int]:
        """Where that stands, or else the section."""
        pair = (self.tree.entries or {}).get("name")
        return pair.value.span if pair else self.tree.span

    def key(self, name: str) -> Tree:
        """The key itself, for its place."""
        return (self.tree.entries or {})[name].key

    def take(self, name: str) -> Tree | None:
        """The value of a key, None where there is none or nothing stands there."""
        self._taken.add(name)
        pair = (self.tree.entries or {}).get(name)
        return None if pair is None or pair.value.null else pair.value

    def word(self, name: str) -> Word | None:
        """The text of a key.

        :raises ProfileError: where the value is a mapping or a list.
        """
        tree = self.take(name)
        return None if tree is None else self.text_of(tree, name)

    def text_of(self, tree: Tree, name: str) -> Word:
        """A scalar as a word. :raises ProfileError: where the tree is none."""
        if tree.text is None:
            raise refused(self.script, f"{label(name)} is {tree.kind}, where text is expected", tree.span)
        return word(tree)

    def section(self, name: str) -> Section | None:
        """The mapping of a key. :raises ProfileError: where the value is none."""
        tree = self.take(name)
        return None if tree is None else Section(script=self.script, tree=tree, notes=self.notes)

    def items(self, name: str) -> tuple[Tree, ...]:
        """The items of a key's list, or its only value."""
        tree = self.take(name)
        if tree is None:
            return ()
        return tree.items if tree.items is not None else (tree,)

    def sections(self, name: str) -> Iterator[Section]:
        """The mappings in a key's list. :raises ProfileError: where an item is none."""
        for tree in self.items(name):
            yield Section(script=self.script, tree=tree, notes=self.notes)

    def note(self, severity: Severity, message: str, span: Span, fix: str | None = None) -> None:
        self.notes.append(Note(severity=severity, message=message, span=span, fix=fix))

    def left_out(self, name: str, reason: str, severity: Severity = Severity.INFO, fix: str | None = None) -> None:
        """Tell that a key, if it is there, has no place, and why."""
        if name in self:
            self._taken.add(name)
            self.note(severity, f"{label(name)} was left out: {reason}", self.key(name).span, fix)

    def close(
        self,
        *,
        info: Mapping[str, str] | None = None,
        warned: Mapping[str, str] | None = None,
        no_matter: Mapping[str, str] | None = None,
    ) -> None:
        """Tell every key that was not taken: with the reason of its table, else as one that is not known.

        Nothing is told of ``no_matter``, whose values are the reasons; a key that ends in a star means all that
        begin so.
        """
        stars = tuple(name.removesuffix("*") for name in no_matter or () if name.endswith("*"))
        for name in self.names():
            if name in self._taken or name in (no_matter or {}) or (stars and name.startswith(stars)):
                continue
            if reason := (info or {}).get(name):
                self.left_out(name, reason)
            elif reason := (warned or {}).get(name):
                self.left_out(name, reason, Severity.WARNING)
            else:
                span = self.key(name).span
                self.note(Severity.WARNING, f"{label(name)} has no place in a profile, and was left out", span)


def word(tree: Tree) -> Word:
    """A scalar as a word."""
    text = tree.text or ""
    return Word(text=text, span=tree.span, raw=text, offsets=tree.offsets)


def passed_on(name: str, span: Span) -> Word:
    """The value of a variable that a file only names: a secret's, the machine's, another file's."""
    raw = f"${name}"
    return Word(text=raw, span=span, offsets=(span[0],) * len(raw), unknown=(raw,), variables=(name,))
