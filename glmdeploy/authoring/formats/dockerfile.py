"""A Dockerfile: the command that its image runs, with the environment and the base image.

After the reference of Dockerfile (docs.docker.com/reference/dockerfile, syntax 1.x): the last stage counts; CMD are the
arguments of ENTRYPOINT, unless that is in shell form. What the build adds to the base image is told, not copied.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.located import Located, joined, placed, whole
from glmdeploy.authoring.formats.tell import LAUNCHES, failed, info, installed, shell, told, warning
from glmdeploy.authoring.launch.find import in_image
from glmdeploy.authoring.launch.launch import Container, Word
from glmdeploy.authoring.launch.shell import Command, commands
from glmdeploy.authoring.launch.variables import Scope
from glmdeploy.authoring.launch.words import ShellError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.authoring.launch.launch import Launch, Note, Span
    from glmdeploy.authoring.launch.script import Script

INSTRUCTIONS = frozenset(
    [
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ]
)
_INSTRUCTION = re.compile(r"[ \t]*([A-Za-z]+)(?:[ \t]+|$)")
_FIRST = re.compile(
    r"(?:[ \t]*(?:#[^\n]*)?\n)*(?=[ \t]*(?:(?:ARG[ \t]+\w+(?:=[^\n]*)?\n\s*)*)FROM[ \t]+[^\s\"'(]+)", re.IGNORECASE
)
_FROM = re.compile(r"^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*\S+(?:[ \t]+AS[ \t]+\S+)?[ \t]*$", re.MULTILINE | re.IGNORECASE)
_HEREDOC = re.compile(r"<<-?[ \t]*([\"']?)([A-Za-z_]\w*)\1")
_DIRECTIVE = re.compile(r"#[ \t]*(\w+)[ \t]*=[ \t]*(\S+)[ \t]*$")
_BUILDING = {"RUN": "what RUN does", "COPY": "what COPY brings", "ADD": "what ADD brings"}
_SILENT = frozenset({"LABEL", "MAINTAINER", "STOPSIGNAL"})
"""Of no matter for what runs."""


@dataclass(frozen=True, kw_only=True)
class _Instruction:
    name: str
    rest: Located
    span: Span
    document: Located | None = None


@dataclass(kw_only=True)
class _Stage:
    """A stage so far. ``scope`` has ARG and ENV, ``names`` are those of ENV."""

    image: Word
    alias: str
    span: Span
    scope: Scope = field(default_factory=Scope)
    names: list[str] = field(default_factory=list)
    command: _Instruction | None = None
    entrypoint: _Instruction | None = None
    shell: Sequence[Word] = ()
    notes: list[Note] = field(default_factory=list)
    releases: tuple[Word, ...] = ()
    files: dict[str, Located] = field(default_factory=dict)


def shows(script: Script) -> Span | None:
    """Where the first FROM stands, if only comments and ARG stand before it and an instruction behind it."""
    text = script.text
    if not _FIRST.match(text) or (found := _FROM.search(text)) is None:
        return None
    others = [line for line in _instructions(whole(text)) if line.name not in ("FROM", "ARG")]
    known = [each for each in others if each.name in INSTRUCTIONS]
    named = re.search(r"(?:^|[/\\])(?:Docker|Container)file[^/\\]*$|\.dockerfile$", script.file, re.IGNORECASE)
    return found.span() if len(known) * 2 >= len(others) or named else None


def read(text: Located, script: Script) -> list[Launch]:
    """The launch of the last stage.

    :raises ProfileError: where it runs nothing that launches SGLang, or names no base image.
    """
    stages = _stages(text)
    final = stages[-1]
    notes = [warning(f"the stage {each.alias or 'above'} was left out", each.span) for each in stages[:-1]]
    base, chain = final.image, {id(final)}
    for each in reversed(stages[:-1]):
        if each.alias and each.alias.lower() == base.text.lower():
            base = each.image
            chain.add(id(each))
    notes = [note for note, each in zip(notes, stages[:-1], strict=True) if id(each) not in chain]
    container = Container(image=base)
    env = {name: word for name, word in final.scope.exported().items() if name in final.names}
    argv, more = _argv(final, script)
    found = in_image(argv, env, container) if argv else []
    if not found and argv:
        found = _of_files(final, argv, env, container)
    if not found:
        raise _nothing(final, argv, script)
    if any(note.message.startswith("what ") for note in final.notes):
        message = f"the image that this file builds has no name: its base {base.text} was taken"
        more.insert(0, warning(message, base.span, "build and push it, and set `sglang.image`"))
    return [
        replace(each, releases=(*final.releases, *each.releases)) for each in told(found, *notes, *final.notes, *more)
    ]


def _nothing(stage: _Stage, argv: Sequence[Word], script: Script) -> Exception:
    place = stage.command or stage.entrypoint
    if place is None:
        message = "this Dockerfile has no CMD and no ENTRYPOINT, so that it does not say how SGLang is launched"
        return failed(script, message, stage.span, "import the command that the image is run with")
    scripts = [word.text for word in argv if re.search(r"[./]\w+$", word.text)]
    what = f": what {scripts[0]} does is not in this text" if scripts else ""
    message = f"{place.name} launches no SGLang{what}"
    return failed(script, message, place.span, "import the script or command that launches it")


def _of_files(stage: _Stage, argv: Sequence[Word], env: dict[str, Word], container: Container) -> list[Launch]:
    """The launches in a script that a COPY with a here-document writes."""
    for word in argv:
        name = word.text.rpartition("/")[2]
        if name in stage.files:
            return [replace(each, container=each.container or container) for each in shell(stage.files[name], env)]
    return []


def _argv(stage: _Stage, script: Script) -> tuple[list[Word], list[Note]]:
    notes: list[Note] = []
    entry = _form(stage.entrypoint, stage, script)
    command = _form(stage.command, stage, script)
    if stage.entrypoint and stage.command and entry[1]:
        notes.append(warning("CMD was left out: an ENTRYPOINT in shell form gets no arguments", stage.command.span))
        return entry[0], notes
    return [*entry[0], *command[0]], notes


def _form(instruction: _Instruction | None, stage: _Stage, script: Script) -> tuple[list[Word], bool]:
    """The argv of a CMD or ENTRYPOINT, and whether it is in shell form."""
    if instruction is None:
        return [], False
    if items := _json_words(instruction.rest):
        return items, False
    if instruction.rest.text.lstrip().startswith("[") and LAUNCHES.search(instruction.rest.text):
        message = f"{instruction.name} begins like a JSON list and is none, so that a shell would get the brackets"
        raise failed(script, message, instruction.span, "write it with double quotes and commas, as a JSON list")
    if not instruction.rest.text.strip():
        return [], False
    at = instruction.span[0]
    start = stage.shell or [placed(each, at).word() for each in ("/bin/sh", "-c")]
    return [*start, instruction.rest.word()], True


def _json_words(text: Located) -> list[Word]:
    """The items of a JSON list of strings, each at its place; nothing where it is none."""
    try:
        items = json.loads(text.text)
    except (ValueError, RecursionError):
        return []
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        return []
    found = list(re.finditer(r'"((?:\\.|[^"\\])*)"', text.text))
    words = []
    for match, item in zip(found, items, strict=True):
        place = text.cut(*match.span(1))
        words.append((place if place.text == item else placed(item, text.span(match.start())[0])).word(raw=match[0]))
    return words


def _stages(text: Located) -> list[_Stage]:
    outer = Scope()
    stages: list[_Stage] = []
    for each in _instructions(text):
        if each.name == "FROM":
            stages.append(_from(each, outer, stages))
        elif not stages:
            if each.name == "ARG":
                _assign(each.rest, outer, outer, exported=False)
        else:
            _take(each, stages[-1], outer)
    return stages


def _from(each: _Instruction, outer: Scope, stages: Sequence[_Stage]) -> _Stage:
    words = _words(each.rest, outer)
    words = [word for word in words if not word.text.startswith("--")]
    image = words[0] if words else each.rest.word()
    alias = words[2].text if len(words) > 2 and words[1].text.lower() == "as" else ""
    stage = _Stage(image=image, alias=alias, span=each.span)
    parent = next((old for old in reversed(stages) if old.alias and old.alias.lower() == image.text.lower()), None)
    if parent is not None:
        stage.scope.variables.update({name: parent.scope.variables[name] for name in parent.names})
        stage.names += parent.names
        stage.command, stage.entrypoint, stage.shell = parent.command, parent.entrypoint, parent.shell
        stage.notes += parent.notes
        stage.releases = parent.releases
        stage.files.update(parent.files)
    return stage


def _take(each: _Instruction, stage: _Stage, outer: Scope) -> None:
    match each.name:
        case "ENV":
            stage.names += _assign(each.rest, stage.scope, stage.scope, exported=True)
        case "ARG":
            _assign(each.rest, stage.scope, outer, exported=False)
        case "CMD" | "ENTRYPOINT":
            before = stage.command if each.name == "CMD" else stage.entrypoint
            if before is not None:
                stage.notes.append(warning(f"only the last {each.name} counts: this one was left out", before.span))
            if each.name == "CMD":
                stage.command = each
            else:
                stage.entrypoint = each
        case "SHELL":
            stage.shell = _json_words(each.rest)
        case "RUN" | "COPY" | "ADD":
            stage.releases = (*stage.releases, *installed(_expanded(each.rest, stage.scope)))
            if each.document is not None and each.rest.text.split():
                stage.releases = (*stage.releases, *installed(each.document))
                stage.files[each.rest.text.split()[-1].rpartition("/")[2]] = each.document
            message = f"{_BUILDING[each.name]} was left out"
            stage.notes.append(warning(message, each.span, "add it under `sglang.image_steps` where it is needed"))
        case "EXPOSE":
            stage.notes.append(info("EXPOSE was left out: Modal gives a URL of its own", each.span))
        case "VOLUME":
            message = "VOLUME was left out: the profile's own volumes are mounted"
            stage.notes.append(info(message, each.span))
        case "HEALTHCHECK":
            message = "HEALTHCHECK was left out: the profile's own checks look after the server"
            stage.notes.append(info(message, each.span, "see `server.health`"))
        case name if name in ("WORKDIR", "USER", "ONBUILD"):
            stage.notes.append(info(f"{name} was left out: a profile has no place for it", each.span))
        case name if name not in _SILENT:
            stage.notes.append(warning(f"{name} is no instruction that is known, and was left out", each.span))


def _assign(rest: Located, scope: Scope, values: Scope, *, exported: bool) -> list[str]:
    """Give variables their values; returns their names. ``values`` are those of an ARG without a default."""
    name, _, _ = rest.text.partition(" ")
    if "=" not in name and exported:
        begin = len(name) + len(rest.text[len(name) :]) - len(rest.text[len(name) :].lstrip())
        value = rest.cut(begin).stripped()
        first, behind = value.span() if value.text else rest.span(len(name) - 1)
        quoted = [placed('"', first), value, placed('"', behind - 1)]
        rest = joined([rest.cut(0, len(name)), placed("=", rest.span(begin)[0]), *quoted])
    names = []
    try:
        found = [item for item in commands(rest.text, rest.offsets) if isinstance(item, Command)]
    except ShellError:
        return []
    for item in found:
        assignments, others = item.split()
        for assignment in assignments:
            scope.assign(assignment, exported=exported)
            names.append(assignment.name)
        for other in others:
            text = other.literal
            if text in values.variables:
                scope.variables[text] = values.variables[text]
    return names


def _words(text: Located, scope: Scope) -> list[Word]:
    try:
        found = [item for item in commands(text.text, text.offsets) if isinstance(item, Command)]
    except ShellError:
        return []
    return [word for item in found for raw in item.words for word in scope.words(raw)]


_PARAMETER = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def _expanded(text: Located, scope: Scope) -> Located:
    def value(match: re.Match[str]) -> Located | None:
        variable = scope.variables.get(match[1] or match[2])
        return placed(variable.words[0].text, 0) if variable and variable.words else None

    return text.replaced(_PARAMETER, value)


def _instructions(text: Located) -> Iterator[_Instruction]:
    lines = list(text.lines())
    mark, at = "\\", 0
    while at < len(lines) and (found := _DIRECTIVE.match(lines[at].text)):
        mark = found[2] if found[1].lower() == "escape" else mark
        at += 1
    while at < len(lines):
        line = lines[at]
        at += 1
        if not line.text.strip() or line.text.lstrip().startswith("#"):
            continue
        pieces = []
        while (bare := line.text.rstrip(" \t")).endswith(mark):
            pieces.append(line.cut(0, len(bare) - 1))
            while at < len(lines) and (not lines[at].text.strip() or lines[at].text.lstrip().startswith("#")):
                at += 1
            if at == len(lines):
                line = line.cut(0, 0)
                break
            line = lines[at]
            at += 1
        full = joined([*pieces, line])
        if not full.text.strip():
            continue
        match = _INSTRUCTION.match(full.text)
        name = match[1].upper() if match else full.text.split()[0]
        rest = full.cut(match.end()).stripped() if match else full
        document = None
        for heredoc in _HEREDOC.finditer(rest.text) if name in ("RUN", "COPY", "ADD") else ():
            body: list[Located] = []
            while at < len(lines) and lines[at].text.strip() != heredoc[2]:
                body += [lines[at], placed("\n", lines[at].span(len(lines[at].text))[0])]
                at += 1
            at += 1
            document = joined(body)
        yield _Instruction(name=name, rest=rest, span=full.stripped().span(), document=document)
