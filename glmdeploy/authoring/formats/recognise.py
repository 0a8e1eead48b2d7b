"""Which format a text has. What no format claims is a shell text, or a --config file of SGLang's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.authoring.formats import documents, programs

if TYPE_CHECKING:
    from glmdeploy.authoring.formats.format import Format
    from glmdeploy.authoring.launch.script import Script


def recognise(script: Script) -> Format | None:
    """The first format that claims the text: YAML shows by keys that no other text has, or by the file's name."""
    forms = (*documents.FORMATS, *programs.FORMATS, documents.LAST)
    if script.file.endswith((".yaml", ".yml")):
        forms = (*documents.FORMATS, documents.LAST)
    return next((each for each in forms if each.shows(script) is not None), None)
