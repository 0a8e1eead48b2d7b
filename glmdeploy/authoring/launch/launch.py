"""What an import passes from step to step: words with their places, and the launch that they belong to.

Offsets count characters of the imported text from 0. A word that came out of a variable lies where the variable is
used, because that is where a reader looks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.findings import KeyPath, Severity
    from glmdeploy.sglang.engines import Engine

Span: TypeAlias = tuple[int, int]
"""First offset and the one behind the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """Something to tell about a place in the text; becomes a finding once the text's secrets are known."""

    severity: Severity
    message: str
    span: Span
    expected: str | None = None
    fix: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One argument after quoting and variables.

    ``raw`` is the word as written, where it was written as a word. ``offsets`` has the place of each character of
    ``text``. ``unknown`` are the parts whose value the text does not tell, as written (``$TP``); they stand in
    ``text`` as they are. ``variables`` are the names of all variables that took part. ``notes`` matter only if the
    word is used. ``broken``: it ends its line with a backslash and a blank. ``bare``: characters that are not ASCII
    stand in it outside of quotes.
    """

    text: str
    span: Span
    raw: str = ""
    offsets: tuple[int, ...] = ()
    unknown: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    broken: bool = False
    bare: bool = False

    def after(self, start: int) -> Word:
        """The word from its character ``start`` on: the value of ``--option=value``."""
        begin = self.offsets[start] if start < len(self.offsets) else self.span[1]
        return Word(
            text=self.text[start:],
            span=(max(self.span[0], min(begin, self.span[1])), self.span[1]),
            raw=self.raw,
            offsets=self.offsets[start:],
            unknown=self.unknown,
            variables=self.variables,
            notes=self.notes,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """The ``docker run`` around a launch. ``flags`` are its options by long name, in their order, without ``env``."""

    image: Word
    flags: tuple[tuple[str, Word], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One launch of SGLang, or one configuration file: everything that a profile is made of.

    ``words`` are SGLang's own arguments. A variable in ``env`` that is only passed on has an unknown word for a value.
    ``engine`` is set where another engine is launched: such a launch is refused. ``gpu`` is what the text says of GPUs
    in Modal's form (``H200:4``, ``H200``, ``:8`` where only their number is told), for one node. ``nodes`` is the word
    with the number of nodes that start this launch, where what is around it says that. ``releases`` are the versions of
    SGLang that the text names (``0.5.11``) beside the image's tag, the nearest to the launch last. ``settings`` are
    values that have a place of their own in a profile (``("server", "scaledown_window")``), with their places in the
    text. ``secrets`` are values of the text that nobody may see, beside those that ``words`` and ``env`` have.
    """

    words: tuple[Word, ...]
    place: Span
    env: Mapping[str, Word]
    container: Container | None = None
    notes: tuple[Note, ...] = ()
    engine: Engine | None = None
    gpu: Word | None = None
    nodes: Word | None = None
    releases: tuple[Word, ...] = ()
    settings: Mapping[KeyPath, tuple[Any, Span]] = field(default_factory=dict)
    secrets: tuple[Word, ...] = ()

    def said(self, name: str) -> Word | None:
        """The value of an option under one of its names, before anything is known of a release; None without it."""
        for index, word in enumerate(self.words):
            given, equals, _ = word.text.partition("=")
            if given == name:
                return word.after(len(name) + 1) if equals else next(iter(self.words[index + 1 :]), None)
        return None
