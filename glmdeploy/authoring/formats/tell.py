"""What the formats tell alike: where a release of SGLang is named, what of an environment is the old machine's own."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.find import launches
from glmdeploy.authoring.launch.launch import Note
from glmdeploy.authoring.launch.variables import Scope, Variable
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from glmdeploy.authoring.formats.located import Located
    from glmdeploy.authoring.launch.launch import Launch, Span, Word
    from glmdeploy.authoring.launch.script import Script

LAUNCHES = re.compile(r"sglang[.]launch_server|\bsglang\s+serve\b|\bvllm\b")
"""What a text has that may launch an engine."""

_PACKAGE = re.compile(
    r"(?<![\w./-])sglang(?:\[[\w,\s-]*\])?\s*===?\s*v?(?P<release>[0-9]+(?:\.[0-9]+)+(?:\.?(?:post|rc|dev)[0-9]+)?)"
)
_OF_THE_MACHINE = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "LANG", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH"}
    | {"PYTHONPATH", "DISPLAY", "TMPDIR", "XDG_RUNTIME_DIR"}
)


def note(severity: Severity, message: str, span: Span, fix: str | None = None) -> Note:
    return Note(severity=severity, message=message, span=span, fix=fix)


def info(message: str, span: Span, fix: str | None = None) -> Note:
    """Something that is as it should be."""
    return note(Severity.INFO, message, span, fix)


def warning(message: str, span: Span, fix: str | None = None) -> Note:
    """Something that may matter."""
    return note(Severity.WARNING, message, span, fix)


def failed(script: Script, message: str, span: Span, fix: str | None = None) -> ProfileError:
    """A file that cannot be imported."""
    return ProfileError(script.findings([note(Severity.ERROR, message, span, fix)]))


def installed(*texts: Located) -> tuple[Word, ...]:
    """The releases of SGLang that requirements in the texts pin (``sglang[all]==0.5.10``), in their order."""
    return tuple(text.cut(*match.span("release")).word() for text in texts for match in _PACKAGE.finditer(text.text))


def with_releases(found: Iterable[Launch], texts: Sequence[Located]) -> list[Launch]:
    """The launches, each with the releases that the texts name, beside those that it knows."""
    named = installed(*texts)
    result = []
    for launch in found:
        known = {(word.text, word.span[0]) for word in launch.releases}
        more = tuple(word for word in named if (word.text, word.span[0]) not in known)
        result.append(replace(launch, releases=(*more, *launch.releases)))
    return result


def scope(env: Mapping[str, Word]) -> Scope:
    """The environment as a shell gets it, without what the text does not tell."""
    return Scope(
        variables={name: Variable(words=(word,), exported=True) for name, word in env.items() if not word.unknown}
    )


def shell(text: Located, env: Mapping[str, Word] | None = None) -> list[Launch]:
    """The launches in a shell text inside the imported one, with the environment that it gets.

    :raises ShellError: where it cannot be read.
    """
    env = env or {}
    passed = {name: word for name, word in env.items() if word.unknown}
    found = launches(text.text, text.offsets, scope(env))
    return [replace(launch, env={**passed, **launch.env}) for launch in found] if passed else found


def of_the_machine(env: Mapping[str, Word]) -> tuple[dict[str, Word], list[Note]]:
    """The environment without what belongs to the old machine, and notes about that."""
    kept = {name: word for name, word in env.items() if name not in _OF_THE_MACHINE}
    notes = [
        info(f"{name} was left out: it belongs to the old machine", word.span)
        for name, word in env.items()
        if name in _OF_THE_MACHINE
    ]
    return kept, notes


def told(found: Iterable[Launch], *notes: Note) -> list[Launch]:
    """The launches, each with the notes before its own."""
    return [replace(launch, notes=(*notes, *launch.notes)) for launch in found]
