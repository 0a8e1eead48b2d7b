"""SGLang's own ``--config`` file as the words that SGLang makes of it.

Follows ``ConfigArgumentMerger`` (``sglang/srt/server_args_config_parser.py``, from 0.5.19 in ``srt/utils``): a mapping
of option names; a true switch becomes its option, lists several words, a mapping JSON since 0.5.14, everything else
its text. SGLang reads YAML 1.1; what version 1.2 reads differently is taken as 1.1 means it, or refused.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring.launch.launch import Launch, Note, Word
from glmdeploy.authoring.launch.script import hide
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import check, shown
from glmdeploy.profile.text.load import read_text
from glmdeploy.sglang.catalog import OptionError, version_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.authoring.launch.launch import Span
    from glmdeploy.authoring.launch.script import Script
    from glmdeploy.findings import Location
    from glmdeploy.sglang.catalog import Catalog, Option

MAPPINGS_SINCE = "0.5.14"
ANY_SPELLING_SINCE = "0.5.23"
"""Before, the merger knew an option by the name of its field only."""

_ENTRY = re.compile(r"\s*(?:#[^\n]*|---[ \t]*)?\n")
_KEY = re.compile(r"(?:[A-Za-z][\w-]*|\"[\w-]+\"|'[\w-]+')\s*:(?:\s|$)|\{")
_BOOLS = {"yes": True, "on": True, "no": False, "off": False}
_OTHER_NUMBER = re.compile(r"[-+]?(?:0[0-9_]+|0o[0-7]+|[0-9][0-9_]*(?::[0-5]?[0-9])+|[0-9]+(?:_[0-9_]*)+)")


def is_config(script: Script) -> bool:
    """Whether the text is a configuration file: by its name, or because its first line is an entry."""
    if script.file.endswith((".yaml", ".yml")):
        return True
    at = 0
    while match := _ENTRY.match(script.text, at):
        at = match.end()
    found = _KEY.match(script.text, at)
    return found is not None and found[0] != "{"


def read(script: Script, release: Catalog) -> Launch:
    """The file as a launch.

    :raises ProfileError: where it is no YAML mapping.
    """
    try:
        document = read_text(script.text, script.file)
    except ProfileError as error:
        raise ProfileError([_hidden(found) for found in error.findings]) from None
    starts = check(script.text, script.file).starts

    def span(place: Location) -> Span:
        begin = starts[place.line - 1] + place.column - 1
        return begin, begin + place.length

    words: list[Word] = []
    notes: list[Note] = []
    for key, value in document.data.items():
        mark = document.marks[(key,)]
        flag = Word(text=f"--{key}", span=span(mark.key or mark.value))
        place = span(mark.value)
        written = script.text[slice(*place)]
        if fault := _fault(key, written, release):
            notes.append(Note(severity=Severity.ERROR, message=fault, span=place))
            continue
        meant = _BOOLS.get(written.lower(), value) if written in (str(value), value) else value
        if (full := _abbreviated(key, release)) is not None:
            message = f"{shown(key)} was taken for {full}, of which it is the beginning, as SGLang takes it"
            notes.append(Note(severity=Severity.WARNING, message=message, span=flag.span, fix=f"write {full}"))
        words += [
            flag if text is None else Word(text=text, span=place) for text in _texts(key, meant, written, release)
        ]
    return Launch(words=tuple(words), place=(0, 1), env={}, notes=tuple(notes))


def _hidden(finding: Any) -> Any:
    return replace(finding, id="import", location=replace(finding.location, text=hide(finding.location.text)))


def _fault(key: str, written: str, release: Catalog) -> str | None:
    """Why SGLang does not take the entry, if so."""
    if _OTHER_NUMBER.fullmatch(written):
        return f"{shown(written)} is another number in YAML 1.1, which SGLang reads: write a plain one, or quote it"
    option = _by_field(key, release)
    if option is None or option.action in ("store", "store_true", "help"):
        return None
    if version_key(release.version) >= version_key(ANY_SPELLING_SINCE) and option.nargs is None:
        return None
    return f"a configuration file of SGLang {release.version} cannot set {key}"


def _abbreviated(key: str, release: Catalog) -> str | None:
    """The option that argparse takes a key for because no other begins so; `tp` is what everybody writes."""
    try:
        option = release.find(f"--{key}")
    except OptionError:
        return None
    name = option.canonical.removeprefix("--")
    whole = f"--{key}" in option.flags or name in (key, f"{key}-size")
    return None if whole else name


def _by_field(key: str, release: Catalog) -> Option | None:
    """The option that the merger takes a key for; that argparse may find another way does not matter to it."""
    name = key.replace("-", "_")
    spellings = version_key(release.version) >= version_key(ANY_SPELLING_SINCE)
    for option in release.options:
        names = {option.dest, *(flag.lstrip("-").replace("-", "_") for flag in option.flags if spellings)}
        if name in names:
            return option
    return None


def _texts(key: str, value: Any, written: str, release: Catalog) -> Iterator[str | None]:
    """The words of an entry; None stands for the option itself."""
    if isinstance(value, bool):
        option = _by_field(key, release)
        if option is None or option.action != "store_true":
            yield from (None, str(value).lower())
        elif value:
            yield None
    elif isinstance(value, list):
        if value:
            yield None
            yield from map(str, value)
    elif isinstance(value, dict):
        as_json = version_key(release.version) >= version_key(MAPPINGS_SINCE)
        yield from (None, json.dumps(value) if as_json else str(value))
    else:
        # As written: 1e-5 is a number here, and text for SGLang.
        yield from (None, written if isinstance(value, float) else str(value))
