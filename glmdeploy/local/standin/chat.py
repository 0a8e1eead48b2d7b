"""``POST /v1/chat/completions``: from a request's body to everything that is answered. Pure functions.

The shapes are those of ``sglang/srt/entrypoints/openai/protocol.py`` and ``sse_utils.py``.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.local.standin import body, generation, instances, rehearsed
from glmdeploy.local.standin.body import Call
from glmdeploy.local.standin.generation import Generation, Piece, RequestError
from glmdeploy.local.standin.settings import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.local.standin.settings import Settings

_MESSAGE_TOKENS = 4
"""What a chat template adds to each message, and to the whole."""


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """``tool`` is the name of the function that the text calls, with its arguments, if it is a call."""

    id: str
    created: int
    model: str
    prompt_tokens: int
    generation: Generation
    tool: str | None
    usage_in_stream: bool
    numbers_as_strings: bool
    """In the arguments of a streamed call."""

    @property
    def calls(self) -> bool:
        """A call that was cut off, by the limit or a stop string, is no call but text, as SGLang has it."""
        return self.tool is not None and self.generation.finish == "stop" and self.generation.matched is None

    def usage(self) -> dict[str, Any]:
        pieces = self.generation.pieces
        return {
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + len(pieces),
            "completion_tokens": len(pieces),
            "prompt_tokens_details": None,
            "reasoning_tokens": sum(piece.thought for piece in pieces),
        }

    def finish(self) -> dict[str, Any]:
        reason = "tool_calls" if self.calls else self.generation.finish
        return {"finish_reason": reason, "matched_stop": self.generation.matched}

    def object(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": NAME,
        }

    def whole(self) -> dict[str, Any]:
        text = self.generation.text(thought=False)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if self.calls else text or None,
            "reasoning_content": self.generation.text(thought=True) or None,
        }
        if self.calls:
            message["tool_calls"] = [{"index": 0, **self._call(text)}]
        choice = {"index": 0, "message": message, "logprobs": None, **self.finish()}
        return {
            **self.object("chat.completion"),
            "choices": [choice],
            "usage": self.usage(),
            "metadata": None,
        }

    def events(self) -> Iterator[dict[str, Any]]:
        yield self._chunk({"role": "assistant", "content": ""})
        opened = False
        for piece in self._streamed():
            if piece.thought:
                yield self._chunk({"reasoning_content": piece.text})
            elif not self.calls:
                yield self._chunk({"content": piece.text})
            else:
                function = {"name": None, "arguments": piece.text}
                call = {"id": None, "type": "function", "function": function} if opened else self._call(piece.text)
                opened = True
                yield self._chunk({"tool_calls": [{"index": 0, **call}]})
        yield self._chunk({}, **self.finish())
        if self.usage_in_stream:
            yield {**self.object("chat.completion.chunk"), "choices": [], "usage": self.usage()}

    def _streamed(self) -> tuple[Piece, ...]:
        if not (self.calls and self.numbers_as_strings):
            return self.generation.pieces
        thoughts = [piece for piece in self.generation.pieces if piece.thought]
        arguments = rehearsed.strings(self.generation.text(thought=False))
        return (*thoughts, *(Piece(text=token) for token in generation.tokens(arguments)))

    def _call(self, arguments: str) -> dict[str, Any]:
        identifier = f"call_{self.id[:24]}"
        return {"id": identifier, "type": "function", "function": {"name": self.tool, "arguments": arguments}}

    def _chunk(self, delta: dict[str, Any], **finish: str | None) -> dict[str, Any]:
        ended = {"finish_reason": None, "matched_stop": None, **finish}
        choice = {"index": 0, "delta": delta, "logprobs": None, **ended}
        return {**self.object("chat.completion.chunk"), "choices": [choice], "usage": None}


def call(settings: Settings, request: Mapping[str, Any]) -> Call:
    """What ``request`` is answered.

    :raises RequestError:
    """
    body.refuse(request, {"n": 1, "logprobs": False})
    messages = [_message(message) for message in body.objects(request, "messages")]
    if not messages:
        raise RequestError("Messages cannot be empty.")
    prompt_tokens = _MESSAGE_TOKENS + sum(_MESSAGE_TOKENS + len(generation.tokens(text)) for _role, text in messages)
    if tools := body.objects(request, "tools"):
        prompt_tokens += len(generation.tokens(json.dumps(tools)))
    tool, text = _text(settings, request, messages)
    thinks = settings.reasons and body.mapping(request, "chat_template_kwargs").get("enable_thinking", True)
    faults, streamed = settings.faults, request.get("stream") is True
    if thinks and ("thoughts-in-content" in faults or (streamed and "thoughts-in-stream" in faults)):
        thinks, text = False, f"<think>{generation.THOUGHT}</think>{text}"
    if "silent" in faults:
        thinks, text = False, ""
    wanted = body.integer(request, "max_completion_tokens", "max_tokens")
    generated = generation.generate(
        text,
        thought=generation.THOUGHT if thinks else "",
        limit=generation.room(settings, prompt_tokens, wanted),
        stop=body.stops(request),
        ignore_eos=request.get("ignore_eos") is True,
    )
    answer = _Answer(
        id=uuid.uuid4().hex,
        created=int(time.time()),
        model=str(request.get("model", settings.served_name)),
        prompt_tokens=prompt_tokens,
        generation=generated,
        tool=tool,
        usage_in_stream=body.mapping(request, "stream_options").get("include_usage") is True
        and "no-usage" not in faults,
        numbers_as_strings="strings-in-stream" in faults,
    )
    return Call(
        prompt_tokens=prompt_tokens,
        completion_tokens=len(generated.pieces),
        stream=streamed,
        whole=answer.whole(),
        events=answer.events(),
    )


def _message(message: Mapping[str, Any]) -> tuple[str, str]:
    """A message's role and text."""
    if not isinstance(message.get("role"), str):
        raise body.invalid("messages: each must have a role")
    content = message.get("content") or ""
    if isinstance(content, list):
        parts = body.objects(message, "content")
        if not all(isinstance(part.get("text"), str) for part in parts):
            raise body.invalid("messages: glmdeploy's stand-in engine reads text alone")
        content = "".join(part["text"] for part in parts)
    if not isinstance(content, str):
        raise body.invalid("messages: content must be a string or a list of parts")
    return message["role"], content


def _text(settings: Settings, request: Mapping[str, Any], messages: list[tuple[str, str]]) -> tuple[str | None, str]:
    """The function to call, if the request demands a call or the user names it, and the text to generate."""
    said = next((text for role, text in reversed(messages) if role == "user"), "")
    function = _demanded_function(request) or _named_function(request, said)
    if function and "no-call" not in settings.faults:
        return function["name"], _valid_json(function.get("parameters") or {"type": "object"})
    wanted = body.mapping(request, "response_format")
    if wanted.get("type") == "json_schema":
        return None, _valid_json(body.mapping(wanted, "json_schema").get("schema"))
    known = None if "wrong-answers" in settings.faults else rehearsed.rehearsed_answer(said, settings.answers)
    answer = generation.answer(said) if known is None else known
    return None, json.dumps({"answer": answer}) if wanted.get("type") == "json_object" else answer


def _named_function(request: Mapping[str, Any], said: str) -> dict[str, Any] | None:
    """The function that the user names, where the model may choose."""
    if request.get("tool_choice") not in (None, "auto"):
        return None
    functions = [body.mapping(tool, "function") for tool in body.objects(request, "tools")]
    return next((one for one in functions if isinstance(one.get("name"), str) and one["name"] in said), None)


def _demanded_function(request: Mapping[str, Any]) -> dict[str, Any] | None:
    """The function that ``tool_choice`` demands: the first where any will do. The refusals are SGLang's."""
    choice = request.get("tool_choice")
    if choice is None or choice in ("auto", "none"):
        return None
    functions = [body.mapping(tool, "function") for tool in body.objects(request, "tools")]
    if not all(isinstance(function.get("name"), str) for function in functions):
        raise body.invalid("tools: each must have a function that has a name")
    if choice == "required":
        if not functions:
            raise RequestError("Tools cannot be empty if tool choice is set to required.")
        return functions[0]
    if not functions:
        raise RequestError("Tools cannot be empty if tool choice is set to a specific tool.")
    name = body.mapping(body.mapping(request, "tool_choice"), "function").get("name")
    for function in functions:
        if function["name"] == name:
            return function
    raise RequestError(f"Tool '{name}' not found in tools list.")


def _valid_json(schema: object) -> str:
    try:
        return json.dumps(instances.instance(schema), ensure_ascii=False)
    except instances.TooComplexError as error:
        raise RequestError(f"glmdeploy's stand-in engine has no value for this schema: {error}") from error
