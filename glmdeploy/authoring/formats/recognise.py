"""Which format a text has. What no format claims is a shell text, or a --config file of SGLang's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.authoring.formats import documents, programs

if TYPE_CHECKING:
    from glmdeploy.authoring.formats.format import Format
    from glmdeploy.authoring.launch.script import Script


def recognise(script: Script) -> Format | None:
    """The first format that claims the text."""
    return next((each for each in (*programs.FORMATS, *documents.FORMATS) if each.shows(script) is not None), None)
