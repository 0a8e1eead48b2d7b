"""The launches that the words of one command stand for: directly, behind commands that start others, in a container,
or in a shell text among the words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from glmdeploy.authoring.launch import docker, servers, slurm
from glmdeploy.authoring.launch.launch import Container, Launch, Note, Word
from glmdeploy.authoring.launch.words import ShellError
from glmdeploy.authoring.launch.wrappers import SILENT, WRAPPERS, Around, around
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown
from glmdeploy.sglang import engines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glmdeploy.sglang.engines import Engine

SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh"})
MAX_LOOKS = 4000
"""How often one command is looked at: commands may be nested in one another without end."""

_TALKING = frozenset(
    {
        *("awk", "cat", "curl", "echo", "git", "grep", "pgrep", "pip", "pip3", "pkill", "printf", "ps"),
        *("sed", "touch", "wget", "which", "ls", "cd", "test", "[", "kill", "sleep", "tee", "tail", "head"),
    }
)
"""Commands whose arguments may name a server without launching it."""


_NAMING = frozenset({"-n", "--name", "-p", "--prefix", "-J", "--job-name", "-s", "-S", "-t", "-u", "-w", "-L"})
"""Options of commands that start others whose value may be called like a command: ``conda run -n env``."""
_INSTALLING = frozenset({"install", "add", "pull", "build", "sync", "download", "create"})


class Inner(Protocol):
    """Reads a shell text inside the text: with its environment, and the words that become ``$0``, ``$1`` and so on."""

    def __call__(self, word: Word, env: Mapping[str, Word], arguments: Sequence[Word] = ()) -> list[Launch]: ...


@dataclass(kw_only=True)
class Argv:
    """Looks for launches. ``job`` is the SLURM job that a script describes, ``containers`` those that have a name."""

    inner: Inner
    job: slurm.Job = field(default_factory=slurm.Job)
    containers: dict[str, docker.Run] = field(default_factory=dict)
    looks: int = 0

    def find(self, words: Sequence[Word], env: Mapping[str, Word]) -> list[Launch]:
        """The launches that a simple command stands for: one, none, or those of a shell text among its words."""
        if not words:
            return []
        self.looks += 1
        if self.looks > MAX_LOOKS:
            raise ShellError("too many commands inside one another", words[0].span)
        name = words[0].text.rpartition("/")[2]
        if name == "env":
            rest, env, dropped = _env(words[1:], env)
            return [replace(each, notes=(*dropped, *each.notes)) for each in self.find(rest, env)]
        if name in docker.PROGRAMS and (found := self._in_container(words, env)) is not None:
            return found
        if name in SHELLS:
            return self._in_shell(words, env)
        if start := servers.started(words):
            arguments, notes = start
            return [_launch(words[0], arguments, env, *notes)]
        if engine := servers.other(words, first=True):
            return [_of_engine(engine, words, env)]
        return [] if name in _TALKING else self._wrapped(words, env)

    def _wrapped(self, words: Sequence[Word], env: Mapping[str, Word]) -> list[Launch]:
        """A launch behind words that only start it, such as ``srun`` or ``ssh host``, or that are not understood."""
        for index, word in enumerate(words):
            rest = words[index:]
            surrounding = around(words[:index], (), env) if _may_start(words, index) else None
            found: list[Launch] = []
            if word.text == "-m" and len(rest) > 1 and rest[1].text == servers.MODULE:
                surrounding = surrounding or around(words[:index], (), env)
                found = [_launch(word, rest[1:], surrounding.env)]
            elif word.text == "-m" and (engine := servers.module_of(rest)):
                surrounding = surrounding or around(words[:index], (), env)
                found = [_of_engine(engine, rest, surrounding.env)]
            elif surrounding is not None:
                found = self.find(rest, surrounding.env)
            elif " " in word.text.strip() and servers.named_in(word.text):
                surrounding = around(words[:index], rest[1:], env)
                found = self._guessed(word, surrounding.env)
            if found and surrounding is not None:
                return [self._with(launch, surrounding, words[0]) for launch in found]
            if surrounding is not None and word.text.rpartition("/")[2] in WRAPPERS:
                return []  # it has looked at all that stands behind it
        return []

    def _with(self, launch: Launch, about: Around, first: Word) -> Launch:
        """The launch with what is said around it."""
        job = about.job
        notes = [*about.notes, *job.notes]
        whole = job.over(self.job)
        nodes = whole.number if about.name == "srun" else None
        made = self.containers.get(about.target)
        container = about.container or (Container(image=made.image, flags=made.flags) if made else None)
        return replace(
            launch,
            container=launch.container or container,
            env={**(made.env if made else {}), **launch.env},
            gpu=launch.gpu or (whole.of_node if job.gpu else None),
            nodes=launch.nodes or nodes,
            releases=(*about.releases, *launch.releases),
            notes=(*notes, *launch.notes),
            place=(min(first.span[0], launch.place[0]), launch.place[1]),
        )

    def _guessed(self, word: Word, env: Mapping[str, Word]) -> list[Launch]:
        """The launches in an argument that looks like a shell text, as that of ``ssh`` does; nothing if it is none."""
        try:
            return self.inner(word, env)
        except ShellError:
            return []

    def _in_shell(self, words: Sequence[Word], env: Mapping[str, Word]) -> list[Launch]:
        at = _shell_text(words[1:])
        if at is None:
            return []
        found = self.inner(words[at + 1], env, words[at + 2 :])
        if at > 1:
            message = "the shell's own options were left out"
            note = Note(severity=Severity.INFO, message=message, span=(words[1].span[0], words[at].span[1]))
            return [replace(launch, notes=(note, *launch.notes)) for launch in found]
        return found

    def _in_container(self, words: Sequence[Word], env: Mapping[str, Word]) -> list[Launch] | None:
        """The launches of ``docker run``; None where it is another of docker's commands."""
        run = docker.read(words, env)
        if run is None:
            return None
        for name, value in run.flags:
            if name == "name":
                self.containers[value.text] = run
        container = Container(image=run.image, flags=run.flags)
        found = self.find(run.command, run.env) or by_entrypoint(run)
        return [
            replace(launch, container=launch.container or container, place=(words[0].span[0], launch.place[1]))
            for launch in found
        ]


def _may_start(words: Sequence[Word], index: int) -> bool:
    """Whether behind other words a word may be a command that starts a server, itself or by others."""
    if not index:
        return False
    rest = words[index:]
    name = rest[0].text.rpartition("/")[2]
    if name in SILENT or words[index - 1].text in _NAMING:
        return False
    if name == "env" or name in docker.PROGRAMS or name in SHELLS or name in WRAPPERS or servers.started(rest):
        return True
    installs = any(word.text in _INSTALLING for word in words[:index])
    return not installs and servers.other(rest, first=False) is not None


def _launch(first: Word, arguments: Sequence[Word], env: Mapping[str, Word], *notes: Note) -> Launch:
    place = arguments[0].span  # the word that says what is launched
    return Launch(words=tuple(arguments[1:]), place=(first.span[0], place[1]), env=dict(env), notes=notes)


def _of_engine(engine: Engine, words: Sequence[Word], env: Mapping[str, Word]) -> Launch:
    """A launch of another engine; all that stands behind the words that say so is kept."""
    module = next((index + 1 for index, word in enumerate(words[:-1]) if word.text == "-m"), 0)
    last = module if words[module].text in engine.modules else 0
    place = (words[0].span[0], words[last].span[1])
    return Launch(words=tuple(words[last + 1 :]), place=place, env=dict(env), engine=engine)


def _env(words: Sequence[Word], env: Mapping[str, Word]) -> tuple[Sequence[Word], Mapping[str, Word], tuple[Note, ...]]:
    """``env [-i] [-u NAME] [NAME=VALUE...] command``: the command, its environment, and what is not understood."""
    own = dict(env)
    notes: list[Note] = []
    while words:
        text = words[0].text
        if text in ("-i", "-", "--ignore-environment"):
            own.clear()
        elif text in ("-u", "--unset") and len(words) > 1:
            own.pop(words[1].text, None)
            words = words[1:]
        elif not text.startswith("-"):
            name, equals, _ = text.partition("=")
            if not equals:
                break
            own[name] = words[0].after(len(name) + 1)
        else:
            message = f"{shown(text)} of env was left out"
            notes.append(Note(severity=Severity.WARNING, message=message, span=words[0].span))
        words = words[1:]
    return words, own, tuple(notes)


def _shell_text(words: Sequence[Word]) -> int | None:
    """Where the text of ``sh -c TEXT`` stands, behind the shell's name from 0; ``-lc`` and the like count."""
    for index, word in enumerate(words[:-1]):
        if re.fullmatch(r"-[a-z]*c[a-z]*", word.text):
            return index + 1
        if not word.text.startswith(("-", "+")) and (index == 0 or words[index - 1].text not in ("-o", "-O", "+o")):
            return None
    return None


def by_entrypoint(run: docker.Run) -> list[Launch]:
    """A launch by an image whose entrypoint is SGLang's server, which then gets nothing but its options."""
    if engine := engines.by_image(run.image.text):
        return [Launch(words=run.command, place=run.image.span, env=run.env, engine=engine)]
    names = {word.text.partition("=")[0] for word in run.command}
    if not run.command or not run.command[0].text.startswith("--") or names.isdisjoint({"--model", "--model-path"}):
        return []
    message = "the image's own entrypoint was taken to launch SGLang with these options"
    note = Note(severity=Severity.WARNING, message=message, span=run.image.span)
    return [Launch(words=run.command, place=run.image.span, env=run.env, notes=(note,))]


def with_lost(launch: Launch, own: Mapping[str, Word], env: Mapping[str, Word]) -> Launch:
    """What is set in front of ``docker run``, or exported before it, is not set in the container."""
    notes = [
        Note(
            severity=Severity.WARNING if name in own else Severity.INFO,
            message=f"{name} is set for the command in front of the launch, and does not reach it",
            span=word.span,
            fix=f"give it to the launch, such as with -e {name}",
        )
        for name, word in env.items()
        if name not in launch.env
    ]
    return replace(launch, notes=(*launch.notes, *notes))
