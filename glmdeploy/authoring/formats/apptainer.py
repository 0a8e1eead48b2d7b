"""A definition file of Apptainer or Singularity: its base image, environment and run script.

After the user guide of Apptainer 1.3, "Definition Files": ``%runscript`` is a shell text that gets ``%environment``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.located import Located, joined, placed
from glmdeploy.authoring.formats.tell import failed, info, installed, told, warning
from glmdeploy.authoring.launch.find import launches
from glmdeploy.authoring.launch.launch import Container

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.launch import Launch, Note, Span
    from glmdeploy.authoring.launch.script import Script

_BOOTSTRAP = re.compile(r"^Bootstrap[ \t]*:[ \t]*\S+", re.MULTILINE | re.IGNORECASE)
_FROM = re.compile(r"^From[ \t]*:[ \t]*(?P<image>\S+)", re.MULTILINE | re.IGNORECASE)
_SECTION = re.compile(r"^%(?P<name>\w+)(?P<rest>[^\n]*)\n", re.MULTILINE)
_RUN = ("runscript", "startscript")
_SILENT = frozenset({"labels", "help", "test", "environment", *_RUN})


def shows(script: Script) -> Span | None:
    """Where the bootstrap agent stands, if nothing but comments stands before it."""
    found = _BOOTSTRAP.search(script.text)
    if found is None or re.search(r"^[ \t]*[^#\s]", script.text[: found.start()], re.MULTILINE):
        return None
    return found.span()


def read(text: Located, script: Script) -> list[Launch]:
    """The launches of its run script.

    :raises ProfileError: where it has none.
    :raises ShellError: where that cannot be read.
    """
    found = list(_SECTION.finditer(text.text))
    ends = [*(each.start() for each in found[1:]), len(text.text)]
    sections = [(each["name"].lower(), text.cut(each.end(), end), each) for each, end in zip(found, ends, strict=False)]
    environment = [body for name, body, _ in sections if name == "environment"]
    run = [body for name in _RUN for other, body, _ in sections if other == name]
    if not run:
        place = _BOOTSTRAP.search(text.text)
        span = text.span(*place.span()) if place else (0, 1)
        raise failed(script, "this definition has no %runscript, so that it does not launch SGLang", span)
    notes: list[Note] = []
    for name, body, each in sections:
        span = text.span(each.start(), each.end() - 1)
        if name in ("post", "setup", "files", "arguments"):
            notes.append(warning(f"what %{name} does was left out", span, "see `sglang.image_steps`"))
        elif name not in _SILENT:
            notes.append(info(f"%{name} was left out", span))
        if name == "environment" and not body.text.strip():
            notes.append(info("%environment is empty", span))
    image = _FROM.search(text.text)
    container = Container(image=text.cut(*image.span("image")).word()) if image else None
    releases = installed(*(body for name, body, _ in sections if name == "post"))
    # The environment comes first, as if it stood in the same text.
    whole = joined([piece for body in (*environment, run[0]) for piece in (body, placed("\n", body.span()[0]))])
    return [
        replace(each, container=each.container or container, releases=(*releases, *each.releases))
        for each in told(launches(whole.text, whole.offsets), *notes)
    ]
