"""The launches in a shell text, and what the text does before them: variables, functions, loops, installed releases."""

from __future__ import annotations

import contextlib
import re
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch import docker, loops, orphans, requirement, servers, slurm, spaced
from glmdeploy.authoring.launch.argv import SHELLS, Argv, by_entrypoint, with_lost
from glmdeploy.authoring.launch.launch import Launch, Note, Word
from glmdeploy.authoring.launch.lookalikes import DASHES, as_meant
from glmdeploy.authoring.launch.outcomes import Variable
from glmdeploy.authoring.launch.shell import Command, Document, called, commands, own_function, rebased
from glmdeploy.authoring.launch.variables import Scope
from glmdeploy.authoring.launch.words import ShellError
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from glmdeploy.authoring.launch.branches import Step
    from glmdeploy.authoring.launch.launch import Container
    from glmdeploy.authoring.launch.words import RawWord

MAX_SHELLS = 8
"""Shells inside shells: ``sh -c "sh -c ..."``."""
MAX_COMMANDS = 20_000
"""Commands that a text may have when its functions are called."""

_ESCAPED = re.compile(r"\\([$`\\])")


def launches(
    text: str, offsets: Sequence[int] | None = None, scope: Scope | None = None, depth: int = 0
) -> list[Launch]:
    """Every launch of SGLang in a shell text, in the order of the text.

    ``offsets`` are the places of its characters where it is part of another text, ``scope`` its variables at the
    start, ``depth`` how many shells it is inside of.

    :raises ShellError: where the text cannot be read as a shell reads it.
    """
    return _Reading(scope=scope or Scope(), depth=depth).read(text, offsets)


def in_image(
    command: Sequence[Word], env: Mapping[str, Word], container: Container, *, scope: Scope | None = None
) -> list[Launch]:
    """The launches of a container that a file describes: ``command`` is its whole argv, ``env`` its environment.

    An argv that has only options is given to the image's own entrypoint.

    :raises ShellError: where a shell text in it cannot be read.
    """
    words, notes = as_meant([replace(each, bare=each.text[:1] in tuple(DASHES)) for each in command])
    reading = _Reading(scope=scope or Scope(), depth=0)
    found = reading.argv.find(words, env)
    notes += reading.shared.beside
    if not found:
        found = by_entrypoint(docker.Run(image=container.image, flags=container.flags, env=env, command=tuple(words)))
    return [replace(each, container=each.container or container, notes=(*notes, *each.notes)) for each in found]


def of_argv(command: Sequence[Word], env: Mapping[str, Word]) -> list[Launch]:
    """The launches of a command that a file gives as its argv, with the environment that it gets.

    :raises ShellError: where a shell text in it cannot be read.
    """
    words, notes = as_meant([replace(each, bare=each.text[:1] in tuple(DASHES)) for each in command])
    reading = _Reading(scope=Scope(), depth=0)
    found = reading.argv.find(words, env)
    notes += reading.shared.beside
    # Where the words come from a list above, the program may stand behind the module that it runs.
    return [
        replace(
            each,
            place=each.place if each.place[0] < each.place[1] else (each.place[1] - 1, each.place[1]),
            notes=(*notes, *each.notes),
        )
        for each in found
    ]


@dataclass(kw_only=True)
class _Before:
    """The last command: its words, the launches that it stands for, and the word that breaks off its last line."""

    words: Sequence[Word] = ()
    launches: Sequence[int] = ()
    broken: Word | None = None
    indent: int | None = None
    """Blanks in front of the launch, where it begins its line."""


@dataclass(kw_only=True)
class _Shared:
    """What all texts inside one text have in common."""

    releases: list[Word] = field(default_factory=list)
    commands: int = 0
    beside: list[Note] = field(default_factory=list)
    """What is installed beside SGLang."""


@dataclass(kw_only=True)
class _Reading:
    scope: Scope
    depth: int
    shared: _Shared = field(default_factory=_Shared)
    functions: dict[str, list[Command | Document]] = field(default_factory=dict)
    executed: set[str] = field(default_factory=set)
    names: frozenset[str] = frozenset()
    loops: dict[int, loops.Loop] = field(default_factory=dict)
    newlines: list[int] = field(default_factory=list)
    found: list[Launch] = field(default_factory=list)
    written: list[Launch] = field(default_factory=list)
    """Launches in here-documents: what a script only prints or writes comes behind what it does."""
    aliases: dict[str, Word] = field(default_factory=dict)
    before: _Before = field(default_factory=_Before)
    waiting: list[tuple[Sequence[Word], str, Word | None]] = field(default_factory=list)
    """Lines that begin with an option, above any launch."""

    def __post_init__(self) -> None:
        self.argv = Argv(inner=self._inner)

    def read(self, text: str, offsets: Sequence[int] | None) -> list[Launch]:
        """The launches of a text that is read from its beginning."""
        places = range(len(text)) if offsets is None else offsets
        self.newlines = [places[index] for index, character in enumerate(text) if character == "\n"]
        job = slurm.job(text, places)
        self.argv.job = job.over(self.argv.job)
        for name, word in job.variables().items():
            self.scope.give(name, [word])
        self.scope.ambient = {**self.scope.ambient, **job.variables()}
        items = list(commands(text, offsets))
        self.names = called(items)
        self._run(items)
        for name in [each for each in self.functions if each not in self.executed]:
            self._call(name, (), (), said=f"the function {name} is defined, but nothing in this text calls it")
        ends = [*orphans.line_ends(text, places), *(self.shared.beside if not self.depth else ())]
        return [
            replace(each, notes=(*ends, *each.notes))
            for each in map(self.argv.job.around if not self.depth else lambda each: each, [*self.found, *self.written])
        ]

    def _run(self, items: Iterable[Command | Document], base: tuple[Step, ...] = (), depth: int = 0) -> None:
        for item in items:
            self.shared.commands += 1
            if self.shared.commands > MAX_COMMANDS:
                raise ShellError("the functions of this text call one another without end", (0, 1))
            function = own_function(item.path, self.names)
            if function is not None:
                self.functions.setdefault(function, []).append(item)
                self.executed.discard(function)
                continue
            path = (*base, *item.path)
            if isinstance(item, Document):
                self._document(item, path)
            else:
                self._command(item, path, depth)

    def _document(self, item: Document, path: tuple[Step, ...]) -> None:
        """A script that is piped into a shell or written to a file; what is no script is another document."""
        if self.depth >= MAX_SHELLS or not ("sglang" in item.text or servers.named_in(item.text)):
            return
        self.scope.path = path
        text, offsets = (item.text, item.offsets) if item.quoted else _unescaped(item)
        with contextlib.suppress(ShellError):
            inside = self._inside(self.scope.copy(exported=item.quoted)).read(text, offsets)
            self.written += [self._around(launch, path) for launch in inside]

    def _inside(self, scope: Scope) -> _Reading:
        inside = _Reading(scope=scope, depth=self.depth + 1, shared=self.shared)
        inside.argv.job, inside.argv.containers = replace(self.argv.job, gpu=None, notes=()), self.argv.containers
        return inside

    def _inner(self, word: Word, env: Mapping[str, Word], arguments: Sequence[Word] = ()) -> list[Launch]:
        """The launches in the text that a shell gets as an argument."""
        variables = self.scope.surrounding()
        variables |= {name: Variable(words=(value,), exported=True) for name, value in env.items() if not value.unknown}
        variables |= {str(index): Variable(words=(value,)) for index, value in enumerate(arguments)}
        if arguments:
            variables["@"] = Variable(words=tuple(arguments[1:]), array=True)
        if self.depth >= MAX_SHELLS:
            raise ShellError(f"more than {MAX_SHELLS} shells inside one another", word.span)
        scope = Scope(
            variables=variables,
            length=self.scope.length,
            kept_outside=self.scope.unexported(),
            ambient=self.scope.ambient,
        )
        inside = self._inside(scope).read(word.text, word.offsets)
        passed = {name: value for name, value in env.items() if value.unknown}
        return [replace(launch, env={**passed, **launch.env}, notes=(*word.notes, *launch.notes)) for launch in inside]

    def _evaluated(self, words: Sequence[Word], path: tuple[Step, ...]) -> list[Launch]:
        """The launches of ``eval``, whose text has the variables of this one, and may change them."""
        if self.depth >= MAX_SHELLS or not words:
            return []
        text = " ".join(word.text for word in words)
        offsets = [at for word in words for at in (*word.offsets, word.span[1] - 1)][: len(text)]
        inside = self._inside(self.scope)
        inside.functions, inside.executed, inside.names = self.functions, self.executed, self.names
        notes = tuple(note for word in words for note in word.notes)
        try:
            inside.newlines = self.newlines
            inside._run(list(commands(text, offsets)), path)
        except ShellError:
            if all(not word.unknown for word in words):
                raise
        return [replace(launch, notes=(*notes, *launch.notes)) for launch in [*inside.found, *inside.written]]

    def _command(self, item: Command, path: tuple[Step, ...], depth: int) -> None:
        """One command: what it does to the variables, and the launches that it stands for."""
        self.scope.path = path
        self._enter_loops(path, item)
        assignments, raw = item.split()
        self.scope.told.clear()
        if meant := spaced.meant(assignments, raw):
            self.scope.assign(meant.assignment, exported=meant.exported, notes=(meant.note,))
            return
        if not raw:
            for assignment in assignments:
                self.scope.assign(assignment)
            return
        name = raw[0].literal
        if self.scope.run(name, raw[1:]):
            return
        if name in self.functions and depth < MAX_SHELLS:
            for assignment in assignments:
                self.scope.assign(assignment, exported=True)
            self._call(name, raw[1:], path, depth=depth + 1)
            return
        own = {each.name: self.scope.word(each.value) for each in assignments if each.value.array is None}
        expanded = [each for word in raw for each in self.scope.words(word)]
        words, notes, broken = self._as_meant(expanded)
        if not words:
            self._meet_nothing(item, raw)
            return
        self.shared.releases += [each for each in requirement.releases(words) if each not in self.shared.releases]
        self.argv.looks = 0
        env = self.scope.exported() | own
        if words[0].text == "alias":
            names = [each.text.partition("=")[0] for each in words[1:]]
            self.aliases |= {
                name: each.after(len(name) + 1) for name, each in zip(names, words[1:], strict=True) if "=" in each.text
            }
            return
        if words[0].text in self.aliases:
            found = self._evaluated([self.aliases[words[0].text], *words[1:]], path)
        elif words[0].text == "eval":
            found = self._evaluated(words[1:], path)
        elif item.fed is not None and words[0].text.rpartition("/")[2] in SHELLS:
            found = self._inner(self.scope.word(item.fed), env)
        else:
            above = self._above(item, words)
            found = (self.argv.find([*above, *words], env) if above else []) or self.argv.find(words, env)
        if not found:
            self.shared.beside += [each for each in requirement.beside(words) if each not in self.shared.beside]
        notes += [*self.scope.told, *map(orphans.into_file, filter(orphans.is_option, item.files))]
        found = [self._around(replace(each, notes=(*notes, *each.notes)), path) for each in found]
        found = [with_lost(each, own, env) for each in found]
        told = [*self.scope.told, *(note for word in words for note in word.notes)]
        self._meet(item, words, found, broken, told)

    def _as_meant(self, words: list[Word]) -> tuple[list[Word], list[Note], Word | None]:
        """The words without what was mistyped, with errors for that, and the word that breaks off the last line."""
        words, notes, comment = orphans.without_comment(words, [bisect_right(self.newlines, w.span[0]) for w in words])
        words, more, broken = orphans.unbroken(words)
        words, odd = as_meant(words)
        words, apart = spaced.joined(words)
        return words, [*notes, *more, *odd, *apart], comment or broken

    def _around(self, launch: Launch, path: tuple[Step, ...]) -> Launch:
        repeated = loops.told(path, self.loops, launch)
        releases = (*self.shared.releases, *(each for each in launch.releases if each not in self.shared.releases))
        return replace(launch, releases=releases, notes=(*launch.notes, *((repeated,) if repeated else ())))

    def _above(self, item: Command, words: Sequence[Word]) -> list[Word]:
        """The words of lines above that were meant for this command."""
        above = [word for each, _, _ in self.waiting for word in each]
        if not above and (orphans.begins_with_option(words) or self.before.broken) and not self.before.launches:
            above = list(self.before.words)
        return above if orphans.adjacent(item.gap) else []

    def _meet(
        self, item: Command, words: Sequence[Word], found: list[Launch], broken: Word | None, told: Sequence[Note]
    ) -> None:
        """Put the launches to the others, and tell what was meant for the last of them, or for these.

        ``told`` are the notes on the words.
        """
        last = self.before
        begins = orphans.begins_with_option(words) or (
            bool(last.launches) and orphans.further_in(last.indent, item.gap)
        )
        if not found and (begins or (last.broken and last.launches and orphans.next_line(item.gap))):
            if not last.launches and not self.found:
                self.waiting.append((last.words, "\n", last.broken) if not self.waiting else ((), "", None))
                self.waiting.append((words, item.gap, broken))
                self.before = _Before(words=words, broken=broken)
                return
            hit = last.launches or [len(self.found) - 1]
            note = orphans.lost(words, item.gap, last.broken)
            self.found[hit[-1]] = orphans.with_note(self.found[hit[-1]], note, told)
            self.before = _Before(words=words, launches=hit, broken=broken, indent=last.indent)
            return
        if found and (above := self._above(item, words)):
            note = orphans.cut_off(above, item.gap, last.broken)
            found = [orphans.with_note(each, note) for each in found]
        self.waiting.clear()
        indices = range(len(self.found), len(self.found) + len(found))
        if not found and item.after in ("|", "|&"):
            indices = range(len(self.found) - len(last.launches), len(self.found)) if last.launches else indices
        self.found += found
        indent = orphans.indent(item.gap) if found else last.indent if indices else None
        self.before = _Before(words=words, launches=list(indices), broken=broken, indent=indent)

    def _meet_nothing(self, item: Command, raw: Sequence[RawWord]) -> None:
        """Tell of a line below a launch that is nothing but variables, which are empty."""
        if self.before.launches and self.scope.told and orphans.adjacent(item.gap):
            words = [Word(text=word.raw, span=word.span) for word in raw]
            note = orphans.lost(words, item.gap, self.before.broken)
            at = self.before.launches[-1]
            self.found[at] = orphans.with_note(self.found[at], note, self.scope.told)

    def _enter_loops(self, path: tuple[Step, ...], item: Command) -> None:
        """Give each loop's variable its first value, where the loop begins."""
        for index, step in enumerate(path):
            if step.kind not in ("for", "select") or step.number in self.loops:
                continue
            self.scope.path = path[: index + 1]
            if step.head:
                loop = loops.of_words([each for word in step.head for each in self.scope.words(word)])
            else:
                loop = loops.counted(step, Word(text="", span=item.words[0].span))
            if loop is None:
                continue
            self.loops[step.number] = loop
            if loop.values:
                self.scope.give(loop.name, loop.values[:1])
        self.scope.path = path

    def _call(
        self, name: str, arguments: Sequence[RawWord], path: tuple[Step, ...], *, said: str = "", depth: int = 0
    ) -> None:
        """Run a function's commands with its arguments; ``said`` is a warning for what it launches."""
        self.executed.add(name)
        words = [each for word in arguments for each in self.scope.words(word)]
        kept = {key: each for key, each in self.scope.variables.items() if key.isdigit() or key in "@*#"}
        known, count = dict(self.loops), len(self.found)
        for key in kept:
            del self.scope.variables[key]
        if not said:
            self.scope.number(words)
        self._run(rebased(self.functions[name]), path, depth)
        self.scope.variables = {
            key: each for key, each in self.scope.variables.items() if not (key.isdigit() or key in "@*#")
        } | kept
        self.loops = known
        for index in range(count, len(self.found)) if said else ():
            note = Note(severity=Severity.WARNING, message=said, span=self.found[index].place)
            self.found[index] = replace(self.found[index], notes=(*self.found[index].notes, note))


def _unescaped(item: Document) -> tuple[str, tuple[int, ...]]:
    """A here-document in which ``\\$`` stands for the dollar sign of the text that it becomes."""
    kept: list[int] = []
    at = 0
    for match in _ESCAPED.finditer(item.text):
        kept += range(at, match.start())
        at = match.start() + 1
    kept += range(at, len(item.text))
    return "".join(item.text[index] for index in kept), tuple(item.offsets[index] for index in kept)
