"""All formats, in the order in which they are recognised. What none claims is a shell text, or SGLang's --config."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats import (
    apptainer,
    batch,
    compose,
    container_json,
    dockerfile,
    dstack,
    fish,
    justfile,
    kubernetes,
    makefile,
    markdown,
    modal_script,
    notebook,
    other_yaml,
    powershell,
    python_program,
    refused,
    skypilot,
    supervisord,
    systemd,
    truss,
    unknown_yaml,
)
from glmdeploy.authoring.formats.format import Format
from glmdeploy.authoring.formats.located import whole
from glmdeploy.authoring.formats.tell import shell

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.authoring.formats.located import Located
    from glmdeploy.authoring.launch.launch import Launch, Span
    from glmdeploy.authoring.launch.script import Script


def _shown(shows: Callable[[Script], Span | None]) -> Callable[[Script], Span | None]:
    """The same for line ends of Windows too."""

    def shown(script: Script) -> Span | None:
        text = whole(script.text)
        span = shows(script if text.text == script.text else replace(script, text=text.text))
        return None if span is None else text.span(*span)

    return shown


def _read(name: str, shows: Callable[[Script], Span | None], read: Callable[[Located, Script], list[Launch]]) -> Format:
    def unless_written(script: Script) -> Span | None:
        """As ``shows``, unless a here-document of a shell text may have it."""
        span = shows(script)
        return None if span is None or refused.in_document(script.text, span[0]) else span

    return Format(name=name, shows=_shown(unless_written), launches=lambda script: read(whole(script.text), script))


def _python(text: Located, script: Script) -> list[Launch]:
    return modal_script.read(text, script) if modal_script.imports(text.text) else python_program.read(text, script)


_KINDS: dict[str, markdown.Reader] = {
    **dict.fromkeys(("powershell", "ps1", "pwsh", "posh", "ps"), powershell.read),
    **dict.fromkeys(("bat", "batch", "cmd", "dos"), batch.read),
    **dict.fromkeys(("python", "py", "python3"), _python),
    **dict.fromkeys(("dockerfile", "docker", "containerfile"), dockerfile.read),
    **dict.fromkeys(("make", "makefile"), makefile.read),
    **dict.fromkeys(("just", "justfile"), justfile.read),
    **dict.fromkeys(("systemd", "ini", "service", "desktop"), systemd.read),
    "fish": fish.read,
}
"""Readers by the word behind a fence of Markdown's."""


def _markdown(text: Located, script: Script) -> list[Launch]:
    return markdown.read(text, script, _KINDS, lambda block, _: shell(block))


DOCUMENTS: tuple[Format, ...] = (
    other_yaml.TEMPLATE,
    kubernetes.FORMAT,
    compose.FORMAT,
    dstack.FORMAT,
    truss.FORMAT,
    skypilot.FORMAT,
    *other_yaml.FORMATS,
)
"""Formats in YAML. A template comes first: it is no YAML yet."""

PROGRAMS: tuple[Format, ...] = (
    _read("a Jupyter notebook", notebook.shows, notebook.read),
    _read("a container in JSON", container_json.shows, container_json.read),
    _read("a Modal script", modal_script.shows, modal_script.read),
    _read("Python", python_program.shows, python_program.read),
    _read("a Dockerfile", dockerfile.shows, dockerfile.read),
    _read("a definition of Apptainer", apptainer.shows, apptainer.read),
    _read("a systemd unit", systemd.shows, systemd.read),
    _read("a configuration of supervisord", supervisord.shows, supervisord.read),
    _read("a Markdown file", markdown.shows, _markdown),
    _read("a justfile", justfile.shows, justfile.read),
    _read("a Makefile", makefile.shows, makefile.read),
    *(replace(each, shows=_shown(each.shows)) for each in refused.FORMATS),
    _read("a fish script", fish.shows, fish.read),
    _read("PowerShell", powershell.shows, powershell.read),
    _read("a batch file", batch.shows, batch.read),
    *refused.LAST,
)
"""Formats that are no YAML."""


def recognise(script: Script) -> Format | None:
    """The first format that claims the text: YAML shows by keys that no other text has, or by the file's name."""
    forms = (*DOCUMENTS, *PROGRAMS, unknown_yaml.FORMAT)
    if script.file.endswith((".yaml", ".yml")):
        forms = (*DOCUMENTS, unknown_yaml.FORMAT)
    return next((each for each in forms if each.shows(script) is not None), None)
