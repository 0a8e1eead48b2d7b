"""The whole way from a text to a checked profile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from glmdeploy import source
from glmdeploy.authoring.launch import config, wanted
from glmdeploy.authoring.launch.emit import profile_text
from glmdeploy.authoring.launch.find import launches
from glmdeploy.authoring.launch.launch import Note
from glmdeploy.authoring.launch.place import draft_of
from glmdeploy.authoring.launch.words import ShellError
from glmdeploy.errors import ProfileError, UsageError
from glmdeploy.findings import Severity
from glmdeploy.resolve import Resolution, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.authoring.launch.launch import Launch
    from glmdeploy.authoring.launch.script import Script
    from glmdeploy.authoring.launch.sections import Draft
    from glmdeploy.authoring.launch.wanted import Wanted
    from glmdeploy.findings import Finding, Path

OPTIONS: dict[Path, str] = {("model", "repo"): "--repo", ("app",): "--app", ("name",): "--name", ("gpu",): "--gpu"}
"""Where the command line's own words stand in a profile; names that are left out follow the repository's."""

_IDS_OF_SHAPE = frozenset({"yaml", "schema", "sglang"})


@dataclass(frozen=True, kw_only=True)
class Imported:
    """``text`` and ``data`` of the profile, None where the model cannot be told. ``notes`` are about the imported text.

    ``resolution`` is what the checks of a profile say about it, its findings placed in ``text``.
    """

    notes: tuple[Finding, ...]
    text: str | None = None
    data: dict[str, Any] | None = None
    resolution: Resolution | None = None

    @property
    def complete(self) -> bool:
        """Whether everything essential was placed, and the profile has a valid shape; guard rules may object."""
        shape = [found for found in self.resolution.findings if found.id in _IDS_OF_SHAPE] if self.resolution else ()
        return self.text is not None and not any(found.severity is Severity.ERROR for found in (*self.notes, *shape))


def import_script(script: Script, options: Wanted, *, file: str = "imported profile") -> Imported:
    """The profile of the launch in a text; ``file`` is what findings about the profile call it.

    :raises ProfileError: where the text cannot be read, or launches nothing.
    :raises UsageError: where an option's value cannot stand in a profile.
    """
    if config.is_config(script):
        release, assumed = wanted.release(None, options)
        launch = config.read(script, release)
    else:
        launch = _launch(script)
        release, assumed = wanted.release(launch.container.image if launch.container else None, options)
    draft = draft_of(launch, release, options)
    draft.notes += assumed
    if not draft.data:
        return Imported(notes=_notes(script, draft))
    # What is refused is taken out; what that brings to light is found in the next round.
    while True:
        document = source.read_text(profile_text(draft.data, ()), file)
        resolution = resolve(document)
        refused = [found for found in resolution.findings if found.id in _IDS_OF_SHAPE and draft.refuse(found)]
        if not refused:
            break
    _check_options(resolution)
    notes = _notes(script, draft)
    text = profile_text(draft.data, _remarks(script, notes))
    document = source.read_text(text, file)
    return Imported(notes=notes, text=text, data=document.data, resolution=resolve(document))


def _launch(script: Script) -> Launch:
    try:
        found = launches(script.text)
    except ShellError as error:
        raise _failed(script, Note(severity=Severity.ERROR, message=error.message, span=error.span)) from None
    if not found:
        message = "nothing in this text launches SGLang"
        expected = "a command with `python3 -m sglang.launch_server` or `sglang serve`, or a --config file of SGLang's"
        raise _failed(script, Note(severity=Severity.ERROR, message=message, span=(0, 1), expected=expected))
    launch, *others = found
    message = "this is another launch, which was left out"
    more = [
        Note(severity=Severity.WARNING, message=message, span=other.place, fix="import it on its own")
        for other in others
    ]
    return replace(launch, notes=(*launch.notes, *more))


def _failed(script: Script, note: Note) -> ProfileError:
    return ProfileError(script.findings([note]))


def _notes(script: Script, draft: Draft) -> tuple[Finding, ...]:
    return tuple(script.findings(draft.notes, draft.secrets))


def _remarks(script: Script, notes: Sequence[Finding]) -> list[str]:
    """What someone who reads the profile alone must know."""
    told = [note for note in notes if note.severity is not Severity.INFO]
    lines = [f"  line {note.location.line}: {note.message}" for note in told]
    return [f"Imported from {script.file}.", *(["Assumed, or left out:", *lines] if told else [])]


def _check_options(resolution: Resolution) -> None:
    wrong = {found.path: found for found in resolution.findings if found.id == "schema"}
    for path, option in OPTIONS.items():
        if path in wrong:
            raise UsageError(f"{option}: {wrong[path].message}", advice=f"Expected: {wrong[path].expected}")
