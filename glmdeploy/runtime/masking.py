"""Known secrets are hidden in text, however it spells them: as they are, escaped, quoted, encoded.

What is hidden: the value; as Python (``repr``, ``ascii``, of its bytes too, in either quotes), JSON (with and without
``\\u`` escapes, and as JavaScript's writers escape ``/``, ``<``, ``>``, ``&`` and ``'``), a shell's word (in either
quotes, with backslashes), part of a URL, HTML, its bytes read as Latin-1, Base64 of the value alone; and each of
these once more in each, as JSON of a Python dictionary or of a command line has it. A value of several lines is hidden
line by line. Not hidden: a value that is split, reversed, or encoded together with other text.

Keys are hidden whatever their length and wherever they stand, inside of words too: with the key `the`, `other` is
`o***r`. Other values are hidden from :data:`SHORTEST` characters on, because a secret may also hold `1` and `true`.
"""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from collections.abc import Iterable

HIDDEN = "***"
"""What a secret is shown as."""

SHORTEST = 6
"""Characters from which on a value is hidden that is not said to be a key."""

RESERVED = b"glmdeploy "
"""What the container's own lines to ``apply`` begin with (:mod:`glmdeploy.runtime.verdict`)."""

UNRESERVED = b"glmdeploy| "
"""What that is shown as where a child printed it: wherever it stands, for who keeps a log may cut a long line there."""

SIGN = 4
"""Characters from which on a word of a secret is rare enough in other text to be looked for."""


class Mask:
    """Hides ``keys`` of any length, and ``values`` of :data:`SHORTEST` and more characters."""

    def __init__(self, values: Iterable[str], *, keys: Iterable[str] = ()) -> None:
        known = [line for line in _lines_of(values) if len(line) >= SHORTEST] + _lines_of(keys)
        spelled = {line: spellings(line) for line in known}
        # The longest first, so that a value that contains another is hidden as a whole.
        texts = sorted({text for each in spelled.values() for text in each}, key=len, reverse=True)
        self._texts = re.compile("|".join(map(re.escape, texts)))
        self._bytes = re.compile(b"|".join(_encoded(re.escape(text)) for text in texts))
        # What stands in every text in which there is something to hide: few texts, for which to look is many times
        # faster than the patterns.
        self._signs = {sign: _encoded(sign) for line in known for sign in _signs(line, spelled[line])}
        self.longest = max([len(RESERVED), *(len(_encoded(text)) for text in texts)])
        """Bytes of the longest spelling, or of :data:`RESERVED`."""

    def __call__(self, text: str) -> str:
        """The text with :data:`HIDDEN` in place of every secret."""
        return self._texts.sub(HIDDEN, text) if any(sign in text for sign in self._signs) else text

    def piece(self, data: bytes, *, last: bool) -> tuple[bytes, int]:
        """The bytes with every secret hidden, and how many of them that is: all, when they are the ``last`` of a line.

        Else the end is kept back in which a secret may begin that the next bytes end. No spelling has a line break.
        What they have of :data:`RESERVED` is shown as :data:`UNRESERVED`: nobody speaks for the container but itself.
        """
        end = len(data) if last else max(len(data) - self.longest + 1, 0)
        shown, taken = [], 0
        if any(sign in data for sign in self._signs.values()):
            for match in self._bytes.finditer(data):
                if match.start() >= end:
                    break
                shown += [data[taken : match.start()], HIDDEN.encode()]
                taken = match.end()
        end = max(end, taken)
        if end < len(data) and (began := data.rfind(RESERVED, taken, end + len(RESERVED) - 1)) > end - len(RESERVED):
            end = max(began, taken)  # it is not cut in two
        masked = b"".join((*shown, data[taken:end]))
        return masked.replace(RESERVED, UNRESERVED) if RESERVED in masked else masked, end


def unreserved(text: str) -> str:
    """The text, without what only the container itself says."""
    return text.replace(RESERVED.decode(), UNRESERVED.decode())


def spellings(value: str) -> set[str]:
    """All texts that stand for the value; of a plain one, of letters and digits, few."""
    found = {value}
    for _ in range(2):
        found |= {text for known in found for text in _spelled(known)}
    if len(value) >= SHORTEST:
        for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
            found.add(encode(_encoded(value)).decode().rstrip("="))
    return found - {""}


def _signs(value: str, texts: set[str]) -> set[str]:
    """Texts one of which stands in each of the value's spellings: mostly a word of it, which no language changes."""
    word = max(re.findall(r"[A-Za-z0-9]+", value), key=len, default="")
    return {word if word in text else text for text in texts} if len(word) >= SIGN else texts


def _lines_of(values: Iterable[str]) -> list[str]:
    return [line.strip() for value in values for line in value.splitlines() if line.strip()]


def _spelled(text: str) -> set[str]:
    """The text in one other language, for each of them, without the quotes around it."""
    data = _encoded(text)
    written = json.dumps(text)[1:-1]
    read = json.dumps(text, ensure_ascii=False)[1:-1]
    # Python takes the quotes that need no escape, and single ones where both stand in the text.
    plain, escaped, raw = repr(text + '"')[1:-2], ascii(text + '"')[1:-2], repr(data + b'"')[2:-2]
    single = [literal if "'" not in text else literal.replace("\\'", "'") for literal in (plain, escaped, raw)]
    found = {
        *single,
        *(literal.replace("'", "\\'") for literal in single),
        *(literal.replace('"', '\\"') for literal in single),
        *(read, written, read.replace("/", "\\/"), written.replace("/", "\\/")),
        *(re.sub(r"[<>&']", _unicode_escape, form) for form in (read, written)),
        *(text.replace("'", quote) for quote in ("'\"'\"'", "'\\''")),
        re.sub(r'(["\\$`])', r"\\\1", text),
        re.sub(r"([^\w@%+=:,./-])", r"\\\1", text, flags=re.ASCII),
        data.decode("latin-1"),
    }
    for safe in ("", "/", "/:", "!*'()~"):  # as quote and quote_plus of Python, as encodeURIComponent
        quoted = urllib.parse.quote(data, safe=safe)
        both = {quoted, quoted.replace("%20", "+")}
        found |= both | {re.sub(r"%..", _lower, form) for form in both}
    marked = html.escape(text)
    found |= {html.escape(text, quote=False), marked, marked.replace("&#x27;", "&#39;").replace("&quot;", "&#34;")}
    return found


def _encoded(text: str) -> bytes:
    """What the text is in an environment or a log: undecodable bytes of a variable are themselves again."""
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")


def _unicode_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _lower(match: re.Match[str]) -> str:
    return match[0].lower()
