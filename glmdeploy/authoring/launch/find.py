"""The commands that launch SGLang: which of their words do, what is wrapped around them, and what is set for them."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from glmdeploy.authoring.launch import docker
from glmdeploy.authoring.launch.launch import Container, Launch, Note, Word
from glmdeploy.authoring.launch.shell import Command, commands
from glmdeploy.authoring.launch.variables import Scope, Variable
from glmdeploy.authoring.launch.words import ShellError
from glmdeploy.findings import Severity
from glmdeploy.sglang import engines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from glmdeploy.sglang.engines import Engine

    Inner: TypeAlias = Callable[[Word, Mapping[str, Word]], list[Launch]]
    """Reads a shell text inside the text, with the environment that it gets."""

MAX_SHELLS = 8
"""Shells inside shells: ``sh -c "sh -c ..."``."""
MODULE = "sglang.launch_server"

_PYTHON = re.compile(r"python[0-9.]*|pypy[0-9.]*")
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh"})
_PASSING = {"exec": "a", "nohup": "", "setsid": "", "command": "", "sudo": "ugCphrtU", "time": "", "$": ""}
"""Commands that only start another one, with the letters of their options that take a value; a pasted prompt too."""
_TALKING = frozenset(
    {
        *("awk", "cat", "curl", "echo", "git", "grep", "pgrep", "pip", "pip3", "pkill", "printf", "ps"),
        *("sed", "touch", "wget", "which"),
    }
)
"""Commands whose arguments may name SGLang's server without launching it."""

_IN_TEXT = re.compile(rf"{re.escape(MODULE)}\b|\bsglang\s+serve\b")


def launches(
    text: str, offsets: Sequence[int] | None = None, scope: Scope | None = None, depth: int = 0
) -> list[Launch]:
    """Every launch of SGLang in a shell text, in the order of the text.

    ``offsets`` are the places of its characters where it is part of another text, ``scope`` its variables at the
    start, ``depth`` how many shells it is inside of.

    :raises ShellError: where the text cannot be read as a shell reads it.
    """
    scope = scope or Scope()
    inner = _shells(scope, depth)
    found: list[Launch] = []
    for item in commands(text, offsets):
        if isinstance(item, Command):
            found += _of_command(item, scope, inner)
        elif "sglang" in item.text and depth < MAX_SHELLS:
            # A script that is piped into a shell or written to a file; what is no script is another document.
            copy = Scope(variables=dict(scope.variables), length=scope.length)
            with contextlib.suppress(ShellError):
                found += launches(item.text, item.offsets, copy, depth + 1)
    return found


def _shells(scope: Scope, depth: int) -> Inner:
    """Reads the text that a shell gets as an argument."""

    def inner(word: Word, env: Mapping[str, Word]) -> list[Launch]:
        variables = {name: Variable(words=(value,), exported=True) for name, value in env.items() if not value.unknown}
        if depth >= MAX_SHELLS:
            raise ShellError(f"more than {MAX_SHELLS} shells inside one another", word.span)
        inside = launches(word.text, word.offsets, Scope(variables=variables, length=scope.length), depth + 1)
        passed = {name: value for name, value in env.items() if value.unknown}
        return [replace(launch, env={**passed, **launch.env}, notes=(*word.notes, *launch.notes)) for launch in inside]

    return inner


def _of_command(command: Command, scope: Scope, inner: Inner) -> list[Launch]:
    """The launches of one command, after what it does to the variables."""
    assignments, words = command.split()
    conditional = bool(command.under)
    if not words:
        for assignment in assignments:
            scope.assign(assignment, conditional=conditional)
        return []
    if scope.run(words[0].literal, words[1:], conditional=conditional):
        return []
    own = {each.name: scope.word(each.value) for each in assignments if each.value.array is None}
    return find([each for word in words for each in scope.words(word)], scope.exported() | own, inner)


def find(words: Sequence[Word], env: Mapping[str, Word], inner: Inner) -> list[Launch]:
    """The launches that a simple command stands for: one, none, or those of a shell text among its words."""
    if not words:
        return []
    name = words[0].text.rpartition("/")[2]
    if name in _PASSING:
        return find(_without_options(words[1:], _PASSING[name]), env, inner)
    if name == "env":
        rest, env = _env(words[1:], env)
        return find(rest, env, inner)
    if name in docker.PROGRAMS:
        return _in_container(words, env, inner)
    if name in _SHELLS:
        text = _shell_text(words[1:])
        return inner(text, env) if text else []
    if arguments := _arguments(words):
        return [_launch(words[0], arguments, env)]
    if engine := engines.by_command([word.text for word in words]):
        return [_of_engine(engine, words, env)]
    return [] if name in _TALKING else _wrapped(words, env, inner)


def _launch(first: Word, arguments: Sequence[Word], env: Mapping[str, Word], *notes: Note) -> Launch:
    place = arguments[0].span  # the word that says what is launched
    return Launch(words=tuple(arguments[1:]), place=(first.span[0], place[1]), env=dict(env), notes=notes)


def _of_engine(engine: Engine, words: Sequence[Word], env: Mapping[str, Word]) -> Launch:
    """A launch of another engine; all that stands behind the words that say so is kept."""
    module = next((index + 1 for index, word in enumerate(words[:-1]) if word.text == "-m"), 0)
    last = module if words[module].text in engine.modules else 0
    place = (words[0].span[0], words[last].span[1])
    return Launch(words=tuple(words[last + 1 :]), place=place, env=dict(env), engine=engine)


def _arguments(words: Sequence[Word]) -> Sequence[Word]:
    """``sglang.launch_server`` or ``serve`` and the words behind it, where the words run either; else nothing."""
    name = words[0].text.rpartition("/")[2]
    if name == "sglang" and len(words) > 1 and words[1].text == "serve":
        return _served(words[1:])
    if _PYTHON.fullmatch(name) is None:
        return ()
    at = 1
    while at < len(words) - 1 and words[at].text.startswith("-"):
        if words[at].text == "-m":
            return words[at + 1 :] if words[at + 1].text == MODULE else ()
        at += 2 if words[at].text in ("-W", "-X") else 1
    return ()


def _served(words: Sequence[Word]) -> Sequence[Word]:
    """As ``sglang/cli/serve.py`` (0.5.23) reads it: the model may come first without its option's name."""
    if len(words) > 1 and not words[1].text.startswith("-"):
        words = [words[0], Word(text="--model-path", span=words[1].span), *words[1:]]
    kept = []
    skip = False
    for word in words:
        if not skip and word.text != "--model-type" and not word.text.startswith("--model-type="):
            kept.append(word)
        skip = not skip and word.text == "--model-type"
    return kept


def _wrapped(words: Sequence[Word], env: Mapping[str, Word], inner: Inner) -> list[Launch]:
    """A launch behind words that are not understood, such as ``numactl`` or ``ssh host``; they are told."""
    for index, word in enumerate(words):
        rest = words[index:]
        found: list[Launch] = []
        if word.text == "-m" and len(rest) > 1 and rest[1].text == MODULE:
            found = [_launch(word, rest[1:], env)]
        elif index and _arguments(rest):
            found = [_launch(word, _arguments(rest), env)]
        elif engine := _engine(words, index):
            found = [_of_engine(engine, rest, env)]
        elif index and word.text.rpartition("/")[2] in {*docker.PROGRAMS, *_SHELLS}:
            found = find(rest, env, inner)
        elif " " in word.text and _IN_TEXT.search(word.text):
            found = _guessed(word, env, inner)
        if found:
            told = () if index == 0 else _left_out(words[:index])
            return [replace(launch, notes=(*told, *launch.notes)) for launch in found]
    return []


def _engine(words: Sequence[Word], index: int) -> Engine | None:
    """The engine that a wrapped command starts, or one whose Python is not told (``$PYTHON -m vllm...``)."""
    texts = [word.text for word in words[index:]]
    return engines.by_command(["python", *texts] if texts[0] == "-m" else texts)


def _guessed(word: Word, env: Mapping[str, Word], inner: Inner) -> list[Launch]:
    """The launches in an argument that looks like a shell text, as that of ``ssh`` does; nothing if it is none."""
    try:
        return inner(word, env)
    except ShellError:
        return []


def _left_out(words: Sequence[Word]) -> tuple[Note, ...]:
    if len(words) == 1 and words[0].unknown:  # $PYTHON -m ...
        return ()
    message = "what stands around the launch was left out"
    return (Note(severity=Severity.WARNING, message=message, span=(words[0].span[0], words[-1].span[1])),)


def _without_options(words: Sequence[Word], with_value: str) -> Sequence[Word]:
    while words and words[0].text.startswith("-"):
        letters = words[0].text[1:]
        words = words[2:] if letters and letters[-1] in with_value and letters[0] != "-" else words[1:]
    return words


def _env(words: Sequence[Word], env: Mapping[str, Word]) -> tuple[Sequence[Word], Mapping[str, Word]]:
    """``env [-i] [-u NAME] [NAME=VALUE...] command``."""
    own = dict(env)
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
        words = words[1:]
    return words, own


def _shell_text(words: Sequence[Word]) -> Word | None:
    """The text of ``sh -c TEXT``; ``-lc`` and the like count."""
    for index, word in enumerate(words[:-1]):
        if re.fullmatch(r"-[a-z]*c[a-z]*", word.text):
            return words[index + 1]
        if not word.text.startswith(("-", "+")) and (index == 0 or words[index - 1].text not in ("-o", "-O", "+o")):
            return None
    return None


def in_image(
    command: Sequence[Word], env: Mapping[str, Word], container: Container, *, scope: Scope | None = None
) -> list[Launch]:
    """The launches of a container that a file describes: ``command`` is its whole argv, ``env`` its environment.

    An argv that has only options is given to the image's own entrypoint.

    :raises ShellError: where a shell text in it cannot be read.
    """
    found = find(command, env, _shells(scope or Scope(), 0))
    if not found:
        found = _by_entrypoint(
            docker.Run(image=container.image, flags=container.flags, env=env, command=tuple(command))
        )
    return [replace(launch, container=launch.container or container) for launch in found]


def of_argv(command: Sequence[Word], env: Mapping[str, Word]) -> list[Launch]:
    """The launches of a command that a file gives as its argv, with the environment that it gets.

    :raises ShellError: where a shell text in it cannot be read.
    """
    found = find(command, env, _shells(Scope(), 0))
    # Where the words come from a list above, the program may stand behind the module that it runs.
    return [
        replace(each, place=(each.place[1] - 1, each.place[1])) if each.place[0] >= each.place[1] else each
        for each in found
    ]


def _in_container(words: Sequence[Word], env: Mapping[str, Word], inner: Inner) -> list[Launch]:
    run = docker.read(words, env)
    if run is None:
        return []
    container = Container(image=run.image, flags=run.flags)
    found = find(run.command, run.env, inner) or _by_entrypoint(run)
    return [
        replace(launch, container=launch.container or container, place=(words[0].span[0], launch.place[1]))
        for launch in found
    ]


def _by_entrypoint(run: docker.Run) -> list[Launch]:
    """A launch by an image whose entrypoint is SGLang's server, which then gets nothing but its options."""
    if engine := engines.by_image(run.image.text):
        return [Launch(words=run.command, place=run.image.span, env=run.env, engine=engine)]
    names = {word.text.partition("=")[0] for word in run.command}
    if not run.command or not run.command[0].text.startswith("--") or names.isdisjoint({"--model", "--model-path"}):
        return []
    message = "the image's own entrypoint was taken to launch SGLang with these options"
    note = Note(severity=Severity.WARNING, message=message, span=run.image.span)
    return [Launch(words=run.command, place=run.image.span, env=run.env, notes=(note,))]
