"""The quick checks of a start: what is asked of the engine on loopback, and what is wrong with an answer.

The shapes are those of SGLang 0.5.10 to 0.5.23 (``srt/entrypoints/openai/protocol.py``). What a model says is not
judged, only that it says something, in the form that clients read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from glmdeploy.runtime.purpose import CHAT, EMBEDDINGS, RERANK, REWARD, ROUTES

CHECK_TOKENS = 8
"""Tokens that the checks of chat want."""

CALL_TOKENS = 256
"""Tokens that the check of a tool call allows: the call below has about 20."""

TOOL = {
    "type": "function",
    "function": {
        "name": "report_ready",
        "description": "Report that the service is ready.",
        "parameters": {"type": "object", "properties": {"ready": {"type": "boolean"}}, "required": ["ready"]},
    },
}


@dataclass(frozen=True)
class QuickCheck:
    """``body`` is sent to ``path``; ``judge`` gets the answer as text and says what is wrong with it, or None."""

    path: str
    body: Mapping[str, Any]
    judge: Callable[[str], str | None]


def quick_check(name: str, served_name: str) -> QuickCheck:
    """``chat``, ``stream``, ``tool_call``, or one of :data:`purpose.WITHOUT_TEXT`."""
    said = [{"role": "user", "content": "Say that you are ready."}]
    chat = {"model": served_name, "messages": said, "max_tokens": CHECK_TOKENS, "temperature": 0, "ignore_eos": True}
    call = {**{name: chat[name] for name in ("model", "messages", "temperature")}, "max_tokens": CALL_TOKENS}
    call |= {"tools": [TOOL], "tool_choice": "required", "chat_template_kwargs": {"enable_thinking": False}}
    texts = ["ready", "steady"]
    embeddings, reward = {"model": served_name, "input": texts}, {"model": served_name, "text": texts}
    rerank = {"model": served_name, "query": "ready", "documents": texts}
    return {
        "chat": QuickCheck(ROUTES[CHAT], chat, chat_fault),
        "stream": QuickCheck(ROUTES[CHAT], {**chat, "stream": True}, stream_fault),
        "tool_call": QuickCheck(ROUTES[CHAT], call, tool_call_fault),
        "embeddings": QuickCheck(ROUTES[EMBEDDINGS], embeddings, embeddings_fault),
        "rerank": QuickCheck(ROUTES[RERANK], rerank, scores_fault),
        "reward": QuickCheck(ROUTES[REWARD], reward, scores_fault),
    }[name]


def fault_of(check: QuickCheck, status: int, content: bytes) -> str | None:
    """What is wrong with an answer to a check; None where nothing is."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return "the answer is not UTF-8"
    if status != 200:
        return f"status {status}: {text[:200]}"
    if not text.strip():
        return "the answer is empty"
    try:
        return check.judge(text)
    except (ValueError, RecursionError):
        return "the answer is not JSON"
    except (LookupError, TypeError, AttributeError):
        return "the answer does not have the form that clients read"


def models_fault(status: int, content: bytes, served_name: str) -> str | None:
    """What is wrong with the answer of ``/v1/models``."""

    def judge(text: str) -> str | None:
        names = [card["id"] for card in json.loads(text)["data"]]
        return None if served_name in names else f"it does not serve {served_name}"

    return fault_of(QuickCheck("/v1/models", {}, judge), status, content)


def chat_fault(text: str) -> str | None:
    """What is wrong with the JSON of a chat completion. :raises Exception: for another form"""
    choice = json.loads(text)["choices"][0]
    return None if _says(choice["message"]) else "the answer says nothing"


def stream_fault(text: str) -> str | None:
    """What is wrong with the events of a streamed chat completion. :raises Exception: for another form"""
    events = [line for line in text.replace("\r\n", "\n").split("\n") if line and not line.startswith(":")]
    if not all(event.startswith("data:") for event in events):
        return "it is no stream of events"
    *chunks, last = (event.removeprefix("data:").strip() for event in events)
    if last != "[DONE]":
        return "the stream does not end with [DONE]"
    choices = [choice for chunk in chunks for choice in json.loads(chunk)["choices"]]
    if not any(_says(choice["delta"]) for choice in choices):
        return "the stream says nothing"
    return None if any(choice.get("finish_reason") for choice in choices) else "the stream does not finish"


def tool_call_fault(text: str) -> str | None:
    """What is wrong with the answer to a demand for a tool call. :raises Exception: for another form

    A call that the limit of tokens cut off is none, and nothing is wrong with that.
    """
    choice = json.loads(text)["choices"][0]
    if choice["finish_reason"] == "length":
        return None
    calls = choice["message"].get("tool_calls")
    if not calls:
        return "there is no tool call in the answer, which was demanded"
    function = calls[0]["function"]
    if function["name"] != TOOL["function"]["name"]:  # type: ignore[index]
        return "it calls a function that it was not given"
    return None if isinstance(json.loads(function["arguments"]), dict) else "the call's arguments are no JSON object"


def embeddings_fault(text: str) -> str | None:
    """What is wrong with the JSON of two embeddings. :raises Exception: for another form"""
    vectors = [entry["embedding"] for entry in json.loads(text)["data"]]
    if len(vectors) != 2:
        return f"there are {len(vectors)} embeddings of 2 texts"
    if not vectors[0] or len(vectors[0]) != len(vectors[1]):
        return "the embeddings are empty or of different lengths"
    whole = all(isinstance(value, int | float) and math.isfinite(value) for vector in vectors for value in vector)
    return None if whole else "the embeddings hold what is no number"


def scores_fault(text: str) -> str | None:
    """What is wrong with the JSON of the scores of two texts. :raises Exception: for another form"""
    scores = [entry["score"] if "score" in entry else entry["embedding"] for entry in json.loads(text)]
    if len(scores) != 2:
        return f"there are {len(scores)} scores of 2 texts"
    numbers = [value for score in scores for value in (score if isinstance(score, list) else [score])]
    whole = all(isinstance(value, int | float) and math.isfinite(value) for value in numbers)
    return None if whole and numbers else "the scores hold what is no number"


def _says(message: Mapping[str, Any]) -> bool:
    texts = [message.get("content"), message.get("reasoning_content")]
    if not all(text is None or isinstance(text, str) for text in texts):
        raise TypeError("content is no text")
    return any(texts)
