"""What is called like a secret, what looks like one, and how it is shown: as asterisks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from glmdeploy.authoring.launch.launch import Span

_SECRET_NAMES = r"key|token|secret|password|passwd|credentials?|auth"
_QUOTED_OR_BARE = r"(?P<value>\"[^\"]*\"?|'[^']*'?|[^\s\"';&|]+)"
_SHOWN_SECRETS = (
    # A net below the exact places, for text that cannot be read as a shell reads it.
    re.compile(rf"--[\w-]{{0,40}}?(?:{_SECRET_NAMES})(?:\s*=\s*|[\s\\]+){_QUOTED_OR_BARE}", re.IGNORECASE),
    re.compile(rf"(?<![A-Za-z0-9])(?:{_SECRET_NAMES}|apikey)\s*[=:]\s*{_QUOTED_OR_BARE}", re.IGNORECASE),
    re.compile(r"(?P<value>\b(?:hf_|sk-|ghp_|github_pat_|nvapi-|ak-|as-)[A-Za-z0-9_-]{8,})"),
    re.compile(r"://[^/\s:@]{0,100}:(?P<value>[^/\s@]{1,100})@"),
)
_VARIABLE = re.compile(r"[\"']?\$(?:\w+|\{\w+\})?[\"']?")
_NAMED_SECRET = re.compile(rf"(?:^|.*_)(?:{_SECRET_NAMES}|apikey)", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether an environment variable's name says that its value must not be shown or copied."""
    return not name.startswith("SGLANG_") and _NAMED_SECRET.fullmatch(name) is not None


def is_secret_value(text: str) -> bool:
    """Whether a text has the form of a token of a well-known service, or a URL with a password."""
    return any(pattern.search(text) for pattern in _SHOWN_SECRETS[2:])


def masked(text: str, spans: Iterable[Span] = ()) -> str:
    """The text with asterisks over the spans and what looks like a secret; lines and columns stay."""
    found = [match.span("value") for pattern in _SHOWN_SECRETS for match in pattern.finditer(text)]
    characters = list(text)
    for start, end in (*found, *spans):
        # A variable in place of a value is no secret, and says what to look for.
        if not _VARIABLE.fullmatch(text, start, end):
            characters[start:end] = [each if each in "\r\n" else "*" for each in characters[start:end]]
    return "".join(characters)
