"""What holds of every finding: its place lies in the text, and nothing that is shown holds a secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fuzz.target import TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from glmdeploy.findings import Finding

_BODY = TOKEN.removeprefix("hf_")
_PLANTED = re.compile(rf"(?<![\w-]){TOKEN}(?![\w-])", re.ASCII)
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def in_text(findings: Iterable[Finding], file: str, lines: Sequence[str]) -> None:
    """Each finding in ``file`` stands on a line that there is, within it."""
    for found in findings:
        place = found.location
        if place.file != file:
            continue
        assert 1 <= place.line <= max(len(lines), 1), f"line {place.line} of {len(lines)}: {found}"
        assert place.column >= 1, found
        assert place.length >= 1, found
        assert place.column + place.length <= len(place.text) + 2, f"outside of its line: {found}"
        assert found.message.strip(), found


def lines_of(data: bytes) -> list[str]:
    """A file's lines, as its findings count them."""
    text = data.decode("utf-8", "replace")
    return re.split(r"\r\n|\r|\n", text)


def planted(text: str) -> bool:
    """Whether the secret stands in a text as a word, and no part of it anywhere else."""
    return 0 < len(_PLANTED.findall(text)) == text.count(_BODY[:12])


def hidden(text: str, shown: str) -> None:
    """What is shown of a text does not tell its secret."""
    if planted(text):
        at = shown.find(_BODY[:12])
        assert at < 0, f"the secret is shown: {shown[max(0, at - 200) : at + 60]!r}"


def seemly(shown: str) -> None:
    """Nothing for a terminal holds its control characters, but for our own colours."""
    found = _UNSEEN.search(_COLOUR.sub("", shown))
    assert not found, f"a control character is shown: {found[0]!r}" if found else ""
