"""Generates: cuts a prepared text into tokens and ends it as a model's generation ends. Pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.local.standin.settings import Settings

THOUGHT = "There is no model here, so the answer can only say so."

_SAID_LIMIT = 200
_TOKEN = re.compile(r"\s?\w{1,6}|\s?[^\w\s]|\s")
_RESERVED = 6
"""The longest prompt is so much shorter than the pool: ``max_req_input_len`` in ``managers/tp_worker.py``."""


class RequestError(Exception):
    """A request that is answered with an error; ``kind`` is the type in SGLang's error object."""

    def __init__(self, message: str, *, status: int = 400, kind: str = "BadRequestError") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One generated token; ``thought`` marks those that a reasoning parser takes out of the answer."""

    text: str
    thought: bool = False


@dataclass(frozen=True, kw_only=True)
class Generation:
    """``matched`` is the stop string that ended it, if one did."""

    pieces: tuple[Piece, ...]
    finish: Literal["stop", "length"]
    matched: str | None = None

    def text(self, *, thought: bool) -> str:
        return "".join(piece.text for piece in self.pieces if piece.thought == thought)


def answer(said: str) -> str:
    """What the stand-in answers to ``said``."""
    heard = said if len(said) <= _SAID_LIMIT else f"{said[:_SAID_LIMIT]}…"
    return f"This answer comes from glmdeploy's stand-in engine, not from SGLang or a model. You said: {heard}"


def tokens(text: str) -> list[str]:
    """``text`` in pieces of the size that a tokenizer's are; joined they are the text again."""
    return _TOKEN.findall(text)


def room(settings: Settings, prompt: int, wanted: int | None) -> int:
    """How many tokens may follow a prompt of ``prompt`` tokens, at most ``wanted``.

    :raises RequestError: where the model's context or the pool is too small, in SGLang's words
    (``sglang/srt/managers/tokenizer_manager.py`` and ``managers/utils.py``).
    """
    context = settings.context_length
    if prompt >= context:
        raise RequestError(f"The input ({prompt} tokens) is longer than the model's context length ({context} tokens).")
    if wanted is not None and prompt + wanted > context:
        raise RequestError(
            f"Requested token count exceeds the model's maximum context length of {context} tokens. You "
            f"requested a total of {prompt + wanted} tokens: {prompt} tokens from the input messages and "
            f"{wanted} tokens for the completion. Please reduce the number of tokens in the input messages "
            "or the completion to fit within the limit."
        )
    longest = min(context, settings.pool)
    if prompt >= longest - _RESERVED:
        raise RequestError(
            f"Input length ({prompt} tokens) exceeds the maximum allowed length "
            f"({longest - _RESERVED} tokens). Use a shorter input or enable --allow-auto-truncate."
        )
    free = longest - prompt - 2
    return free if wanted is None else min(wanted, free)


def generate(
    text: str, *, thought: str = "", limit: int, stop: Sequence[str] = (), ignore_eos: bool = False
) -> Generation:
    """``thought`` and then ``text``, up to ``limit`` tokens or the first of the strings in ``stop``.

    With ``ignore_eos`` the text is repeated until the limit.
    """
    said = [Piece(text=token) for token in tokens(text)]
    whole = [*(Piece(text=token, thought=True) for token in tokens(thought)), *said]
    if ignore_eos and said:
        whole += islice(cycle(said), max(0, limit - len(whole)))
    pieces = whole[:limit]
    finish: Literal["stop", "length"] = "length" if len(whole) > limit or ignore_eos else "stop"
    written = "".join(piece.text for piece in pieces)
    ends = [(written.find(word), word) for word in stop if word and word in written]
    if not ends:
        return Generation(pieces=tuple(pieces), finish=finish)
    end, matched = min(ends)
    return Generation(pieces=_cut(pieces, end), finish="stop", matched=matched)


def _cut(pieces: list[Piece], end: int) -> tuple[Piece, ...]:
    """The first ``end`` characters."""
    kept = []
    for piece in pieces:
        if end <= 0:
            break
        kept.append(Piece(text=piece.text[:end], thought=piece.thought))
        end -= len(piece.text)
    return tuple(kept)
