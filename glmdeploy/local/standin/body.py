"""Reads the JSON bodies of requests: what is wrong in them is answered as SGLang answers it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.local.standin.generation import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_INVALID = "Bad Request"
"""The error type that SGLang gives to a body that does not validate."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request, understood: everything that its answer says is decided.

    ``whole`` is the answer in one piece, a list for several requests in one; ``events`` yields it in pieces, one a
    token, for server-sent events.
    """

    prompt_tokens: int
    completion_tokens: int
    stream: bool
    whole: Mapping[str, Any] | list[Any]
    events: Iterator[Mapping[str, Any]]


def parse(content: bytes) -> dict[str, Any]:
    """The JSON object of a request's body.

    :raises RequestError: where ``content`` is none.
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"JSON decode error: {error}", kind=_INVALID) from error
    if not isinstance(body, dict):
        raise RequestError("the body must be a JSON object", kind=_INVALID)
    return body


def integer(body: Mapping[str, Any], *names: str) -> int | None:
    """The first of ``names`` that is there and not null.

    :raises RequestError: for another type.
    """
    for name in names:
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise RequestError(f"{name} must be a whole number, not negative", kind=_INVALID)
        return value
    return None


def mapping(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object ``name``, empty where it is absent or null.

    :raises RequestError: otherwise.
    """
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestError(f"{name} must be an object", kind=_INVALID)
    return value


def objects(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The list of objects ``name``, empty where absent or null.

    :raises RequestError: otherwise.
    """
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise RequestError(f"{name} must be a list of objects", kind=_INVALID)
    return value


def stops(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The strings that end a generation: one, or a list of them."""
    value = body.get("stop") or ()
    words = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, (list, tuple)) else (None,)
    if not all(isinstance(word, str) for word in words):
        raise RequestError("stop must be a string or a list of strings", kind=_INVALID)
    return words


def invalid(message: str) -> RequestError:
    """The answer to a body that does not validate."""
    return RequestError(message, kind=_INVALID)


def refuse(body: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """Refuse what the stand-in cannot do: each of ``usual`` must be absent, null or have the value there."""
    for name, value in usual.items():
        if body.get(name) not in (None, value):
            raise RequestError(f"glmdeploy's stand-in engine does not support {name} other than {value!r}")
