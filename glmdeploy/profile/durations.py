"""Durations: whole seconds (``7200``) or a text with a unit (``2h``, ``90m``, ``45s``).

The accepted texts are one regular expression with exact bounds, so that the JSON Schema and the models refuse the
same ones.
"""

from __future__ import annotations

import re

UNITS = {"s": 1, "m": 60, "h": 3600}
_TEXT = re.compile(r"([1-9][0-9]{0,17})([smh])")


def parse(text: str) -> int:
    """Seconds of a duration text.

    :raises ValueError: when it is none.
    """
    match = _TEXT.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no duration")
    return int(match[1]) * UNITS[match[2]]


def pattern(low: int, high: int) -> str:
    """A regular expression (ECMA-262 and Python) of the texts that mean ``low`` to ``high`` seconds, both included."""
    parts = []
    for unit, seconds in UNITS.items():
        first, last = -(-low // seconds), high // seconds
        if first <= last:
            parts.append(f"(?:{_integers(max(first, 1), last)}){unit}")
    return f"^(?:{'|'.join(parts)})$(?!\\n)"


def _integers(low: int, high: int) -> str:
    """A regular expression of the decimal integers from ``low`` to ``high``, without leading zeros."""
    parts: list[str] = []
    while low <= high:
        # The widest block low..end in which a fixed prefix is followed by one free digit range and free digits.
        step = 1
        while low % (step * 10) == 0 and low + step * 10 - 1 <= high and low != 0:
            step *= 10
        digit = low // step % 10
        count = min(9 - digit, (high - low + 1) // step - 1)
        prefix = str(low // step // 10) if low // step >= 10 else ""
        last = digit + count
        tail = "[0-9]" * (len(str(step)) - 1)
        parts.append(f"{prefix}{digit if digit == last else f'[{digit}-{last}]'}{tail}")
        low += step * (count + 1)
    return "|".join(parts)


def describe(seconds: int) -> str:
    """A short text for people: ``24h``, ``15m``, ``90s``."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
