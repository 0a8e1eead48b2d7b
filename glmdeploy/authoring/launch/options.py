"""SGLang's arguments apart, as argparse takes them apart, and their values as a profile holds them.

Which words belong to which option is decided here, because an import must say where each one stands. Whether an
option exists and its value is valid is left to the checks of a profile (:mod:`glmdeploy.sglang.command`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring.launch.launch import Note
from glmdeploy.authoring.launch.masking import masked
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown
from glmdeploy.sglang import command
from glmdeploy.sglang.catalog import AmbiguousOption, OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.authoring.launch.launch import Word
    from glmdeploy.sglang.catalog import Catalog, Option

_NEGATIVE_NUMBER = re.compile(r"-\d+|-\d*\.\d+")
"""What argparse takes for a value although it begins with a dash."""

_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,15}", re.ASCII)


OF_NODES = ("node_rank", "dist_init_addr")
"""What differs from node to node, or is an address of the old machines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """An option in the text: ``name`` and ``flag`` as written, the latter with a value that is joined to it.

    ``option`` is None where the release has none of that name. ``negative`` means ``--no-...``.
    """

    name: str
    flag: Word
    values: tuple[Word, ...]
    option: Option | None
    negative: bool = False

    @property
    def dest(self) -> str:
        """What the option sets: a field of ``ServerArgs``, or the name of an option that the release lacks."""
        return self.option.dest if self.option else self.name

    @property
    def key(self) -> str:
        """The option's key in a profile."""
        return (self.option.canonical if self.option else self.name).removeprefix("--")


def split(words: Sequence[Word], release: Catalog) -> tuple[dict[str, Given], list[Note]]:
    """The options by :attr:`Given.dest`, of several the last, and what belongs to none."""
    found: dict[str, Given] = {}
    notes: list[Note] = []
    at = 0
    while at < len(words):
        word, at = words[at], at + 1
        if word.text == "--":
            notes += map(_stray, words[at - 1 :])
            break
        if not _is_option(word, release):
            notes.append(_stray(word))
            continue
        begin = at
        while at < len(words) and words[at].text != "--" and not _is_option(words[at], release):
            at += 1
        given, faults = _given(word, words[begin:at], release)
        notes += faults
        if given is not None:
            if earlier := found.pop(given.dest, None):
                notes += (_overridden(earlier, release), *(note for each in earlier.values for note in each.notes))
            found[given.dest] = given
    return found, notes


def _overridden(earlier: Given, release: Catalog) -> Note:
    """The last of several counts, but argparse checks the others too."""
    held = value(earlier)
    if earlier.option is not None and earlier.dest not in command.RESERVED and held is not None:
        _, problems = command.read({earlier.key: held}, release)
        if problems:
            return _error(problems[0].message, earlier.flag)
    said = "" if not earlier.values else f" ({shown(masked(' '.join([earlier.name, *_texts(earlier)])))} was left out)"
    message = f"{shown(earlier.name)} is given again; the last one counts{said}"
    return Note(severity=Severity.INFO, message=message, span=earlier.flag.span)


def _texts(given: Given) -> list[str]:
    return [word.text for word in given.values]


def value(given: Given) -> Any:
    """The option's value as a profile holds it, numbers as numbers where the option takes them.

    None where a profile cannot express it: a list without items.
    """
    option = given.option
    texts = [word.text for word in given.values]
    if option is None:
        items = [_number(text) for text in texts]
        return True if not items else items[0] if len(items) == 1 else items
    if not option.takes_value:
        return not given.negative
    items = [_number(text) if option.type in ("int", "human_readable_int", "float") else text for text in texts]
    # What came as --option=-item must go so again: as a scalar, not as a list of one.
    joined = given.flag.text != given.name and texts[0].startswith("-")
    if option.nargs in ("+", "*") and not joined:
        return items or None
    return items[0] if items else option.const


def _number(text: str) -> str | int | float:
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def _given(word: Word, values: Sequence[Word], release: Catalog) -> tuple[Given | None, list[Note]]:
    """The option with the words behind it that it takes."""
    name, equals, _ = word.text.partition("=")
    joined = [word.after(len(name) + 1)] if equals else []
    try:
        option = release.find(name)
    except OptionError:
        # Whether it is another release's option, and what to write instead, is found where profiles are checked.
        # argparse gives an option nothing but what is joined to it.
        count = 0 if joined else next((index for index, each in enumerate(values) if each.unknown), len(values))
        given = Given(name=name, flag=word, values=(*joined, *values[:count]), option=None)
        return given, [_stray(each) for each in values[count:]]
    if option.action == "help":
        return None, [_error(f"{name} launches nothing", word)]
    if joined and not option.takes_value:
        return None, [_error(f"{name} is a switch and takes no value", word)]
    limit = {0: 0, None: 1, "?": 1}.get(option.nargs, len(values))
    # argparse takes only what is joined to the name.
    taken, more = (joined, values) if joined else (values[:limit], values[limit:])
    notes = [_stray(each) for each in more]
    if not taken and option.nargs in (None, "+"):
        return None, [*notes, _error(f"{name} lacks its value", word)]
    return Given(name=name, flag=word, values=tuple(taken), option=option, negative=option.negates(name)), notes


def _is_option(word: Word, release: Catalog) -> bool:
    """As ``argparse.ArgumentParser._parse_optional`` decides it (CPython 3.11 to 3.13)."""
    text = word.text
    if len(text) < 2 or not text.startswith("-"):
        return False
    try:
        release.find(text.partition("=")[0])
    except AmbiguousOption:
        return True
    except OptionError:
        return not _NEGATIVE_NUMBER.fullmatch(text) and " " not in text
    return True


def trimmed(given: Given) -> tuple[Given, list[Note]]:
    """The option without the values that it does not take, and an error for each of those."""
    if given.option is None:
        return given, []
    limit = {0: 0, None: 1, "?": 1}.get(given.option.nargs, len(given.values))
    return replace(given, values=given.values[:limit]), [_stray(each) for each in given.values[limit:]]


def _stray(word: Word) -> Note:
    if word.unknown:
        what = ", ".join(map(shown, word.unknown))
        message = f"what {what} stands for is not in this text; it was left out"
        return Note(severity=Severity.WARNING, message=message, span=word.span)
    if re.match(r"--[A-Za-z][\w-]* ", word.text) and not word.variables:
        return _error(f"`{shown(masked(word.text))}` is one word in its quotes: an option and its value are two", word)
    # A word that a variable brought is not what stands at its place.
    what = f"`{shown(masked(word.text))}`" if word.variables else "this"
    return _error(f"{what} belongs to no option, and SGLang refuses it", word)


def _error(message: str, word: Word) -> Note:
    return Note(severity=Severity.ERROR, message=message, span=word.span)
