"""What an import is given: a text, how it is shown without its secrets and control characters, and options."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.masking import SHORTEST, masked, values
from glmdeploy.errors import GlmdeployError
from glmdeploy.findings import Finding
from glmdeploy.profile.text.characters import MAX_BYTES, SourceText
from glmdeploy.redaction import MASK, Redactor, mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from glmdeploy.authoring.launch.launch import Note, Span, Word

_HIDDEN = re.compile(r"[^\S\t ]|[^\x20-\x7e\t\xa0-\U0010ffff]|[\u2028\u2029]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """A text to import, under the name that messages give it."""

    file: str
    text: str

    def findings(self, notes: Iterable[Note], secrets: Iterable[Word] = ()) -> list[Finding]:
        """The notes with their places, in the order of the text; ``secrets`` are shown as asterisks."""
        secrets = tuple(secrets)
        source = self._source(secrets)
        hidden = self.hider(secrets)
        found = [
            Finding(
                id="import",
                severity=note.severity,
                message=hidden(note.message),
                location=source.place(*note.span),
                expected=hidden(note.expected) if note.expected else None,
                fix=hidden(note.fix) if note.fix else None,
            )
            for note in dict.fromkeys(notes)
        ]
        return sorted(found, key=lambda finding: (finding.location.line, finding.location.column))

    def hider(self, secrets: Iterable[Word] = ()) -> Callable[[str], str]:
        """Hides in a message what is a secret of the text, whole, in other spellings, or cut short."""
        known = {each for each in (*values(self.text), *(word.text for word in secrets)) if len(each) >= SHORTEST}
        whole = Redactor(known)

        def hidden(message: str) -> str:
            text = mask(whole(message))
            for each in known:
                text = _without_beginning(text, each) if "..." in text else text
                text = re.sub(rf"(?<!\w){re.escape(each)}(?!\w)", MASK, text)
            return text

        return hidden

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


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportOptions:
    """What an import is told because no launch says it; None where the text or a default decides.

    ``public``: the endpoint shall have no key.
    """

    app: str | None = None
    name: str | None = None
    gpu: str | None = None
    sglang_version: str | None = None
    repo: str | None = None
    public: bool = False


def _without_beginning(message: str, secret: str) -> str:
    """The message without the first characters of a secret in front of the dots that say that it is cut short."""
    ends = (end for end in range(len(secret), SHORTEST - 1, -1) if f"{secret[:end]}..." in message)
    end = next(ends, 0)
    return message.replace(f"{secret[:end]}...", f"{MASK}...") if end else message


def hide(text: str, secrets: Iterable[Word] = ()) -> str:
    """The text with asterisks over what is or looks like a secret; lines and columns stay."""
    spans: list[Span] = []
    secrets = tuple(secrets)
    spans += (word.span for word in secrets)
    known = {*(word.text for word in secrets), *values(text)}
    for each in known:
        if len(each) >= SHORTEST:
            spans += (match.span() for match in re.finditer(re.escape(each), text))
    return masked(text, spans)


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
