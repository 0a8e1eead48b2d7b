"""What a format is: how it is told from others, and how its launches are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.launch import Note
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.authoring.launch.launch import Launch, Span
    from glmdeploy.authoring.launch.script import Script


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A kind of file. ``name`` is said with its article: "a Docker Compose file".

    ``shows`` gives the place at which a text shows that it is of this kind, None where it is not. ``launches`` reads
    it, raising ProfileError or ShellError where it cannot; without it the format is refused by its name, with
    ``advice`` what to do instead.
    """

    name: str
    shows: Callable[[Script], Span | None]
    launches: Callable[[Script], list[Launch]] | None = None
    advice: str | None = None

    def read(self, script: Script) -> list[Launch]:
        """The launches in the file, in its order.

        :raises ProfileError: where the format, or this file of it, cannot be read.
        """
        if self.launches is not None:
            return self.launches(script)
        span = self.shows(script) or (0, 1)
        note = Note(
            severity=Severity.ERROR,
            message=f"this is {self.name}, which cannot be imported",
            span=span,
            fix=self.advice or "import the command that it runs, as a shell text",
        )
        raise ProfileError(script.findings([note]))
