"""Formats that are no YAML: Dockerfile, Makefile, justfile, systemd, Modal scripts, Markdown, other shells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.authoring.formats import (
    dockerfile,
    justfile,
    makefile,
    modal_script,
    python_program,
    supervisord,
    systemd,
)
from glmdeploy.authoring.formats.format import Format
from glmdeploy.authoring.formats.located import whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.authoring.formats.located import Located
    from glmdeploy.authoring.launch.launch import Launch, Span
    from glmdeploy.authoring.launch.script import Script


def _read(name: str, shows: Callable[[Script], Span | None], read: Callable[[Located, Script], list[Launch]]) -> Format:
    return Format(name=name, shows=shows, launches=lambda script: read(whole(script.text), script))


FORMATS: tuple[Format, ...] = (
    _read("a Modal script", modal_script.shows, modal_script.read),
    _read("Python", python_program.shows, python_program.read),
    _read("a Dockerfile", dockerfile.shows, dockerfile.read),
    _read("a systemd unit", systemd.shows, systemd.read),
    _read("a configuration of supervisord", supervisord.shows, supervisord.read),
    _read("a justfile", justfile.shows, justfile.read),
    _read("a Makefile", makefile.shows, makefile.read),
)
