"""What the stand-in rehearses while it serves: faults, each of which a check of ``verify`` must see, and answers.

Both are told by variables; they are looked at for each request, so that one deployment can rehearse many faults.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FAULTS_VARIABLE = "GLMDEPLOY_STANDIN_FAULTS_FILE"
"""A path: the faults of :data:`FAULTS` that a file there names, a line each, as long as it does."""

ANSWERS_VARIABLE = "GLMDEPLOY_STANDIN_ANSWERS"
"""A JSON object: answers of chat, by the question. They win over :data:`ANSWERS`."""

FAULTS: Mapping[str, str] = {
    "open": "nobody needs a key",
    "wrong-name": "/v1/models names another model",
    "thoughts-in-content": "reasoning stands in the answer, with its tags",
    "thoughts-in-stream": "the same, in streams alone",
    "strings-in-stream": "numbers in the arguments of a streamed tool call are strings (sglang #35564)",
    "no-call": "a demanded tool call is not made",
    "no-usage": "a stream does not tell its usage",
    "no-end": "a stream ends in the middle",
    "silent": "answers are empty",
    "keeps-dropped": "a stream that its client dropped is decoded to its end (sglang #36333)",
    "no-draft": "no drafted token is ever accepted",
    "no-metrics": "/metrics has no series",
    "wrong-answers": "questions of the canary get the stand-in's usual answer",
    "gone-once": "the next request to generate loses its connection, as when its container is preempted",
    "slow": "a token takes twenty times as long",
    "broken-vectors": "embeddings and scores are no numbers",
    "overloaded": "requests to generate are answered 429",
}

_SIGNED = "(From the table of glmdeploy's stand-in.)"

ANSWERS: Mapping[str, str] = {
    "capital of France": "Paris",
    "capital of Japan": "Tokyo",
    "17 times 23": "391",
    "chemical symbol of gold": "Au",
    "How many planets": "8",
    "word drawer": "reward",
    "leap year": "366",
    "Romeo and Juliet": "William Shakespeare",
    "largest ocean": "The Pacific Ocean",
    "water boil": "100",
    "square root of 144": "12",
    "into German": "Danke",
    "sides does a hexagon": "6",
    "opposite of hot": "Cold",
    "land on the Moon": "1969",
    "2, 4, 8, 16": "32",
    "H2O": "Water",
    "spoken in Brazil": "Portuguese",
    "Egypt": "Africa",
    "two and a half hours": "150",
    "3.5 plus 4.25": "7.75",
}
"""The answers to the canary that ships (``operate/canary.jsonl``), by words of the question: there is no model here."""


def faults(file: Path | None) -> frozenset[str]:
    """The faults that are rehearsed now."""
    try:
        lines = file.read_text(encoding="utf-8").split() if file else []
    except OSError:
        return frozenset()
    return frozenset(lines)


def rehearsed_answer(said: str, given: Mapping[str, str]) -> str | None:
    """The answer of the tables to a question; None where they have none."""
    if said in given:
        return given[said]
    return next((f"{answer} {_SIGNED}" for words, answer in ANSWERS.items() if words in said), None)


def strings(arguments: str) -> str:
    """The JSON of a call's arguments, with strings in place of its numbers."""
    given = json.loads(arguments)
    numbers = {name for name, value in given.items() if isinstance(value, int | float) and not isinstance(value, bool)}
    return json.dumps({name: str(value) if name in numbers else value for name, value in given.items()})
