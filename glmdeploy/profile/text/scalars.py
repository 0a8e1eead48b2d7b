"""What a scalar means by the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/, section 10.3.2), and how one is
written.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, TypeAlias

from glmdeploy.profile.text.characters import shown

Scalar: TypeAlias = str | int | float | bool | None

CORE = "tag:yaml.org,2002:"
TAGS = frozenset(CORE + name for name in ("str", "int", "float", "bool", "null"))

_MAX_DIGITS = 18  # every such number fits in 64 bits, which is what the programs behind a profile hold

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?([0-9]+)")
_OCTAL = re.compile(r"0o([0-7]+)")
_HEX = re.compile(r"0x([0-9a-fA-F]+)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

_SAFE = re.compile(
    r"""(?: [^\W\d] | [/($~] | --?(?=[A-Za-z]) )              # begins like no number, mark or bracket
        (?: [^\s:#?,\[\]{}] | (?<!\s): (?=[\w./@+-]) | (?<!\s)\# | \ (?=[^\s:#?,\[\]{}]) )*
      | [0-9]+ (?:\.[0-9]+){2,} (?:[.-]?[a-z][a-z0-9.-]*)?   # a version
      | [0-9]+ [A-Za-z]+                                     # a time, a size""",
    re.VERBOSE,
)
"""Texts that need no quotes: as key and as value, on a line of their own and in brackets."""

_WORDS_OF_YAML_1_1 = frozenset({"y", "n", "yes", "no", "on", "off"})


class ScalarError(Exception):
    """A scalar without a usable value; ``fix`` is advice."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


def plain(text: str) -> Scalar:
    """The value of an unquoted scalar.

    :raises ScalarError: for numbers that no setting can take.
    """
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if text[0] in "+-.0123456789":
        number = _number(text)
        if number is not None:
            return number
    return text


def tagged(text: str, tag: str) -> Scalar:
    """The value of a scalar with one of the :data:`TAGS`.

    :raises ScalarError: when the text is not of that type.
    """
    name = tag.removeprefix(CORE)
    if name == "str":
        return text
    value = plain(text)
    if name == "float" and type(value) is int:
        return float(value)
    types = {"int": int, "float": float, "bool": bool, "null": type(None)}
    if type(value) is not types[name]:
        raise ScalarError(f"`{shown(text)}` does not fit its tag `!!{name}`", "remove the tag, or correct the value")
    return value


def _number(text: str) -> int | float | None:
    for pattern, base in ((_INT, 10), (_OCTAL, 8), (_HEX, 16)):
        if match := pattern.fullmatch(text):
            # Counted first: int() refuses very long texts with an error of its own.
            if len(match[1]) > _MAX_DIGITS or (value := int(match[1], base)) >= 10**_MAX_DIGITS:
                raise ScalarError(
                    f"the number `{shown(text)}` has more than {_MAX_DIGITS} digits",
                    "put it in quotes if it is text",
                )
            return -value if text[0] == "-" else value
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ScalarError(f"the number `{shown(text)}` is too large", "put it in quotes if it is text")
        return number
    if _NOT_FINITE.fullmatch(text):
        raise ScalarError(
            f"`{text}` is infinity or not a number, which no setting takes", "put it in quotes if it is text"
        )
    return None


def write(value: Any, *, quote: bool = False) -> str:
    """The value as YAML on one line, which every reader of YAML 1.2 (and of texts, of 1.1) takes for just this value.

    Text stands without quotes where it can; with ``quote`` it stands in double quotes always, as in JSON.
    """
    if isinstance(value, dict):
        entries = (f"{write(key, quote=quote)}: {write(item, quote=quote)}" for key, item in value.items())
        return "{" + ", ".join(entries) + "}"
    if isinstance(value, list):
        return f"[{', '.join(write(item, quote=quote) for item in value)}]"
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)  # No profile has such a number; as text it is what SGLang's own parser reads.
    if not isinstance(value, str):
        return json.dumps(value)
    if not quote and _stands_alone(value):
        return value
    if not quote and value.isprintable() and "'" not in value and ('"' in value or "\\" in value):
        return f"'{value}'"
    return '"' + "".join(map(_character, value)) + '"'


def _stands_alone(text: str) -> bool:
    if not _SAFE.fullmatch(text) or not text.isprintable() or text.lower() in _WORDS_OF_YAML_1_1:
        return False
    return plain(text) == text


def _character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    return short or (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
