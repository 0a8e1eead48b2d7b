"""What an import is given: a text, how it is shown without its secrets and control characters, and options."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch import encodings
from glmdeploy.authoring.launch.launch import Note
from glmdeploy.authoring.launch.masking import SHORTEST, masked, values
from glmdeploy.errors import GlmdeployError, ProfileError
from glmdeploy.findings import Finding, Severity
from glmdeploy.profile.text.characters import MAX_BYTES, SourceText
from glmdeploy.redaction import MASK, Redactor, mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from glmdeploy.authoring.launch.launch import Span, Word

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
    """The script in a file's bytes: UTF-8, or UTF-16 and UTF-32 that begin with their mark.

    :raises GlmdeployError: if it is larger than 1 MiB.
    :raises ProfileError: if it is no text, or in another encoding, at the place where that shows.
    """
    if len(data) > MAX_BYTES:
        raise GlmdeployError(f"{file} is larger than 1 MiB")
    if kind := encodings.binary(data):
        raise _not_text(file, "", 0, f"this is {kind}, no text", "import the text that launches SGLang")
    codec, start = encodings.marked(data) or ("utf-8", 0)
    try:
        text = data[start:].decode(codec)
    except UnicodeDecodeError as error:
        guess = encodings.wide(data) or encodings.guessed(data) if codec == "utf-8" else None
        if guess is None:
            message = f"this begins with the mark of {codec.upper()}, and is not"
            raise _not_text(file, data[start:].decode(codec, "replace"), 0, message, "save it as UTF-8") from None
        if encodings.damaged(data):
            message = f"the byte 0x{data[error.start]:02X} here is no UTF-8, as the rest of the text is"
            before = len(data[: error.start].decode("utf-8"))
            raise _not_text(
                file, data.decode("utf-8", "replace"), before, message, "write the character anew"
            ) from None
        raise _other_encoding(file, data, encodings.first_high(data), guess) from None
    if guess := encodings.wide(data) if codec == "utf-8" else None:
        raise _other_encoding(file, data, 0, guess)
    if codec != "utf-8" or "\0" not in text:
        return Script(file=file, text=text.replace("\0", "\ufffd"))
    at = text.index("\0")
    raise _not_text(file, text, at, "there is a NUL byte here, so that this is no text", "remove it")


def _other_encoding(file: str, data: bytes, at: int, guess: encodings.Encoding) -> ProfileError:
    what = f"{guess.name} ({guess.language})" if guess.language else guess.name
    message = f"this is not UTF-8 text; it looks like {what}"
    text = data.decode(guess.codec, "replace")
    advice = f"convert it: iconv -f {guess.name} -t UTF-8 {'FILE' if file == '<stdin>' else file}"
    return _not_text(file, text, len(data[:at].decode(guess.codec, "replace")), message, advice)


def _not_text(file: str, text: str, at: int, message: str, fix: str) -> ProfileError:
    note = Note(severity=Severity.ERROR, message=message, span=(at, at + 1), fix=fix)
    return ProfileError(Script(file=file, text=text).findings([note]))
