"""Options of a launch that a release does not take as written, in the words of that release where they are known.

What is known of renames stands in :mod:`glmdeploy.sglang.renames`; what the release still takes under an old spelling
stays as it is written.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring.launch import options
from glmdeploy.authoring.launch.launch import Note, Word
from glmdeploy.authoring.launch.options import Given
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown
from glmdeploy.sglang import catalog, command
from glmdeploy.sglang.catalog import OptionError
from glmdeploy.sglang.renames import replaced, rewrite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.sglang.catalog import Catalog, Option
    from glmdeploy.sglang.renames import Step


def refused(given: Mapping[str, Given], release: Catalog) -> list[Given]:
    """The options that the release lacks, or whose value it does not take. Values that are not known are not judged."""
    asked = {
        each.key: held
        for each in given.values()
        if each.dest not in command.RESERVED and (held := _value(each)) is not None
    }
    faulty = {problem.key for problem in command.read(asked, release)[1]}
    return [each for each in given.values() if each.option is None or each.key in faulty]


def respelled(given: Mapping[str, Given], release: Catalog) -> tuple[dict[str, Given], list[Note]]:
    """The options with what the release refuses rewritten as it calls that, and a note about each change.

    As they are where no rename helps.
    """
    before = refused(given, release)
    if not before:
        return dict(given), []
    names = {_full_name(each): each for each in given.values()}
    settings = {name: held for name, each in names.items() if (held := _value(each)) is not None}
    notes: list[Note] = []
    for step in rewrite(settings, release.version)[1]:
        if not _concerns(step, settings, release):
            continue
        settings = replaced(settings, step.old, step.new)
        source = names[next(iter(step.old))]
        notes.append(_told(step, source, release))
        kept = {name: each for name, each in names.items() if name not in step.old}
        new = {}
        for name in step.new:
            new[name], surplus = options.trimmed(_new(name, step, source, kept, release))
            notes += surplus
        names = replaced(names, step.old, new)
    result = {each.dest: each for each in names.values()}
    return (result, notes) if len(refused(result, release)) < len(before) else (dict(given), [])


def _concerns(step: Step, settings: Mapping[str, Any], release: Catalog) -> bool:
    """Whether a step changes what is there, and what the release refuses."""
    there = all(name in settings and settings[name] == held for name, held in step.old.items())
    return there and bool(step.old) and any(command.read({name: held}, release)[1] for name, held in step.old.items())


def _new(name: str, step: Step, source: Given, kept: Mapping[str, Given], release: Catalog) -> Given:
    if name in kept:
        return kept[name]
    held = step.new[name]
    words = source.values
    if held is True and step.old.get(source.key) is True:
        words = ()
    elif held not in step.old.values():
        items = held if isinstance(held, list) else [held]
        words = tuple(Word(text=str(item), span=source.flag.span) for item in items)
    flag = Word(text=f"--{name}", span=source.flag.span)
    return Given(name=flag.text, flag=flag, values=words, option=_find(flag.text, release), negative=held is False)


def _told(step: Step, source: Given, release: Catalog) -> Note:
    old = " ".join(_written(name, held, step.new) for name, held in step.old.items())
    new = " ".join(_written(name, held, step.old) for name, held in step.new.items())
    if new:
        message = f"SGLang {release.version} calls `{old}` `{new}`, which was written: {step.rename.why}"
    else:
        message = f"`{old}` was left out for SGLang {release.version}: {step.rename.why}"
    return Note(severity=Severity.WARNING, message=message, span=source.flag.span)


def _written(name: str, held: Any, others: Mapping[str, Any]) -> str:
    """An option as a command has it, without a value that stays."""
    is_same = held is True or (held in others.values() and name not in others)
    return f"--{name}" if is_same else f"--{name} {shown(str(held), 60)}"


def _value(given: Given) -> Any:
    return None if any(word.unknown for word in given.values) else options.value(given)


def _full_name(given: Given) -> str:
    """The option's name without dashes; of one that this release lacks, as the newest one that knows it has it."""
    return given.key if given.option is not None else _canonical(given.name) or given.key


@cache
def _canonical(name: str) -> str | None:
    found = (_find(name, catalog.load(version)) for version in reversed(catalog.versions()))
    option = next(filter(None, found), None)
    return option.canonical.removeprefix("--") if option else None


def _find(name: str, release: Catalog) -> Option | None:
    try:
        return release.find(name)
    except OptionError:
        return None
