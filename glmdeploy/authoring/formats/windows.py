"""What PowerShell and batch files have in common: how programs are called there, and launches by an argv."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.tell import of_the_machine, told
from glmdeploy.authoring.launch.find import of_argv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glmdeploy.authoring.launch.launch import Launch, Note, Word

_PROGRAM = re.compile(
    r"(?:.*[\\/])?(python[0-9.w]*|py|docker|podman|bash|sglang|wsl|sh|uv|conda)(?:\.exe)?", re.IGNORECASE
)


def argv(words: Sequence[Word], env: Mapping[str, Word], *notes: Note) -> list[Launch]:
    """The launches of a command, whose program may be named by a path of Windows.

    :raises ShellError: where a shell text in it cannot be read.
    """
    if not words:
        return []
    first = _PROGRAM.fullmatch(words[0].text)
    name = first[1].lower() if first else ""
    if name == "py":
        name = "python"
    if first and words[0].text != name:
        words = [replace(words[0], text=name, offsets=(words[0].span[0],) * len(name)), *words[1:]]
    kept, more = of_the_machine(env)
    return told(of_argv(words, kept), *notes, *more)
