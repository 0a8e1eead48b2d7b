"""Transcripts of a terminal in a page: what was typed and what came, held to what comes now.

A line that is ``...`` stands for any lines, and ``...`` within a line for any text. What is another one each time is
not compared: times, ports, identities, and that a slow machine is told what goes on (a line that ends in `` ...``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEX = r"(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}"
_CHANGING = (
    (re.compile(r"127\.0\.0\.1:\d+|localhost:\d+"), "ADDRESS"),
    (re.compile(r"\b(?:ta|ap|fu|im|in|pr)-[A-Za-z0-9]{10,}"), "IDENTITY"),
    (re.compile(rf"\b{_HEX}\b"), "HEX"),
    (re.compile(r"\b\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)(?: \d{4})?(?: \d\d:\d\d)?"), "DATE"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?"), "DATE"),
    (re.compile(r"\b\d\d:\d\d(?::\d\d)?\b"), "TIME"),
    (re.compile(r"\b\d[\d,.]*(?= ?(?:s|ms|tok/s|tokens/s|kB|MB)\b)"), "N"),
    (re.compile(r"\bby [\w.-]+(?:@[\w.-]+)?(?= \()"), "by SOMEBODY"),
    (re.compile(r"/tmp/\S*"), "/tmp/..."),
    (re.compile(r"[ \t]+"), " "),
)


@dataclass(frozen=True, kw_only=True)
class Typed:
    """A command of a transcript, and what came; ``output`` has the lines."""

    command: str
    output: tuple[str, ...]


def typed(text: str) -> list[Typed]:
    """The commands of a block.

    :raises ValueError: if it does not begin with one.
    """
    found: list[Typed] = []
    command: list[str] = []
    output: list[str] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                found.append(Typed(command="\n".join(command), output=tuple(output)))
            command, output = [line.removeprefix("$ ")], []
        elif not command:
            raise ValueError(f"a transcript begins with what is typed, `$ ...`: {line!r}")
        elif line.startswith("> ") and not output:
            command.append(line.removeprefix("> "))
        else:
            output.append(line)
    return [*found, Typed(command="\n".join(command), output=tuple(output))] if command else found


def steady(line: str) -> str:
    """The line without what is another one each time."""
    for pattern, word in _CHANGING:
        line = pattern.sub(word, line)
    return line.strip()


def fits(shown: tuple[str, ...], came: list[str]) -> bool:
    """Whether what came is what the page shows."""
    shown, came = _without_blanks([*shown]), [line for line in _without_blanks(came) if not line.endswith(" ...")]
    return _fits([*shown], tuple(came))


def _without_blanks(lines: list[str]) -> tuple[str, ...]:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return tuple(lines)


def _fits(shown: list[str], came: tuple[str, ...]) -> bool:
    if not shown:
        return not came
    if shown[0].strip() == "...":
        return any(_fits(shown[1:], came[skipped:]) for skipped in range(len(came) + 1))
    return bool(came) and _same(shown[0], came[0]) and _fits(shown[1:], came[1:])


def _same(shown: str, came: str) -> bool:
    pieces = [re.escape(steady(piece)) for piece in shown.split("...")]
    return re.fullmatch(" ?.* ?".join(pieces), steady(came)) is not None


def renewed(each: Typed, came: list[str]) -> list[str]:
    """What came, as long as what the page showed; it is for whoever renews the page to read it."""
    lines = [*_without_blanks(came)]
    if any(line.strip() == "..." for line in each.output) and len(lines) > len(each.output):
        return [*lines[: max(len(each.output) - 1, 1)], "..."]
    return lines
