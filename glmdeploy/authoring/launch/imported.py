"""The whole way from a text to a checked profile, and how that is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring import formats
from glmdeploy.authoring.launch import config, foreign
from glmdeploy.authoring.launch.find import launches
from glmdeploy.authoring.launch.launch import Note
from glmdeploy.authoring.launch.place import sections_of
from glmdeploy.authoring.launch.release import release
from glmdeploy.authoring.launch.words import ShellError
from glmdeploy.errors import ProfileError, UsageError
from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown
from glmdeploy.profile.text.load import read_text
from glmdeploy.profile.text.scalars import write
from glmdeploy.rules.check import Checked, check

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from glmdeploy.authoring.launch.launch import Launch
    from glmdeploy.authoring.launch.script import ImportOptions, Script
    from glmdeploy.authoring.launch.sections import Sections
    from glmdeploy.findings import Finding, KeyPath

OPTIONS: dict[KeyPath, str] = {("model", "repo"): "--repo", ("app",): "--app", ("name",): "--name", ("gpu",): "--gpu"}
"""Where the command line's own words stand in a profile; names that are left out follow the repository's."""

SCHEMA_LINE = "# yaml-language-server: $schema=../schemas/profile.schema.json"

_FLOW = frozenset({("volumes",), ("secrets",)})
"""Sections whose entries are written on one line each."""
_IDS_OF_SHAPE = frozenset({"yaml", "schema", "sglang"})


@dataclass(frozen=True, kw_only=True)
class Imported:
    """``text`` and ``data`` of the profile, None where the model cannot be told. ``notes`` are about the imported text.

    ``checked`` is what the checks of a profile say about it, its findings placed in ``text``.
    """

    notes: tuple[Finding, ...]
    text: str | None = None
    data: dict[str, Any] | None = None
    checked: Checked | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The notes, and after them what the checks say."""
        return (*self.notes, *(self.checked.findings if self.checked else ()))

    @property
    def complete(self) -> bool:
        """Whether everything essential was placed, and the profile has a valid shape; guard rules may object."""
        shape = [found for found in self.checked.findings if found.id in _IDS_OF_SHAPE] if self.checked else ()
        return self.text is not None and not any(found.severity is Severity.ERROR for found in (*self.notes, *shape))


def import_script(script: Script, options: ImportOptions, *, file: str = "imported profile") -> Imported:
    """The profile of the launch in a text; ``file`` is what findings about the profile call it.

    :raises ProfileError: where the text cannot be read, or launches nothing.
    :raises UsageError: where an option's value cannot stand in a profile.
    """
    if formats.recognise(script) is None and config.is_config(script):
        catalog, assumed = release(None, options)
        launch = config.read(script, catalog)
    else:
        launch = _launch(script)
        catalog, assumed = release(launch.container.image if launch.container else None, options)
    sections = sections_of(launch, catalog, options)
    sections.notes += assumed
    if not sections.data:
        return Imported(notes=_notes(script, sections))
    # What is refused is taken out; what that brings to light is found in the next round.
    while True:
        document = read_text(profile_text(sections.data, ()), file)
        checked = check(document)
        refused = [found for found in checked.findings if found.id in _IDS_OF_SHAPE and sections.refuse(found)]
        if not refused:
            break
    _check_options(checked)
    notes = _notes(script, sections)
    text = profile_text(sections.data, _remarks(script, notes))
    document = read_text(text, file)
    return Imported(notes=notes, text=text, data=document.data, checked=check(document))


def _launch(script: Script) -> Launch:
    try:
        form = formats.recognise(script)
        found = form.read(script) if form else launches(script.text)
    except ShellError as error:
        raise _failed(script, Note(severity=Severity.ERROR, message=error.message, span=error.span)) from None
    if not found:
        message = "nothing in this text launches SGLang"
        expected = "a command with `python3 -m sglang.launch_server` or `sglang serve`, or a --config file of SGLang's"
        raise _failed(script, Note(severity=Severity.ERROR, message=message, span=(0, 1), expected=expected))
    launch, *others = sorted(found, key=lambda each: each.engine is not None)
    if launch.engine:
        raise ProfileError(script.findings(*foreign.refusal(launch, launch.engine)))
    message = "this is another launch, which was left out"
    more = [
        Note(severity=Severity.WARNING, message=message, span=other.place, fix="import it on its own")
        for other in others
    ]
    return replace(launch, notes=(*launch.notes, *more))


def _failed(script: Script, note: Note) -> ProfileError:
    return ProfileError(script.findings([note]))


def _notes(script: Script, sections: Sections) -> tuple[Finding, ...]:
    return tuple(script.findings(sections.notes, sections.secrets))


def _remarks(script: Script, notes: Sequence[Finding]) -> list[str]:
    """What someone who reads the profile alone must know."""
    told = [note for note in notes if note.severity is not Severity.INFO]
    lines = [f"  line {note.location.line}: {note.message}" for note in told]
    return [f"Imported from {script.file}.", *(["Assumed, or left out:", *lines] if told else [])]


def _check_options(checked: Checked) -> None:
    wrong = {found.path: found for found in checked.findings if found.id == "schema"}
    for path, option in OPTIONS.items():
        if path in wrong:
            raise UsageError(f"{option}: {wrong[path].message}", advice=f"Expected: {wrong[path].expected}")


def profile_text(data: Mapping[str, Any], remarks: Sequence[str]) -> str:
    """The text of a profile: ``remarks`` are the lines of a comment at its top."""
    lines = [SCHEMA_LINE]
    if remarks:
        lines += ["#", *(f"# {shown(remark, 400)}".rstrip() for remark in remarks)]
    was_block = False
    for index, (key, value) in enumerate(data.items()):
        is_block = isinstance(value, dict)
        if index and (is_block or was_block):
            lines.append("")
        lines += _entry((key,), value)
        was_block = is_block
    return "\n".join(lines) + "\n"


def _entry(path: tuple[str, ...], value: Any) -> Iterator[str]:
    indent = "  " * (len(path) - 1)
    name = write(path[-1])
    if isinstance(value, dict) and value and path[:-1] not in _FLOW:
        yield f"{indent}{name}:"
        for key, item in value.items():
            yield from _entry((*path, key), item)
    else:
        yield f"{indent}{name}: {write(value)}"
