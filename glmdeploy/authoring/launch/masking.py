"""The lines of a launch as they may be shown: asterisks over its secrets, so that lines and columns stay.

A launch with a mistake is shown too, and is no text that can be read as a shell reads it: the patterns here look for
what a secret stands beside, in whatever notation.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from glmdeploy.redaction import NAMES, find, is_secret_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from glmdeploy.authoring.launch.launch import Span

_DASHES = "[-\u2010-\u2015\u2212\ufe58\ufe63\uff0d]"
_VALUE = r"(?P<value>\\?\"[^\"\n]*\"?|\\?'[^'\n]*'?|[\u201c\u2018][^\u201d\u2019\n]*[\u201d\u2019]?|[^\s\"';&|,)\]}]+)"
_NAME = rf"(?<!first[-_])(?<!per[-_])(?:{NAMES})"
"""Of options of SGLang's, ``bucket-time-to-first-token`` and ``kt-max-deferred-experts-per-token`` are no secrets."""
_CAMEL = "|".join(each.capitalize() for each in NAMES.split("|"))
_NAMED = rf"(?:(?<![A-Za-z0-9]){_NAME}|(?<=[a-z0-9])(?-i:{_CAMEL}))"
_CLOSED = r"\\?[\"'\])]{0,3}"
"""What may stand between a name and its value's sign: the end of a quoted key, or of an index."""

_UPPER = rf"(?-i:(?<![A-Za-z0-9])[A-Z0-9_]{{0,60}}(?:{'|'.join(each.upper() for each in NAMES.split('|'))}))"


@cache
def _assigned() -> tuple[re.Pattern[str], ...]:
    texts = (
        # --api-key X, —api-key X, -api-key=X, "--api-key", "X", and the same in the lines of a list; tokens are counted
        rf"(?<!{_DASHES}){_DASHES}{{1,3}}[\w-]{{0,40}}?{_NAME}(?:(?<!token)s)?{_CLOSED}"
        rf"(?:\s*[=:]\s*|\s*,\s*|[\s\\]+(?:-\s+)?){_VALUE}",
        # HF_TOKEN=X, HF_TOKEN = X, "password": "X", apiKey: X, ?token=X, environ["HF_TOKEN"] = "X"
        rf"{_NAMED}{_CLOSED}\s*[=:]\s*{_VALUE}",
        rf"{_NAMED}\\?[\"']\s*,\s*{_VALUE}",
        # export HF_TOKEN X, ENV HF_TOKEN X, set -x HF_TOKEN X
        rf"\b(?:export|setenv|setx|env|set(?:[ \t]+-\w+)*)[ \t]+{_UPPER}[ \t]+{_VALUE}",
        # -e HF_TOKEN X, where the image's name can stand too
        rf"{_UPPER}[ \t]+(?!-)(?P<value>[\"'][^\"'\n]*[\"']?"
        r"|(?=[^\s:]*[0-9]|[^\s:]{16})(?![^\s]{0,30}/(?![^\s]{24}))[^\s\"';&|,:]{6,})",
        # a name and a value as Kubernetes lists them
        rf"name\\?[\"']?\s*[:=]\s*\\?[\"']?{_UPPER}\\?[\"']?[\s,]+\\?[\"']?value\\?[\"']?\s*[:=]\s*{_VALUE}",
        rf"(?:authorization|x-api-key){_CLOSED}\s*[:=,]?\s*[\"']?(?:(?:bearer|basic|token)\s+)?{_VALUE}",
        r"\b(?:bearer|basic)[ \t]+(?P<value>(?=[^\s]*[0-9=._-])[^\s\"';,]{6,})",
        rf"(?<!\S)(?:-u|--user|--proxy-user|--creds)[ =]*\"?[\w.@-]+:{_VALUE}",
        rf"\blogin\b[^\n]{{0,200}}?\s-p\s*{_VALUE}",
        rf"dockerconfigjson{_CLOSED}\s*[:=]\s*{_VALUE}",
        r"://(?P<value>(?!git@)[^/\s:@\"'$<{*]{6,200})(?=@)",
    )
    return tuple(re.compile(text, re.IGNORECASE) for text in texts)


_VARIABLE = re.compile(r"\\?[\"']?\$(?:\w+|\{\w+\}|\(\w+\))?\\?[\"']?")
_OTHER_OPTION = re.compile(rf"{_DASHES}{{1,2}}[a-z][\w-]*")
_HARMLESS = re.compile(
    r"[$<{\[*.~%].*|/[^=+]*|[-+0-9.,]{0,7}|(?i:true|false|null|none|auto|yes|no|on|off|python3?|sglang|docker)|"
    r"[A-Za-z_]+\([^()]*\)?|[\w.-]+/[\w.-]+(?::[\w.-]+)?",
    re.DOTALL,
)
"""What stands beside a secret's name, and is none: a variable, a number, a switch, a file, an image."""

LONG = 8
SHORTEST = 4
"""Characters from which on a value is looked for elsewhere too."""


def holds_secret(name: str, value: str | None) -> bool:
    """Whether a variable's value must not be shown or copied: its name says so, or the value, where it is known, does.

    SGLang's own variables hold no secrets.
    """
    return (is_secret_name(name) and not name.startswith("SGLANG_")) or bool(value and holds(value))


def names_secret(option: str) -> bool:
    """Whether the name of an option that SGLang does not have says that a secret follows: ``-api-key``, ``apikeys``."""
    return bool(_spans_of(_assigned()[0], f"--{option.lstrip('-')}=x"))


def holds(text: str) -> bool:
    """Whether a value holds a secret, by its form or by what it stands beside: ``{"api_key": "..."}``."""
    return bool(find(text)) or any(values(text))


def values(text: str) -> Iterator[str]:
    """What the text has for secrets beside their names, without what is certainly none."""
    for start, end in _spans(text):
        bare = text[start:end].strip("\\\"'\u201c\u201d\u2018\u2019")
        if len(bare) >= SHORTEST and not _HARMLESS.fullmatch(bare):
            yield bare
            # Where it is taken for a name and its value, each comes out alone.
            yield from (part for part in bare.split("=") if len(part) >= LONG and part != bare)
    for leak in find(text):
        yield from re.split("[:]", text[leak.start + leak.visible : leak.end].lstrip(":"))


def masked(text: str, spans: Iterable[Span] = ()) -> str:
    """The text with asterisks over the spans and what looks like a secret; lines and columns stay."""
    found = [*_spans(text), *((leak.start + leak.visible, leak.end) for leak in find(text))]
    characters = list(text)
    for start, end in (*found, *spans):
        # A variable in place of a value is no secret, and says what to look for.
        if not _VARIABLE.fullmatch(text, start, end):
            characters[start:end] = [each if each in "\r\n" else "*" for each in characters[start:end]]
    return "".join(characters)


def _spans(text: str) -> list[Span]:
    return [span for pattern in _assigned() for span in _spans_of(pattern, text)]


def _spans_of(pattern: re.Pattern[str], text: str) -> list[Span]:
    found = ((match["value"], match.span("value")) for match in pattern.finditer(text))
    return [span for value, span in found if not _OTHER_OPTION.fullmatch(value) and not value.startswith("...")]
