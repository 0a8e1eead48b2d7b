"""Formats that are no YAML: Dockerfile, Makefile, justfile, systemd, Modal scripts, Markdown, other shells."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glmdeploy.authoring.formats.format import Format

FORMATS: tuple[Format, ...] = ()
