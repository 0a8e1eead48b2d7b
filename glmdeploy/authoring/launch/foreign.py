"""A launch of another engine, refused as what it is, with what each of its options is called in SGLang."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.launch import Note
from glmdeploy.authoring.launch.masking import holds_secret, names_secret
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown
from glmdeploy.sglang import catalog, engines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.authoring.launch.launch import Launch, Word
    from glmdeploy.sglang.engines import Engine

_OPTION = re.compile(r"--?[A-Za-z][^=\s]*")


def refusal(launch: Launch, engine: Engine) -> tuple[list[Note], list[Word]]:
    """Why a launch of ``engine`` is no launch of SGLang's, and what its options are in SGLang, each at its place.

    An option that stands there several times is told once. With them the words that nobody may see.
    """
    told: dict[str, Note] = {}
    secrets = [word for name, word in launch.env.items() if holds_secret(name, word.text)]
    hidden = False
    for index, word in enumerate(launch.words):
        if _OPTION.match(word.text):
            name, equals, _ = word.text.partition("=")
            known = engines.is_secret(name, engine)
            hidden = names_secret(name) if known is None else known
            held = word.after(len(name) + 1) if equals else next(iter(launch.words[index + 1 :]), None)
            if hidden and equals:
                secrets.append(word.after(len(name) + 1))
            message = " ".join(_sentence(name, None if hidden or held is None else held.text, engine))
            told.setdefault(name, Note(severity=Severity.INFO, message=message, span=word.span))
        elif hidden:
            secrets.append(word)
    note = Note(
        severity=Severity.ERROR,
        message=f"this launches {engine.name}, not SGLang: nothing of it was imported",
        span=launch.place,
        fix="write a launch of SGLang instead: `python3 -m sglang.launch_server --model-path MODEL ...`",
    )
    return [note, *told.values()], secrets


def _sentence(name: str, value: str | None, engine: Engine) -> Iterator[str]:
    """What the option is in SGLang, and what its value is there."""
    newest = catalog.load(catalog.versions()[-1])
    known = engines.equivalent(name, engine)
    if known is None:
        yield f"what {shown(name)} of {engine.name} is in SGLang is not known here"
        return
    _, equal = known
    why = f": {equal.note}" if equal.note else ""
    if equal.option is None:
        yield f"there is none in SGLang for {shown(name)}{why}"
        return
    plain = name.lstrip("-").replace("_", "-")
    if name.startswith("--") and f"--{plain}" in newest.find(equal.option).flags:
        key = "" if plain == equal.option else f" (`{equal.option}`)"
        yield f"{shown(name)} is called `--{plain}` in SGLang too{key}{why}"
    else:
        yield f"{shown(name)} is {_written(equal.option, newest.version)} in SGLang{why}"
    if value and (word := engines.word(equal.option, value, newest)):
        yield f"(`{word}` is what {shown(value)} is there)"


def _written(option: str, version: str) -> str:
    ours = engines.spelled(option, version)
    return " with ".join(f"`--{name}`" if said is None else f"`--{name} {said}`" for name, said in ours.items())
