"""The imported text: where its lines are, and how it is shown without its secrets and control characters."""

from __future__ import annotations

import dataclasses
import re
from itertools import accumulate
from typing import TYPE_CHECKING

from glmdeploy.errors import GlmdeployError
from glmdeploy.findings import Finding
from glmdeploy.source.text import MAX_BYTES, SourceText

if TYPE_CHECKING:
    from collections.abc import Iterable

    from glmdeploy.authoring.launch.launch import Note, Word

_HIDDEN = re.compile(r"[^\S\t ]|[^\x20-\x7e\t\xa0-\U0010ffff]|[\u2028\u2029]")
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
_LONG_ENOUGH = 4
"""Characters from which on a secret is looked for everywhere in the text; a shorter one is hidden where it stands."""

_NAMED_SECRET = re.compile(rf"(?:^|.*_)(?:{_SECRET_NAMES}|apikey)", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether an environment variable's name says that its value must not be shown or copied."""
    return not name.startswith("SGLANG_") and _NAMED_SECRET.fullmatch(name) is not None


def is_secret_value(text: str) -> bool:
    """Whether a text has the form of a token of a well-known service, or a URL with a password."""
    return any(pattern.search(text) for pattern in _SHOWN_SECRETS[2:])


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """A text to import, under the name that messages give it."""

    file: str
    text: str

    def findings(self, notes: Iterable[Note], secrets: Iterable[Word] = ()) -> list[Finding]:
        """The notes with their places, in the order of the text; ``secrets`` are shown as asterisks."""
        source = self._source(secrets)
        found = [
            Finding(
                id="import",
                severity=note.severity,
                message=note.message,
                location=source.place(*note.span),
                expected=note.expected,
                fix=note.fix,
            )
            for note in dict.fromkeys(notes)
        ]
        return sorted(found, key=lambda finding: (finding.location.line, finding.location.column))

    def _source(self, secrets: Iterable[Word]) -> SourceText:
        shown = hide(self.text, secrets)
        pieces = shown.split("\n")
        lines = tuple(piece.removesuffix("\r") for piece in pieces)
        return SourceText(
            file=self.file,
            text=self.text,
            lines=tuple(_HIDDEN.sub("\ufffd", line) for line in lines),
            starts=tuple(accumulate((len(piece) + 1 for piece in pieces[:-1]), initial=0)),
        )


def hide(text: str, secrets: Iterable[Word] = ()) -> str:
    """The text with asterisks over what is or looks like a secret; lines and columns stay."""
    spans = [match.span("value") for pattern in _SHOWN_SECRETS for match in pattern.finditer(text)]
    for word in secrets:
        spans.append(word.span)
        if len(word.text) >= _LONG_ENOUGH:
            spans += (match.span() for match in re.finditer(re.escape(word.text), text))
    characters = list(text)
    for start, end in spans:
        # A variable in place of a value is no secret, and says what to look for.
        if not _VARIABLE.fullmatch(text, start, end):
            characters[start:end] = [each if each in "\r\n" else "*" for each in characters[start:end]]
    return "".join(characters)


def decode(data: bytes, file: str) -> Script:
    """The script in a file's bytes.

    :raises GlmdeployError: if it is larger than 1 MiB or not UTF-8.
    """
    if len(data) > MAX_BYTES:
        raise GlmdeployError(f"{file} is larger than 1 MiB")
    try:
        return Script(file=file, text=data.decode("utf-8").removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        byte = f"byte 0x{data[error.start]:02X} at offset {error.start}"
        raise GlmdeployError(f"{file} is not UTF-8 text: {byte}") from None
