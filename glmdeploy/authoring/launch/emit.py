"""A profile's data as YAML text, in the shape and order of the profiles that ship with glmdeploy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from glmdeploy.source.scalars import plain
from glmdeploy.source.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SCHEMA_LINE = "# yaml-language-server: $schema=../schemas/profile.schema.json"

_PLAIN = re.compile(r"[A-Za-z0-9_/](?:[A-Za-z0-9_./@+-]|:(?=[A-Za-z0-9_./@+-]))*")
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+){2,}(?:[.-]?[a-z][a-z0-9.-]*)?")
_WORDS_OF_YAML_1_1 = frozenset({"y", "n", "yes", "no", "on", "off"})
_FLOW = frozenset({("volumes",), ("secrets",)})
"""Sections whose entries are written on one line each."""


def profile_text(data: Mapping[str, Any], remarks: Sequence[str]) -> str:
    """The text of a profile: ``remarks`` are the lines of a comment at its top."""
    lines = [SCHEMA_LINE]
    if remarks:
        lines += ["#", *(f"# {shown(remark, 400)}".rstrip() for remark in remarks)]
    was_block = False
    for index, (key, value) in enumerate(data.items()):
        is_block = isinstance(value, dict)
        if index and (is_block or was_block):
            lines.append("")
        lines += _entry((key,), value)
        was_block = is_block
    return "\n".join(lines) + "\n"


def _entry(path: tuple[str, ...], value: Any) -> Iterator[str]:
    indent = "  " * (len(path) - 1)
    name = scalar(path[-1])
    if isinstance(value, dict) and value and path[:-1] not in _FLOW:
        yield f"{indent}{name}:"
        for key, item in value.items():
            yield from _entry((*path, key), item)
    else:
        yield f"{indent}{name}: {_inline(value)}"


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {_inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return scalar(value)


def scalar(value: str | float | bool) -> str:
    """A scalar as a reader of YAML 1.2 (and, for texts, 1.1) takes it for just this value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS_OF_YAML_1_1 and _is_text(value):
        return value
    if value.isprintable() and "'" not in value and ('"' in value or "\\" in value):
        return f"'{value}'"
    return '"' + "".join(map(_character, value)) + '"'


def _is_text(text: str) -> bool:
    """Whether an unquoted scalar is text. One that begins with a digit is only where it is a version."""
    return _VERSION.fullmatch(text) is not None if text[0].isdigit() else plain(text) == text


def _character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    short = {"\n": "\\n", "\t": "\\t"}.get(character)
    return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
