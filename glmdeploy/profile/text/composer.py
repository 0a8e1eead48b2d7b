"""From a YAML parser's events to nodes, by the core schema of YAML 1.2.

No recursion, so that no input exhausts Python's stack; bounds, so that no input exhausts the memory; and
nothing is ever constructed from a tag. Every fault that does not make the rest unreadable is collected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from yaml import events

from glmdeploy.profile import stranger
from glmdeploy.profile.text.characters import SourceText, fault, shown
from glmdeploy.profile.text.document import Entry, Node
from glmdeploy.profile.text.scalars import CORE, TAGS, Scalar, ScalarError, plain, tagged

if TYPE_CHECKING:
    from glmdeploy.findings import Finding, KeyPath

MAX_NODES = 10_000
MAX_DEPTH = 64

SURROGATE = re.compile("[\ud800-\udfff]")
# Not compiled here: few profiles have anchors, fewer tags, and every start of the program would pay for it.
PROPERTIES = r"(?:[&!][^ \t\r\n]*(?:[ \t\r\n]+(?:#[^\r\n]*)?)+)+"
_TAG = r"![^ \t\r\n]*"


class FatalError(Exception):
    """A fault after which the rest of the text cannot be trusted."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A composed node with what its surroundings must know of it. Offsets are those of the source text.

    ``size`` counts the node and all below it, keys included; ``height`` is 0 for a scalar.
    """

    node: Node
    start: int
    end: int
    size: int = 1
    height: int = 0
    block: bool = False
    unquoted: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing was written: YAML takes that for null."""
        return self.start == self.end


@dataclass(kw_only=True, slots=True)
class _Open:
    """A collection whose end has not come yet."""

    start: int
    anchor: str | None
    block: bool
    entries: dict[str, Entry] | None
    items: list[Node] = field(default_factory=list)
    key: Part | None = None
    size: int = 1
    height: int = 0


class Composer:
    """Takes a parser's events one by one; ``root`` and ``findings`` are what comes out."""

    def __init__(self, source: SourceText) -> None:
        self.source = source
        self.root: Part | None = None
        self.findings: list[Finding] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, Part | _Open] = {}
        self._count = 0
        self._documents = 0

    def take(self, event: events.Event) -> None:
        """Take the parser's next event.

        :raises FatalError: for a second document and for an exceeded bound.
        """
        if event.start_mark is None or event.end_mark is None:
            raise ValueError(f"{event!r} does not come from a parser")
        start, end = event.start_mark.index, event.end_mark.index
        match event:
            case events.ScalarEvent():
                self._grow(1, start)
                part = self._scalar(event, start, end)
                if event.anchor is not None:
                    self._anchors[event.anchor] = part
                self._deliver(part)
            case events.MappingStartEvent() | events.SequenceStartEvent():
                self._grow(1, start)
                self._open(event, start)
            case events.MappingEndEvent() | events.SequenceEndEvent():
                self._close(end)
            case events.AliasEvent():
                self._deliver(self._alias(event.anchor or "", start, end))
            case events.DocumentStartEvent():
                self._document(event, start)

    def _document(self, event: events.DocumentStartEvent, start: int) -> None:
        self._documents += 1
        if self._documents > 1:
            top = self.root.node.value if self.root else None
            names = dict.fromkeys(top) if isinstance(top, dict) else {}
            if other := stranger.keys(names):
                raise FatalError(stranger.finding(other, self.source.place(0), self.source.file))
            raise FatalError(
                fault(
                    "a second document begins here",
                    self.source.place(start, start + 3),
                    expected="one document in each file",
                    fix="remove the `---` line, or move what follows to a file of its own",
                )
            )
        if event.version not in (None, (1, 2)):
            self._report("profiles are YAML 1.2", start, fix="remove the `%YAML` line")

    def _open(self, event: events.CollectionStartEvent, start: int) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise FatalError(self._too_deep(start))
        mapping = isinstance(event, events.MappingStartEvent)
        if event.tag is not None and event.tag != CORE + ("map" if mapping else "seq"):
            self._report_tag(event.tag, start, "a mapping" if mapping else "a list")
        opened = _Open(
            start=start if event.anchor is event.tag is None else self._skip_properties(start),
            anchor=event.anchor,
            block=not event.flow_style,
            entries={} if mapping else None,
        )
        if event.anchor is not None:
            self._anchors[event.anchor] = opened
        self._stack.append(opened)

    def _close(self, end: int) -> None:
        opened = self._stack.pop()
        entries = opened.entries
        if opened.block:
            first = next(iter(entries.values()), None) if entries else None
            location = first.key if first else self.source.place(opened.start)
        else:
            location = self.source.place(opened.start, end)
        part = Part(
            node=Node(value=tuple(opened.items) if entries is None else entries, location=location),
            start=opened.start,
            end=end,
            size=opened.size,
            height=opened.height + 1,
            block=opened.block,
        )
        # The same name may have been given again inside, and then that later one is meant from here on.
        if opened.anchor is not None and self._anchors.get(opened.anchor) is opened:
            self._anchors[opened.anchor] = part
        self._deliver(part)

    def _scalar(self, event: events.ScalarEvent, start: int, end: int) -> Part:
        unquoted = not event.style
        written = start
        if event.tag is not None or event.anchor is not None:
            start = self._skip_properties(start) if event.value or not unquoted else end
        text = event.value
        if SURROGATE.search(text):
            try:
                text = text.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError:
                self._report("an escape here is half of a surrogate pair, not a character", start, end)
        value: Scalar = text
        try:
            if event.tag in TAGS:
                value = tagged(text, event.tag)
            elif event.tag is not None:
                self._report_tag(event.tag, written, "a scalar")
            elif unquoted:
                value = plain(text)
        except ScalarError as error:
            self._report(error.message, start, end, fix=error.fix)
        place = self.source.place(start, end)
        return Part(node=Node(value=value, location=place), start=start, end=end, unquoted=unquoted)

    def _alias(self, name: str, start: int, end: int) -> Part:
        place = self.source.place(start, end)
        match self._anchors.get(name):
            case Part() as part:
                if len(self._stack) + part.height > MAX_DEPTH:
                    raise FatalError(self._too_deep(start))
                self._grow(part.size, start)
                return replace(part, node=replace(part.node, location=place), start=start, end=end)
            case _Open():
                self._report(f"the alias `*{name}` stands inside the value that it repeats", start, end)
            case None:
                self._report(
                    f"nothing above is marked `&{name}`, so `*{name}` refers to nothing",
                    start,
                    end,
                    fix="put the value in quotes if text was meant",
                )
        return Part(node=Node(value="", location=place), start=start, end=end)

    def _deliver(self, part: Part) -> None:
        if not self._stack:
            self.root = part
            return
        parent = self._stack[-1]
        parent.size += part.size
        parent.height = max(parent.height, part.height)
        if parent.entries is None:
            parent.items.append(part.node)
        elif parent.key is None:
            parent.key = part
        else:
            key, parent.key = parent.key, None
            name = key.node.value
            finding = self._refusal(parent.entries, key, part)
            if finding is None and isinstance(name, str):
                parent.entries[name] = Entry(key=key.node.location, node=part.node)
            elif finding is not None:
                self.findings.append(finding)

    def _refusal(self, entries: dict[str, Entry], key: Part, value: Part) -> Finding | None:
        """Why an entry cannot be taken, if it cannot."""
        name, place = key.node.value, key.node.location
        if not isinstance(name, str):
            return self._bad_key(key)
        if name == "<<" and key.unquoted:
            return fault(
                "YAML 1.2 has no merge key `<<`",
                place,
                path=(*self._path(), name),
                fix="use `extends` for another file, or an alias for one value",
            )
        if value.empty and ":" not in self.source.text[key.end : value.start]:
            written = shown(self.source.text[key.start : key.end])
            glued = re.search(r":(?=.)", written)
            flag = re.fullmatch(r"--([A-Za-z][\w-]*)(?:[ =](.*))?", written)
            return fault(
                f"there is no space after the colon in `{written}`" if glued else f"the key `{written}` has no value",
                place,
                path=(*self._path(), name),
                fix=f"write `{flag[1]}: {(flag[2] or 'true').strip()}`"
                if flag
                else "write `key: value`; a list is written with `[ ]`",
            )
        if name in entries:
            first = entries[name].key
            return fault(
                f"the key `{shown(name)}` is given twice: first at line {first.line}, column {first.column}",
                place,
                path=(*self._path(), name),
                fix="keep one of the two",
            )
        return None

    def _bad_key(self, key: Part) -> Finding:
        place, kind = key.node.location, key.node.kind
        if key.empty:
            return fault("a key is missing before the colon", place, path=self._path())
        if isinstance(key.node.value, tuple | dict):
            return fault(
                f"a key is text, not {kind}",
                place,
                path=self._path(),
                fix="put it in quotes if it is text; templates such as `{{ name }}` are not filled in",
            )
        written = shown(self.source.text[key.start : key.end])
        return fault(
            f"a key is text, and `{written}` is {kind}",
            place,
            path=self._path(),
            fix=f'write `"{written}"`, in quotes',
        )

    def _path(self) -> KeyPath:
        path: list[str | int] = []
        for opened in self._stack:
            if opened.entries is None:
                path.append(len(opened.items))
            elif opened.key is not None and isinstance(opened.key.node.value, str):
                path.append(opened.key.node.value)
        return tuple(path)

    def _grow(self, size: int, start: int) -> None:
        self._count += size
        if self._count > MAX_NODES:
            raise FatalError(
                fault(
                    f"the profile has more than {MAX_NODES:,} keys and values, aliases counted in full",
                    self.source.place(start),
                )
            )

    def _skip_properties(self, start: int) -> int:
        """Where the value itself begins: a parser lets it begin at its anchor or tag."""
        match = re.compile(PROPERTIES).match(self.source.text, start)
        return match.end() if match else start

    def _report(self, message: str, start: int, end: int | None = None, *, fix: str | None = None) -> None:
        self.findings.append(fault(message, self.source.place(start, end), path=self._path(), fix=fix))

    def _report_tag(self, tag: str, start: int, kind: str) -> None:
        match = re.compile(_TAG).search(self.source.text, start)
        written, at = (match[0], match.start()) if match else (tag, start)
        self._report(
            f"the tag `{shown(written)}` does not fit {kind}"
            if tag in TAGS or tag in (CORE + "map", CORE + "seq")
            else f"the tag `{shown(written)}` is not one of YAML's core schema",
            at,
            at + len(written),
            fix="remove the tag, or put the whole value in quotes if it is text",
        )

    def _too_deep(self, start: int) -> Finding:
        return fault(
            f"the profile is nested deeper than {MAX_DEPTH} levels",
            self.source.place(self._skip_properties(start)),
            fix="nest less, and see that every bracket that opens is meant",
        )
