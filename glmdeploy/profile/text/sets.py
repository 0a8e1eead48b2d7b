"""Single values from the command line: ``--set sglang.args.tp=4``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from glmdeploy.errors import ProfileError
from glmdeploy.findings import dotted
from glmdeploy.profile.text.characters import SourceText, check, fault, shown
from glmdeploy.profile.text.composer import MAX_DEPTH
from glmdeploy.profile.text.document import Entry, Node, merge
from glmdeploy.profile.text.yaml12 import compose
from glmdeploy.sglang.spelling import nearest

if TYPE_CHECKING:
    from glmdeploy.findings import KeyPath, Location

FILE = "--set"
"""What stands for a file in the places of these values; a place's text is the whole argument."""

_KEY = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|([^.\[\]\"'=\s]+)")
_INDEX = re.compile(r"\[([0-9]{1,9})\]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One part of the way to the value that is set: a key, or the index of an item."""

    part: str | int
    location: Location


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """A ``--set`` argument, read."""

    steps: tuple[Step, ...]
    value: Node


def parse(argument: str) -> Setting:
    """Reads ``key.key[0]."quoted.key"=VALUE``, where VALUE is a YAML 1.2 scalar, [list] or {mapping}.

    :raises ProfileError: with the column of the fault in the argument.
    """
    source = check(argument, FILE)
    if len(source.lines) > 1:
        raise _refused("the argument has more than one line", source.place(source.starts[1] - 1))
    steps, end = _parse_steps(source)
    if steps[0].part == "extends":
        raise _refused("`extends` cannot be set", steps[0].location, fix="use `--overlay` to lay a file on top")
    return Setting(steps=steps, value=_parse_value(source, end))


def _parse_steps(source: SourceText) -> tuple[tuple[Step, ...], int]:
    """The steps before the equals sign, and the offset behind it."""
    text, at = source.text, 0
    steps: list[Step] = []
    while True:
        key = _KEY.match(text, at)
        if key is None:
            raise _refused(
                "a key is expected here",
                source.place(at),
                expected="`KEY.KEY[INDEX]=VALUE`, as in `sglang.args.tp-size=8`",
                fix="put a key in double quotes if it has dots, brackets, quotes or spaces",
            )
        quoted, single, bare = key.groups()
        name = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else single if bare is None else bare
        steps.append(Step(part=name, location=source.place(at, key.end())))
        at = key.end()
        while index := _INDEX.match(text, at):
            steps.append(Step(part=int(index[1]), location=source.place(at, index.end())))
            at = index.end()
        if len(steps) > MAX_DEPTH:
            raise _refused(f"the way is longer than {MAX_DEPTH} keys", steps[-1].location)
        if text[at : at + 1] == "=":
            return tuple(steps), at + 1
        if text[at : at + 1] != ".":
            raise _refused(
                "an index in brackets is a number from 0" if text[at : at + 1] == "[" else "`=` is missing here",
                source.place(at),
                expected="`KEY.KEY[INDEX]=VALUE`, as in `sglang.args.tp-size=8`",
            )
        at += 1


def _parse_value(source: SourceText, start: int) -> Node:
    # Spaces in place of the way keep the value's offsets, and keep `---` and `%` from the first column.
    part = compose(replace(source, text=" " * start + source.text[start:]))
    quote = "put the value in quotes, inside those of the shell"
    if part is not None and part.block:
        raise _refused("the value is a block of YAML", part.node.location, fix=quote)
    if part is None or part.empty:
        raise _refused(
            "a value is missing after `=`",
            source.place(start),
            fix='write `null` to remove the key, `""` for empty text; quote a value that begins with `#` or `&`',
        )
    rest = source.text[part.end :]
    if rest.strip():
        comment = part.end + len(rest) - len(rest.lstrip())
        raise _refused("a comment begins here, which would be lost", source.place(comment), fix=quote)
    return part.node


def apply(root: Node, setting: Setting) -> Node:
    """The tree with the value set: a mapping is merged with what is there, anything else replaces it.

    Keys that lead to it are made where they lack. A null removes a key that must be there.

    :raises ProfileError: where the way leads through something else than mappings and list items.
    """
    return _put(root, (), setting.steps, setting.value)


def _put(node: Node, path: KeyPath, steps: tuple[Step, ...], value: Node) -> Node:
    if not steps:
        return merge(node, value, stay=True)
    step, rest = steps[0], steps[1:]
    part, here = step.part, (*path, step.part)
    match node.value, part:
        case tuple() as items, int():
            if part >= len(items):
                raise _refused(f"`{dotted(path)}` has {len(items)} items, counted from 0", step.location, here)
            changed = _put(items[part], here, rest, value)
            return replace(node, value=(*items[:part], changed, *items[part + 1 :]))
        case dict() as entries, str():
            held = entries.get(part)
            if held is not None and held.node.value is not None and (rest or value.value is not None):
                entry = Entry(key=held.key, node=_put(held.node, here, rest, value))
            elif value.value is None and (held is None or held.node.value is None):
                raise _refused(
                    f"there is no `{shown(dotted(here))}` to remove",
                    step.location,
                    here,
                    fix=_near(part, entries),
                )
            else:
                entry = Entry(key=step.location, node=_made(here, rest, value))
            return replace(node, value={**entries, part: entry})
        case dict(), int():
            raise _refused(
                f"`{dotted(path)}` is a mapping, not a list",
                step.location,
                here,
                fix="write `.KEY` in place of it",
            )
        case tuple(), str():
            raise _refused(f"`{dotted(path)}` is a list", step.location, here, fix="write `[0]` for its first item")
        case _:
            raise _refused(f"`{dotted(path)}` is {node.kind}, with nothing inside", step.location, here)


def _made(path: KeyPath, steps: tuple[Step, ...], value: Node) -> Node:
    """The mappings that lead to a value where there was nothing."""
    for step in reversed(steps):
        if isinstance(step.part, int):
            raise _refused(f"there is no list `{shown(dotted(path))}`", step.location, path)
        value = Node(value={step.part: Entry(key=step.location, node=value)}, location=step.location)
    return value


def _near(name: str, entries: dict[str, Entry]) -> str | None:
    near = nearest(name, [key for key, entry in entries.items() if entry.node.value is not None])
    return "did you mean " + " or ".join(f"`{each}`" for each in near) + "?" if near else None


def _refused(
    message: str,
    location: Location,
    path: KeyPath = (),
    *,
    expected: str | None = None,
    fix: str | None = None,
) -> ProfileError:
    return ProfileError([fault(message, location, path=path, expected=expected, fix=fix)])
