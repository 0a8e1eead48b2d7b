"""Numbers that a shell computes from others: ``$((8 * NNODES))``, and the length of an array, ``${#HOSTS[@]}``.

Whole numbers, names, brackets and the operators of a division or a product or a sum (POSIX.1-2024, 2.6.4); of all else
nothing is said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 10**12
"""A larger number is none that a launch has."""

_EXPRESSION = re.compile(r"\$\(\((.{1,200})\)\)", re.DOTALL)
_LENGTH = re.compile(r"\$\{#([A-Za-z_]\w*)\[[@*]\]\}", re.ASCII)
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]{1,12})(?![\w.])|\$?(?P<name>[A-Za-z_]\w*)"
    r"|\$\{(?P<braced>[A-Za-z_]\w*)(?::?-(?P<default>[0-9]{1,12}))?\}|(?P<sign>[-+*/%()])"
    r"|\$\{#(?P<array>[A-Za-z_]\w*)\[[@*]\]\})\s*",
    re.ASCII,
)


@dataclass(kw_only=True)
class _Reading:
    """An expression that is being read.

    ``of`` gives the number that a variable holds, ``length`` the items of an array; None where that is not known.
    """

    tokens: list[re.Match[str]]
    of: Callable[[str], int | None]
    length: Callable[[str], int | None]
    at: int = 0
    names: list[str] = field(default_factory=list)

    def sign(self, signs: str) -> str:
        """The operator that comes next, if it is one of these; it is then read."""
        found = self.tokens[self.at]["sign"] if self.at < len(self.tokens) else None
        if found is None or found not in signs:
            return ""
        self.at += 1
        return found

    def sum(self) -> int:
        value = self.product()
        while sign := self.sign("+-"):
            value += self.product() if sign == "+" else -self.product()
        return value

    def product(self) -> int:
        value = self.number()
        while sign := self.sign("*/%"):
            other = self.number()
            quotient = abs(value) // abs(other) * (1 if (value < 0) == (other < 0) else -1) if sign != "*" else 0
            value = value * other if sign == "*" else quotient if sign == "/" else value - quotient * other
            if abs(value) > MOST:
                raise ValueError
        return value

    def number(self) -> int:
        if sign := self.sign("+-("):
            if sign != "(":
                return self.number() * (1 if sign == "+" else -1)
            value = self.sum()
            if not self.sign(")"):
                raise ValueError
            return value
        token = self.tokens[self.at]
        self.at += 1
        if token["number"]:
            return int(token["number"])
        name = token["name"] or token["braced"] or token["array"]
        known = self.length(name) if token["array"] else self.of(name) if name else None
        if known is None and not token["default"]:
            raise ValueError
        self.names.append(name)
        return int(token["default"]) if known is None else known


def value(
    raw: str, of: Callable[[str], int | None], length: Callable[[str], int | None]
) -> tuple[int, list[str]] | None:
    """The number that an expansion gives, with the variables that took part; None where the text does not tell it.

    ``of`` gives the number that a variable holds, ``length`` the items of an array.
    """
    if match := _LENGTH.fullmatch(raw):
        count = length(match[1])
        return (count, [match[1]]) if count is not None else None
    match = _EXPRESSION.fullmatch(raw)
    if match is None:
        return None
    tokens: list[re.Match[str]] = []
    at = 0
    while at < len(match[1]):
        token = _TOKEN.match(match[1], at)
        if token is None:
            return None
        tokens.append(token)
        at = token.end()
    reading = _Reading(tokens=tokens, of=of, length=length)
    try:
        found = reading.sum()
    except (ValueError, IndexError, ZeroDivisionError):
        return None
    return (found, reading.names) if reading.at == len(tokens) and abs(found) <= MOST else None
