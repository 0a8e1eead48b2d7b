"""Shell text as commands: words made of literal text and expansions, with the constructs that they stand in.

:mod:`grammar` says where quotes, expansions and reserved words begin and end. Everything between them is
literal text, which is read here as POSIX.1-2024 has it (Shell Command Language, 2.2 and 2.3): blanks, operators,
redirections, here-documents, comments and backslashes. So no character is lost, even where the grammar does not know a
construct: an opening quote or bracket that is left in literal text is one that is never closed. Nothing is executed:
command substitutions and arithmetic stay as they are written. Redirections are taken off.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.branches import Path
from glmdeploy.authoring.launch.grammar import PIECES, Mark, marks
from glmdeploy.authoring.launch.words import ASSIGNMENT, PARAMETER, Opaque, RawWord, Text, WordReader, joined, matched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.authoring.launch.branches import Step
    from glmdeploy.authoring.launch.words import Assignment, Part

MAX_PARSED = 20
"""How often a text is parsed anew behind a here-document that the grammar does not know."""

_OPENING = frozenset({"if", "while", "until", "for", "select", "case", "{"})
_CLOSING = frozenset({"fi", "done", "esac", "}"})
_HEADS = frozenset({"for", "select", "case", "function"})
"""Reserved words whose line is no command."""

_LITERAL = re.compile(
    rf"""
      (?P<continuation> \\\n )
    | (?P<blank> [ \t]+ )
    | (?P<placeholder> (?<![<&0-9]) <[A-Za-z][\w.-]{{0,40}}> (?![>&|(]) )
    | (?P<redirection> &>> | &> | <<< | <<- | << | <> | <& | >> | >& | >\| | [<>](?!\() )
    | (?P<operator> ;;& | && | \|\| | ;; | ;& | \|& | [;&|()\n] )
    | (?P<escaped> \\ (?s:.) )
    | {PARAMETER}
    | (?P<opener> \$' | \$\{{ | \$\( | [<>]\( | ['"`] )
    | (?P<text> \$ | \\ | [^ \t\n;&|()<>'"$`\\]+ )
    """,
    re.VERBOSE | re.ASCII,
)
_LOOP = re.compile(r"(?:for|select)\s+([A-Za-z_]\w*\s+in\b.*)", re.ASCII | re.DOTALL)
_BROKEN = re.compile(r"(?:.*[^\\])?(?:\\\\)*\\[^\S\n]", re.DOTALL)
"""A word that ends with an escaped blank."""
_NOTHING_MORE = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")
_MEANT_TO_CONTINUE = re.compile(r"(?<=[ \t])(?:\\\\|/)\n[ \t]+--?[A-Za-z]")
"""Two backslashes or a slash at a line's end, before a line of options."""
_DESCRIPTOR = re.compile(r"[0-9]+|\{\w+\}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A simple command; ``words`` begin with what it assigns.

    ``path`` are the branches that it stands in from the outermost, ``after`` the operator in front of it, and ``gap``
    what stands between it and the command before it. ``files`` are those that it reads or writes by redirection,
    ``fed`` the text of a here-string.
    """

    words: tuple[RawWord, ...]
    path: tuple[Step, ...] = ()
    after: str = ""
    gap: str = ""
    files: tuple[RawWord, ...] = ()
    fed: RawWord | None = None

    @property
    def under(self) -> tuple[str, ...]:
        """The constructs around it from the outermost: ``if``, ``for``, ``{``, ``(`` and so on."""
        return tuple(step.kind for step in self.path if step.kind not in ("&&", "||"))

    def split(self) -> tuple[list[Assignment], Sequence[RawWord]]:
        """What the command assigns, and the words behind that, which may be none."""
        assignments: list[Assignment] = []
        for index, word in enumerate(self.words):
            found = word.assignment
            if found is None:
                return assignments, self.words[index:]
            assignments.append(found)
        return assignments, ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """The body of a here-document, which belongs to a command on the line above it. ``quoted``: nothing is expanded."""

    text: str
    offsets: tuple[int, ...]
    quoted: bool = False
    path: tuple[Step, ...] = ()


def commands(text: str, offsets: Sequence[int] | None = None) -> Iterator[Command | Document]:
    """The commands and here-documents of a shell text, in its order.

    ``offsets`` are the places of its characters where it is part of another text.

    :raises ShellError: at a quote, bracket or brace that is never closed, and where a redirection lacks its file.
    """
    places = range(len(text)) if offsets is None else offsets
    if "\n" not in text:
        text = text.replace("\r", "\n")  # as the first Macintosh ended lines
    if "\r\n" in text:
        kept = [index for index in range(len(text)) if not text.startswith("\r\n", index)]
        places = [places[index] for index in kept if index < len(places)]
        text = text.replace("\r\n", "\n")
    return _Reader(text, places).read()


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


class _Reader:
    def __init__(self, text: str, offsets: Sequence[int]) -> None:
        self.text = text
        self.offsets = offsets
        self.reader = WordReader(text=text, offsets=offsets)
        self.marks = deque(marks(text))
        self.at = 0
        self.parsed = 1
        self.path = Path(text)
        self.head = False
        """Whether the words up to the next operator are those of a ``for`` or the like, and no command."""
        self.words: list[RawWord] = []
        self.parts: list[Part] = []
        self.array: tuple[RawWord, ...] | None = None
        self.begin: int | None = None
        """Where the word begins that ``parts`` and ``array`` belong to."""
        self.outer: tuple[int, list[Part], list[RawWord]] | None = None
        """What there was of the word and its command before the array that is being read."""
        self.redirection: tuple[str, int] | None = None
        """An operator whose file comes next, and where it begins."""
        self.delimiters: list[tuple[str, bool, bool]] = []
        """Of here-documents that begin at the next line, with whether tabs are stripped and nothing is expanded."""
        self.files: list[RawWord] = []
        self.fed: RawWord | None = None
        self.after = ""
        self.first: int | None = None
        """Where the command begins that is being read."""
        self.ended = 0
        """Where the command before it ended."""
        self.last = 0
        """Where the last word or redirection ended."""

    def read(self) -> Iterator[Command | Document]:
        end = len(self.text)
        while self.at < end:
            if self.marks and self.marks[0].start <= self.at:
                yield from self._mark(self.marks.popleft())
                continue
            if self.begin is None and self.text.startswith("#", self.at):
                newline = self.text.find("\n", self.at)
                self.at = end if newline < 0 else newline
                continue
            limit = self.marks[0].start if self.marks else end
            match = matched(_LITERAL, self.text, self.at, limit)
            start, self.at = self.at, match.end()
            match match.lastgroup:
                case "blank":
                    self._end_word(start)
                case "redirection":
                    self._redirect(match[0], start)
                case "placeholder":  # a shell reads a file there, and the text means a value that is yet to be written
                    self._add([Opaque(raw=match[0], span=self.reader.span(start, self.at), quoted=False)], start)
                case "operator":
                    yield from self._operator(match[0], start)
                case _:
                    parts, self.at = self.reader.literal(match, quoted=False)
                    self._add(parts, start)
        yield from self._end_command(end)

    def _mark(self, mark: Mark) -> Iterator[Command]:
        if mark.kind == "leave":
            self.path.leave()
        elif mark.kind == "enter":
            self.path.enter(mark.opens, mark.start)
        elif mark.start < self.at:  # it lies in a here-document or a comment
            return
        elif mark.kind == "head":
            self._end_word(mark.start)
            self.path.head(mark.start, mark.end, item=mark.node is not None and mark.node.type == "case_item")
            if values := _LOOP.match(self.text, mark.start, mark.end):
                inside = _Reader(values[1], self.offsets[values.start(1) : values.end(1)]).read()
                self.path.heads([word for each in inside if isinstance(each, Command) for word in each.words])
        elif mark.kind == "reserved":
            yield from self._reserved(mark)
        elif mark.kind in PIECES:
            self._add(self.reader.piece(mark, quoted=False), mark.start)
        else:
            self._end_word(mark.start)
        self.at = max(self.at, mark.end)

    def _reserved(self, mark: Mark) -> Iterator[Command]:
        name = self.text[mark.start : mark.end]
        if self.outer or (self.words and not self.head):
            self._add([self.reader.plain(name, mark.start, quoted=False)], mark.start)
            return
        yield from self._end_command(mark.start)
        self.head = name in _HEADS
        if mark.astray:
            if name in _CLOSING:
                self.path.leave()
            elif name in _OPENING:
                self.path.enter(name, mark.start)
        self.path.word(name, mark.start, mark.end)

    def _add(self, parts: Sequence[Part], start: int) -> None:
        if parts and self.begin is None:
            self.begin = start
        self.parts += parts

    def _end_word(self, end: int) -> None:
        if self.begin is None:
            return
        word = RawWord(
            parts=joined(self.parts),
            raw=self.text[self.begin : end],
            span=self.reader.span(self.begin, end),
            array=self.array,
            broken=(
                _BROKEN.fullmatch(self.text, self.begin, end) is not None
                and _NOTHING_MORE.match(self.text, end) is not None
            )
            or _MEANT_TO_CONTINUE.match(self.text, self.begin) is not None,
        )
        begin, self.last = self.begin, end
        self.begin, self.parts, self.array = None, [], None
        if self.redirection is None:
            self.first = begin if self.first is None else self.first
            self.words.append(word)
            return
        operator, at = self.redirection
        self.first = at if self.first is None else self.first
        self.redirection = None
        if operator in ("<<", "<<-"):
            delimiter = "".join(part.text if isinstance(part, Text) else part.raw for part in word.parts)
            quoted = any(isinstance(part, Text) and part.quoted for part in word.parts)
            self.delimiters.append((delimiter, operator == "<<-", quoted))
        elif operator == "<<<":
            self.fed = word
        else:
            self.files.append(word)

    def _end_command(self, end: int) -> Iterator[Command]:
        self._end_word(end)
        self._check()
        words, head, first = self.words, self.head, self.first
        files, fed, after = tuple(self.files), self.fed, self.after
        self.words, self.head, self.first, self.files, self.fed = [], False, None, [], None
        if head:
            self.path.heads(words)
        elif words and first is not None:
            gap = self.text[self.ended : first]
            self.ended = max(self.last, first)
            steps = self.path.steps()
            yield Command(words=tuple(words), path=steps, after=after, gap=gap, files=files, fed=fed)

    def _redirect(self, operator: str, start: int) -> None:
        begin = self.begin
        if begin is not None and self.redirection is None and _DESCRIPTOR.fullmatch(self.text, begin, start):
            self.begin, self.parts, start = None, [], begin
        self._end_word(start)
        self._check()
        self.redirection = operator, start

    def _operator(self, operator: str, start: int) -> Iterator[Command | Document]:
        if operator == "(" and self.begin is not None and ASSIGNMENT.fullmatch(self.text, self.begin, start):
            self._check()
            self.outer = self.begin, self.parts, self.words
            self.begin, self.parts, self.words = None, [], []
            return
        if self.outer and operator in ("\n", ")"):
            self._end_word(start)
            if operator == ")":
                self.array = tuple(self.words)
                self.begin, self.parts, self.words = self.outer
                self.outer = None
                self._end_word(self.at)
            return
        yield from self._end_command(start)
        self.after = operator
        self.path.operator(operator, start, self.at)
        if operator == "\n" and self.delimiters:
            yield from self._documents()

    def _check(self) -> None:
        """:raises ShellError: where a command cannot end here, nor go on with a redirection."""
        if self.outer is not None:
            raise self.reader.failure("the ( of this array is never closed", self.text.index("(", self.outer[0]))
        if self.redirection is not None:
            raise self.reader.failure("a redirection lacks its file", self.redirection[1])

    def _documents(self) -> Iterator[Document]:
        for delimiter, tabs, quoted in self.delimiters:
            start, end = self.at, len(self.text)
            while self.at < len(self.text):
                begin = self.at
                newline = self.text.find("\n", begin)
                self.at = len(self.text) if newline < 0 else newline + 1
                line = self.text[begin : self.at].removesuffix("\n")
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    end = begin
                    break
            places = tuple(self.offsets[start:end])
            yield Document(text=self.text[start:end], offsets=places, quoted=quoted, path=self.path.steps())
        self.delimiters.clear()
        ends = (self.at - 1, self.at)  # the second where the text ends with it
        over = takewhile(lambda mark: mark.start <= self.at, self.marks)
        if self.parsed < MAX_PARSED and not any(mark.kind == "heredoc_end" and mark.end in ends for mark in over):
            self.parsed += 1
            self.marks = deque(marks(self.text, self.at))
