"""The API key in a container: whether a text can be one, and who does not get to see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

CONTAINED = 6
"""Characters from which on a secret is looked for inside of other variables: a key `a` stands in every PATH."""


def unusable(value: str | None) -> str | None:
    """Why the text can be no key or token, as the end of a sentence; None where it can be one.

    Names no part of the value. What cannot be a header (RFC 9110, section 5.5) cannot come back from a client: SGLang
    compares the header `Authorization` with the key as it stands (0.5.23, ``srt/utils/auth.py``), and HTTP libraries
    strip blanks at the ends. A key that begins with `-` is an option to SGLang's parser.
    """
    if value is None:
        return "is missing"
    if not value:
        return "is empty"
    if not value.strip():
        return "is blank"
    if value.startswith("-"):
        return "begins with `-`"
    if len(value.splitlines()) > 1 or value.splitlines()[0] != value:
        return "has a line break"
    if value != value.strip():
        return "begins or ends with a blank"
    if not (value.isascii() and value.isprintable()):
        return "has characters that are not printable ASCII"
    return None


def without_secrets(environment: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The environment without the variables ``names``, and without those in whose values one of their values stands.

    A value of less than :data:`CONTAINED` characters only takes the variables with it that are equal to it.
    """
    names = set(names)
    values = {environment[name] for name in names if environment.get(name)}
    return {
        name: value
        for name, value in environment.items()
        if name not in names
        and not any(secret in value if len(secret) >= CONTAINED else secret == value for secret in values)
    }
