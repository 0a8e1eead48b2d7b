"""The environment variables that an image's ENV instructions set, without building the image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_INSTRUCTION = re.compile(r"\s*ENV\s+(.*)", re.IGNORECASE | re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::([-+])([^}]*))?\}|(\w+))")
_LEGACY = re.compile(r"(\w+)\s+(.*)", re.DOTALL)


def apply(commands: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` after the ENV instructions among ``commands``, in Docker's syntax.

    Both forms (``ENV A=1 B="2 3"`` and ``ENV A 1``), quotes, backslashes and ``$A``, ``${A:-x}`` are
    understood; every other instruction is ignored.
    """
    result = dict(environment)
    for command in commands:
        match = _INSTRUCTION.fullmatch(command)
        if match:
            # Docker expands all of an instruction's values with the variables from before it.
            before = dict(result)
            result.update({name: _value(text, before) for name, text in _pairs(match[1].strip())})
    return result


def _pairs(text: str) -> list[tuple[str, str]]:
    legacy = _LEGACY.fullmatch(text)
    if legacy and "=" not in text.split(maxsplit=1)[0]:
        return [(legacy[1], legacy[2])]
    pairs = []
    for word in re.findall(r"""(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s'"\\])+""", text, re.DOTALL):
        name, equals, value = word.partition("=")
        if equals:
            pairs.append((name, value))
    return pairs


def _value(text: str, variables: Mapping[str, str]) -> str:
    """Remove quotes and expand variables: none in single quotes, as in a shell."""
    parts = []
    for piece in re.findall(r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^'"\\]+|.""", text, re.DOTALL):
        if piece.startswith("'") and len(piece) > 1:
            parts.append(piece[1:-1])
        elif piece.startswith('"') and len(piece) > 1:
            # Within double quotes a backslash escapes these alone; the mark keeps \$ from being expanded.
            inner = re.sub(r'\\(["\\])', r"\1", piece[1:-1]).replace("\\$", "\0")
            parts.append(_expand(inner, variables).replace("\0", "$"))
        elif piece.startswith("\\") and len(piece) > 1:
            parts.append(piece[1:])
        else:
            parts.append(_expand(piece, variables))
    return "".join(parts)


def _expand(text: str, variables: Mapping[str, str]) -> str:
    def replacement(match: re.Match[str]) -> str:
        name = match[1] or match[4]
        if match[2] == "-":
            return variables.get(name) or match[3]
        if match[2] == "+":
            return match[3] if variables.get(name) else ""
        return variables.get(name, "")

    return _VARIABLE.sub(replacement, text)
