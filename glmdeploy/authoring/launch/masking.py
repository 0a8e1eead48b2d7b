"""The lines of a launch as they may be shown: asterisks over its secrets, so that lines and columns stay."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy.redaction import NAMES, find, is_secret_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from glmdeploy.authoring.launch.launch import Span

_QUOTED_OR_BARE = r"(?P<value>\"[^\"]*\"?|'[^']*'?|[^\s\"';&|]+)"
_ASSIGNED = (
    # A net below the exact places, for text that cannot be read as a shell reads it.
    re.compile(rf"--[\w-]{{0,40}}?(?:{NAMES})(?:\s*=\s*|[\s\\]+){_QUOTED_OR_BARE}", re.IGNORECASE),
    re.compile(rf"(?<![A-Za-z0-9])(?:{NAMES})\s*[=:]\s*{_QUOTED_OR_BARE}", re.IGNORECASE),
)
_VARIABLE = re.compile(r"[\"']?\$(?:\w+|\{\w+\})?[\"']?")


def holds_secret(name: str, value: str | None) -> bool:
    """Whether a variable's value must not be shown or copied: its name says so, or the value, where it is known, does.

    SGLang's own variables hold no secrets.
    """
    return (is_secret_name(name) and not name.startswith("SGLANG_")) or bool(value and find(value))


def masked(text: str, spans: Iterable[Span] = ()) -> str:
    """The text with asterisks over the spans and what looks like a secret; lines and columns stay."""
    found = [match.span("value") for pattern in _ASSIGNED for match in pattern.finditer(text)]
    found += [(leak.start + leak.visible, leak.end) for leak in find(text)]
    characters = list(text)
    for start, end in (*found, *spans):
        # A variable in place of a value is no secret, and says what to look for.
        if not _VARIABLE.fullmatch(text, start, end):
            characters[start:end] = [each if each in "\r\n" else "*" for each in characters[start:end]]
    return "".join(characters)
