"""Whether a text can be a key or a token: one that goes into HTTP headers and arguments as it is."""

from __future__ import annotations


def unusable(value: str | None) -> str | None:
    """Why ``value`` cannot be a key or a token, as the end of a sentence; None where it can. Never holds ``value``."""
    if value is None:
        return "is missing"
    if not value:
        return "is empty"
    if not value.strip():
        return "is blank"
    if value.startswith("-"):
        return "begins with `-`"
    if "\n" in value or "\r" in value:
        return "has a line break"
    if value != value.strip():
        return "begins or ends with a blank"
    if not (value.isascii() and value.isprintable()):
        return "has characters that are not printable ASCII"
    return None
