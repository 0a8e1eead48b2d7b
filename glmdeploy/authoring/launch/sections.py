"""A profile in the making: its data, where each value comes from, and what is to be told about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring.launch.launch import Note
from glmdeploy.findings import KeyPath, Severity

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.launch import Span, Word
    from glmdeploy.findings import Finding

_ORDER = (
    *("schema", "name", "description", "app", "model", "gpu", "cluster", "volumes", "secrets"),
    *("download", "compile", "server", "sglang"),
)


@dataclass(kw_only=True)
class Sections:
    """What is placed in a profile's sections so far, as the ``data`` of the profile.

    ``origins`` has the place in the text of what came from it, ``fallbacks`` what stands in where that is refused.
    ``secrets`` are values that nobody may see. ``added`` says what the launch says nothing of, and the profile needs.
    """

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Span] = field(default_factory=dict)
    fallbacks: dict[KeyPath, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    secrets: list[Word] = field(default_factory=list)
    added: list[str] = field(default_factory=list)

    def put(self, path: KeyPath, value: Any, span: Span | None = None) -> None:
        """Set the value at a path, with the mappings that lead to it."""
        target: Any = self.data
        for key in path[:-1]:
            target = target.setdefault(key, {})
        target[path[-1]] = value
        if span is not None:
            self.origins[path] = span

    def order(self) -> None:
        """Bring the sections into the order in which profiles are written."""
        self.data = {name: self.data[name] for name in _ORDER if name in self.data}

    def note(
        self, severity: Severity, message: str, span: Span, *, fix: str | None = None, expected: str | None = None
    ) -> None:
        self.notes.append(Note(severity=severity, message=message, span=span, fix=fix, expected=expected))

    def use(self, word: Word) -> str:
        """The word's text, with what was noted on the way to it."""
        self.notes += word.notes
        return word.text

    def refuse(self, finding: Finding) -> bool:
        """Take out the value that a profile's check refuses, and tell it where it stands in the text.

        False where the value did not come from the text.
        """
        path = next(
            (finding.path[:end] for end in range(len(finding.path), 0, -1) if finding.path[:end] in self.origins), None
        )
        if path is None:
            return False
        span = self.take_out(path)
        self.note(
            Severity.ERROR, f"{finding.message}; it was left out", span, fix=finding.fix, expected=finding.expected
        )
        return True

    def take_out(self, path: KeyPath) -> Span:
        """Take out a value that came from the text, or put in what stands in for it. Where it stands in the text."""
        span = self.origins.pop(path)
        parent: Any = self.data
        for key in path[:-1]:
            parent = parent[key]
        del parent[path[-1]]
        if path in self.fallbacks:
            parent[path[-1]] = self.fallbacks[path]
        elif not parent:
            # `env` and `args` are the mappings that can end up empty.
            del self.data[str(path[0])][path[1]]
        return span
