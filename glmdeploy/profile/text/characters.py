"""From bytes to text that may be parsed, and from offsets in that text to places a user can find."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from glmdeploy.errors import ProfileError
from glmdeploy.findings import Finding, KeyPath, Location, Severity

MAX_BYTES = 1024 * 1024

# What YAML refuses, and four more: parsers of YAML 1.1 take U+0085, U+2028 and U+2029 for line breaks and
# those of 1.2 do not, and a byte order mark inside a text cannot be seen.
_REFUSED = re.compile("[\0-\x08\v\f\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def fault(
    message: str,
    location: Location,
    *,
    path: KeyPath = (),
    expected: str | None = None,
    fix: str | None = None,
) -> Finding:
    """An error of the reading of a profile, before any rule or schema has seen it."""
    return Finding(
        id="yaml",
        severity=Severity.ERROR,
        message=message,
        location=location,
        path=path,
        expected=expected,
        fix=fix,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceText:
    """A text and where its lines begin. Offsets count characters from 0."""

    file: str
    text: str
    lines: tuple[str, ...]
    starts: tuple[int, ...]

    def place(self, start: int, end: int | None = None) -> Location:
        """The place of the characters from ``start`` up to ``end``, cut off at the end of the first line."""
        row = bisect_right(self.starts, start) - 1
        line = self.lines[row]
        column = min(start - self.starts[row], len(line))
        stop = column + 1 if end is None else min(end - self.starts[row], len(line))
        return Location(file=self.file, line=row + 1, column=column + 1, text=line, length=max(stop - column, 1))


def shown(text: str, limit: int = 60) -> str:
    """A text from the profile as a message may repeat it: short, on one line, with nothing invisible."""
    short = text if len(text) <= limit else text[: limit - 3] + "..."
    return short if short.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in short)


def decode(data: bytes, file: str) -> SourceText:
    """The text of a file's bytes: at most 1 MiB of UTF-8, with or without a byte order mark.

    :raises ProfileError: with the place of the first byte or character that does not belong.
    """
    if len(data) > MAX_BYTES:
        raise ProfileError([_too_large(file)])
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or (len(data) > 1 and (data[0] == 0) != (data[1] == 0)):
        raise ProfileError(
            [
                fault(
                    "the file is not UTF-8: it begins like UTF-16 or UTF-32",
                    Location(file=file, line=1, column=1),
                    fix="save the file as UTF-8",
                )
            ]
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProfileError([_not_utf8(data, error.start, file)]) from None
    return check(text, file)


def check(text: str, file: str) -> SourceText:
    """The same checks for a text that is decoded already.

    :raises ProfileError:
    """
    # UTF-8 takes 1 to 4 bytes a character, so most texts need not be encoded to be measured.
    if len(text) > MAX_BYTES or (len(text) > MAX_BYTES // 4 and len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES):
        raise ProfileError([_too_large(file)])
    text = text.removeprefix("\ufeff")
    if bad := _REFUSED.search(text):
        # The line is shown on a terminal: the characters that are refused must not reach it.
        visible = _split(_REFUSED.sub("\ufffd", text), file)
        raise ProfileError(
            [
                fault(
                    f"the character `U+{ord(bad[0]):04X}` may not stand in a profile",
                    visible.place(bad.start()),
                    fix=f'remove it, or write it as an escape in double quotes: `"{_escape(bad[0])}"`',
                )
            ]
        )
    return _split(text, file)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _split(text: str, file: str) -> SourceText:
    # The other characters that str.splitlines takes for line breaks are all among the refused.
    pieces = text.splitlines(keepends=True)
    if not text or text[-1] in "\r\n":
        pieces.append("")
    return SourceText(
        file=file,
        text=text,
        lines=tuple(piece.rstrip("\r\n") for piece in pieces),
        starts=tuple(accumulate(map(len, pieces[:-1]), initial=0)),
    )


def _too_large(file: str) -> Finding:
    return fault("the file is larger than 1 MiB", Location(file=file, line=1, column=1))


def _not_utf8(data: bytes, offset: int, file: str) -> Finding:
    if 0 in data:
        return fault(
            "the file is binary, not YAML text",
            Location(file=file, line=1, column=1),
            fix="name a file in YAML; `glmdeploy init MODEL` writes a first profile",
        )
    before = data[:offset].decode("utf-8").removeprefix("\ufeff")
    after = re.split(r"[\r\n]", data[offset:].decode("utf-8", "replace"), maxsplit=1)[0]
    source = _split(_REFUSED.sub("\ufffd", before + after), file)
    return fault(
        f"the file is not UTF-8: byte `0x{data[offset]:02X}` at offset {offset}",
        source.place(len(before)),
        fix="save the file as UTF-8",
    )
