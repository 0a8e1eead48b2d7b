"""The reader of YAML that is no profile: another program's file as it is written, with the place of each character.

Several documents, anchors, aliases, and the merge key of YAML 1.1 (https://yaml.org/type/merge.html). Scalars stay
text: what ``yes`` or ``1:30`` means is the other program's matter, and tags stay unread. The bounds are those of a
profile. JSON is read as the YAML that it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from yaml import events

from glmdeploy.errors import ProfileError
from glmdeploy.profile.text import yaml12
from glmdeploy.profile.text.characters import check, fault, shown
from glmdeploy.profile.text.composer import MAX_DEPTH, MAX_NODES, PROPERTIES, SURROGATE, FatalError

if TYPE_CHECKING:
    from glmdeploy.findings import Finding
    from glmdeploy.profile.text.characters import SourceText

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "yes", "on", "y"})
_BLANKS = " \t\r\n"
_DOUBLE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|(?P<joined>\r?\n[ \t]*)|(?P<one>(?s:.)))|(?P<plain>(?s:.))"
)
_ESCAPED_BLANKS = {"n": "\n", "t": "\t", "r": "\r", " ": " "}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """A scalar, a list or a mapping. Offsets count characters of the text from 0.

    A scalar has ``text`` with the offset of each of its characters; ``plain`` where it is unquoted. A value behind an
    alias or a merge key stands where its anchor does. ``size`` counts what lies below it, ``height`` is 0 for a scalar.
    """

    start: int
    end: int
    text: str | None = None
    offsets: tuple[int, ...] = ()
    plain: bool = False
    entries: dict[str, Pair] | None = None
    items: tuple[Tree, ...] | None = None
    size: int = 1
    height: int = 0

    @property
    def span(self) -> tuple[int, int]:
        return self.start, max(self.end, self.start + 1)

    @property
    def null(self) -> bool:
        """Whether nothing stands here."""
        return self.plain and self.text in _NULLS

    @property
    def true(self) -> bool:
        """Whether it is a true boolean of YAML 1.1, which holds those of 1.2."""
        return self.text is not None and self.text.lower() in _TRUE

    @property
    def kind(self) -> str:
        """What it is, for a message."""
        if self.null:
            return "empty"
        return "a mapping" if self.entries is not None else "a list" if self.items is not None else "text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """An entry of a mapping. ``merged``: it came by a merge key."""

    key: Tree
    value: Tree
    merged: bool = False


@dataclass(kw_only=True, slots=True)
class _Open:
    """A collection whose end has not come yet."""

    start: int
    anchor: str | None
    pairs: list[tuple[Tree, Tree]] | None
    items: list[Tree] = field(default_factory=list)
    key: Tree | None = None
    size: int = 1
    height: int = 0


def read_stream(text: str, file: str) -> tuple[Tree, ...]:
    """The documents of a text, empty ones left out.

    :raises ProfileError: with every key that is given twice or is no text, or with the first syntax error or bound.
    """
    source = check(text, file)
    if source.text.lstrip().startswith(("{", "[")):
        # Between the tokens of JSON a tab is a blank; inside of its texts there is none.
        source = replace(source, text=source.text.replace("\t", " "))
    builder = _Builder(source)
    try:
        for event in yaml12.events(source):
            builder.take(event)
    except FatalError as stop:
        builder.findings.append(stop.finding)
    except yaml12.OwnBoundError as stop:
        builder.findings.append(stop.finding)
    if builder.findings:
        raise ProfileError(builder.findings)
    return tuple(each for each in builder.documents if not each.null)


class _Builder:
    def __init__(self, source: SourceText) -> None:
        self.source = source
        self.documents: list[Tree] = []
        self.findings: list[Finding] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, Tree | _Open] = {}
        self._count = 0

    def take(self, event: events.Event) -> None:
        """Take the parser's next event.

        :raises FatalError: for an exceeded bound, and for an alias that refers to nothing.
        """
        assert event.start_mark is not None
        assert event.end_mark is not None
        start, end = event.start_mark.index, event.end_mark.index
        match event:
            case events.ScalarEvent():
                self._grow(1, start)
                tree = self._scalar(event, start, end)
                if event.anchor is not None:
                    self._anchors[event.anchor] = tree
                self._deliver(tree)
            case events.MappingStartEvent() | events.SequenceStartEvent():
                self._grow(1, start)
                if len(self._stack) >= MAX_DEPTH:
                    raise FatalError(self._fault(f"the file is nested deeper than {MAX_DEPTH} levels", start))
                opened = _Open(
                    start=start if event.anchor is event.tag is None else self._skip_properties(start),
                    anchor=event.anchor,
                    pairs=[] if isinstance(event, events.MappingStartEvent) else None,
                )
                if event.anchor is not None:
                    self._anchors[event.anchor] = opened
                self._stack.append(opened)
            case events.MappingEndEvent() | events.SequenceEndEvent():
                self._close(end)
            case events.AliasEvent():
                self._deliver(self._alias(event.anchor or "", start, end))
            case events.DocumentStartEvent():
                self._anchors.clear()

    def _scalar(self, event: events.ScalarEvent, start: int, end: int) -> Tree:
        if event.tag is not None or event.anchor is not None:
            start = self._skip_properties(start) if event.value or event.style else end
        text = event.value
        if SURROGATE.search(text):
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        offsets = _offsets(text, self.source.text, start, end, event.style or "")
        return Tree(start=start, end=end, text=text, offsets=offsets, plain=not event.style)

    def _close(self, end: int) -> None:
        opened = self._stack.pop()
        tree = Tree(
            start=opened.start,
            end=end,
            entries=None if opened.pairs is None else self._entries(opened.pairs),
            items=tuple(opened.items) if opened.pairs is None else None,
            size=opened.size,
            height=opened.height + 1,
        )
        if opened.anchor is not None and self._anchors.get(opened.anchor) is opened:
            self._anchors[opened.anchor] = tree
        self._deliver(tree)

    def _entries(self, pairs: list[tuple[Tree, Tree]]) -> dict[str, Pair]:
        """Own keys come before merged ones, and of those the first before the later."""
        entries: dict[str, Pair] = {}
        merged: list[Tree] = []
        for key, value in pairs:
            if key.text is None:
                self._report(
                    f"a key is text, not {key.kind}; templates such as `{{{{ name }}}}` are not filled in", key
                )
            elif key.text == "<<" and key.plain:
                merged += value.items if value.items is not None else (value,)
            elif key.text in entries:
                self._report(f"the key `{shown(key.text)}` is given twice", key)
            else:
                entries[key.text] = Pair(key=key, value=value)
        for each in merged:
            if each.entries is None:
                self._report(f"a merge key takes a mapping, not {each.kind}", each)
            for name, pair in (each.entries or {}).items():
                entries.setdefault(name, replace(pair, merged=True))
        return entries

    def _alias(self, name: str, start: int, end: int) -> Tree:
        found = self._anchors.get(name)
        if isinstance(found, Tree):
            if len(self._stack) + found.height > MAX_DEPTH:
                raise FatalError(self._fault(f"the file is nested deeper than {MAX_DEPTH} levels", start))
            self._grow(found.size, start)
            return found
        what = "stands inside the value that it repeats" if found else "refers to nothing above"
        raise FatalError(self._fault(f"the alias `*{shown(name)}` {what}", start, end))

    def _deliver(self, tree: Tree) -> None:
        if not self._stack:
            self.documents.append(tree)
            return
        parent = self._stack[-1]
        parent.size += tree.size
        parent.height = max(parent.height, tree.height)
        if parent.pairs is None:
            parent.items.append(tree)
        elif parent.key is None:
            parent.key = tree
        else:
            parent.pairs.append((parent.key, tree))
            parent.key = None

    def _grow(self, size: int, start: int) -> None:
        self._count += size
        if self._count > MAX_NODES:
            message = f"the file has more than {MAX_NODES:,} keys and values, aliases counted in full"
            raise FatalError(self._fault(message, start))

    def _skip_properties(self, start: int) -> int:
        match = re.compile(PROPERTIES).match(self.source.text, start)
        return match.end() if match else start

    def _fault(self, message: str, start: int, end: int | None = None) -> Finding:
        return fault(message, self.source.place(start, end))

    def _report(self, message: str, tree: Tree) -> None:
        self.findings.append(self._fault(message, tree.start, tree.end))


def _offsets(value: str, text: str, start: int, end: int, style: str) -> tuple[int, ...]:
    """The place of each character of a scalar's value.

    Apart from blanks, which folding and indentation change, the characters come in the order of the text; of a run of
    blanks the first ones are taken.
    """
    found: list[int] = []
    source = _written(text, start, end, style)
    at = 0
    for character in value:
        blank = character in _BLANKS
        while not blank and at < len(source) and source[at][1] in _BLANKS:
            at += 1
        found.append(source[at][0] if at < len(source) else max(start, end - 1))
        if not blank or (at < len(source) and source[at][1] in _BLANKS):
            at += 1
    return tuple(found)


def _written(text: str, start: int, end: int, style: str) -> list[tuple[int, str]]:
    """The characters of a scalar before folding, each with its place; an escape is one."""
    if style in ("|", ">") and style:
        newline = text.find("\n", start, end)
        start = end if newline < 0 else newline + 1
    elif style:
        start, end = start + 1, end - 1
    if style != '"' or "\\" not in text[start:end]:
        skipped = {match.start() for match in re.finditer("''", text[start:end])} if style == "'" else ()
        return [(start + at, each) for at, each in enumerate(text[start:end]) if at not in skipped]
    found = []
    for match in _DOUBLE.finditer(text, start, end):
        if match["joined"] is None:
            character = match["plain"] or _ESCAPED_BLANKS.get(match["one"] or "", "\\")
            found.append((match.start(), character))
    return found
