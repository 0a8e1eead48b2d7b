"""The whole way from a text to a checked profile, and how that is written."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring.formats.recognise import recognise
from glmdeploy.authoring.launch import config, foreign, ranks
from glmdeploy.authoring.launch.completed import completed
from glmdeploy.authoring.launch.find import launches
from glmdeploy.authoring.launch.launch import Note
from glmdeploy.authoring.launch.place import sections_of
from glmdeploy.authoring.launch.release import release
from glmdeploy.authoring.launch.servers import MODULE
from glmdeploy.authoring.launch.words import ShellError
from glmdeploy.authoring.schema_line import schema_line
from glmdeploy.errors import ProfileError, UsageError
from glmdeploy.findings import Severity, at
from glmdeploy.profile.text.characters import shown
from glmdeploy.profile.text.load import read_text
from glmdeploy.profile.text.scalars import write
from glmdeploy.redaction import mask
from glmdeploy.rules.check import Checked, check
from glmdeploy.sglang.spelling import distance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from glmdeploy.authoring.formats.format import Format
    from glmdeploy.authoring.launch.launch import Launch
    from glmdeploy.authoring.launch.script import ImportOptions, Script
    from glmdeploy.authoring.launch.sections import Sections
    from glmdeploy.findings import Finding, KeyPath

OPTIONS: dict[KeyPath, str] = {("model", "repo"): "--repo", ("app",): "--app", ("name",): "--name", ("gpu",): "--gpu"}
"""Where the command line's own words stand in a profile; names that are left out follow the repository's."""


_SLIP = re.compile(
    r"(?<![\w./-])(?:python[0-9.]* (?P<runs>-m )?(?P<module>sglang[._][\w.-]*)(?=\s+--?m)"
    r"|sglang[ -](?!serve\b)(?:server?|start|run|launch\w*)(?=\s+-))"
)
"""What may have been meant to launch SGLang, before an option of a model."""
_SLIPS = 3
"""Letters of a module's name that may be wrong."""
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


def import_script(
    script: Script, options: ImportOptions, *, file: str = "imported profile", output: Path | None = None
) -> Imported:
    """The profile of the launch in a text; ``file`` is what findings about the profile call it.

    ``output`` is the file that the profile will be, None where that is not known.

    :raises ProfileError: where the text cannot be read, or launches nothing.
    :raises UsageError: where an option's value cannot stand in a profile.
    """
    form = recognise(script)
    if form is None and config.is_config(script):
        found = release(lambda each: config.read(script, each), options)
    else:
        only = _launch(script, form)
        found = release(lambda _: only, options)
    launch = found.launch
    sections = sections_of(launch, found.catalog, options, script.text)
    sections.notes += found.notes
    _take_out_secrets(sections, script.hider(sections.secrets))
    if not sections.data:
        return Imported(notes=_notes(script, sections))
    # What is refused is taken out; what that brings to light is found in the next round.
    while True:
        document = read_text(profile_text(sections.data, ()), file)
        checked = check(document)
        refused = [found for found in checked.findings if found.id in _IDS_OF_SHAPE and sections.refuse(found)]
        if not refused and not completed(sections, checked, found_in=launch.place):
            break
    _check_options(checked, options)
    notes = _notes(script, sections)
    text = profile_text(sections.data, _remarks(script, notes, sections.added), output)
    document = read_text(text, file)
    return Imported(notes=notes, text=text, data=document.data, checked=_without_repository(check(document), sections))


def _take_out_secrets(sections: Sections, hidden: Callable[[str], str]) -> None:
    """Nothing in the profile may hold what the text has for a secret elsewhere."""
    for path in list(sections.origins):
        written = json.dumps(at(sections.data, path), ensure_ascii=False)
        if hidden(written) != written:
            name = f"`{path[-1]}`"
            span = sections.take_out(path)
            sections.note(Severity.ERROR, f"{name} holds a secret of this text; it was left out", span)


def _launch(script: Script, form: Format | None) -> Launch:
    try:
        found = form.read(script) if form else launches(script.text)
    except ShellError as error:
        raise _failed(script, Note(severity=Severity.ERROR, message=error.message, span=error.span)) from None
    if not found:
        message, span = "nothing in this text launches SGLang", (0, 1)
        if slip := next(filter(_is_slip, _SLIP.finditer(script.text)), None):
            message, span = f"{shown(slip[0])} does not launch SGLang", slip.span()
        expected = "a command with `python3 -m sglang.launch_server` or `sglang serve`, or a --config file of SGLang's"
        raise _failed(script, Note(severity=Severity.ERROR, message=message, span=span, expected=expected))
    launch, others = ranks.joined(sorted(found, key=lambda each: each.engine is not None))
    if launch.engine:
        raise ProfileError(script.findings(*foreign.refusal(launch, launch.engine)))
    return replace(launch, notes=(*launch.notes, *map(_another, others)))


def _is_slip(found: re.Match[str]) -> bool:
    """Whether it is near to what launches SGLang, and not that."""
    if found["module"] is None:
        return True
    steps = distance(found["module"], MODULE, _SLIPS)
    return steps is not None and not (steps == 0 and found["runs"])


def _another(launch: Launch) -> Note:
    if launch.engine:
        message = f"this starts {launch.engine.name}, which was left out"
        return Note(severity=Severity.WARNING, message=message, span=launch.place)
    message = "this is another launch, which was left out"
    return Note(severity=Severity.WARNING, message=message, span=launch.place, fix="import it on its own")


def _failed(script: Script, note: Note) -> ProfileError:
    return ProfileError(script.findings([note]))


def _notes(script: Script, sections: Sections) -> tuple[Finding, ...]:
    return tuple(script.findings(sections.notes, sections.secrets))


def _remarks(script: Script, notes: Sequence[Finding], added: Sequence[str]) -> list[str]:
    """What someone who reads the profile alone must know."""
    told = [note for note in notes if note.severity is not Severity.INFO]
    lines = [f"  line {note.location.line}: {note.message}" for note in told]
    return [
        f"Imported from {mask(script.file)}.",
        *(["Assumed, or left out:", *lines] if told else []),
        *(["Added, because the launch says nothing of it:", *(f"  {each}" for each in added)] if added else []),
    ]


def _without_repository(checked: Checked, sections: Sections) -> Checked:
    """Without the finding that there is no repository, where a note in the imported text says so already."""
    if "repo" in sections.data["model"]:
        return checked
    findings = tuple(found for found in checked.findings if not (found.id == "schema" and found.path[:1] == ("model",)))
    return replace(checked, findings=findings)


def _check_options(checked: Checked, options: ImportOptions) -> None:
    wrong = {found.path: found for found in checked.findings if found.id == "schema"}
    for path, option in OPTIONS.items():
        if path in wrong and getattr(options, option.removeprefix("--")) is not None:
            told = wrong[path]
            raise UsageError(f"`{option}`: {told.message}", advice=told.fix or f"expected: {told.expected}")


def profile_text(data: Mapping[str, Any], remarks: Sequence[str], output: Path | None = None) -> str:
    """The text of a profile, for the file ``output``: ``remarks`` are the lines of a comment at its top.

    Where the file is not known the text names no schema: no way to one would hold.
    """
    lines = [schema_line(output, data["sglang"]["version"])] if output else []
    if remarks:
        lines += [*(["#"] if lines else []), *(f"# {shown(remark, 400)}".rstrip() for remark in remarks)]
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
