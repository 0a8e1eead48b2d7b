"""``POST /v1/completions`` and ``POST /generate``: from a request's body to everything that is answered.

The shapes are those of ``sglang/srt/entrypoints/openai/protocol.py`` and, for SGLang's own endpoint, of
``sglang/srt/managers/tokenizer_manager.py``.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from glmdeploy.local.standin import body, generation
from glmdeploy.local.standin.body import Call
from glmdeploy.local.standin.settings import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from glmdeploy.local.standin.generation import Generation
    from glmdeploy.local.standin.settings import Settings

_GENERATE_TOKENS = 128
"""``max_new_tokens`` of ``sglang/srt/sampling/sampling_params.py``."""
_COMPLETION_TOKENS = 16
"""``max_tokens`` of OpenAI's completions, in SGLang's ``CompletionRequest`` too."""


def openai(settings: Settings, request: Mapping[str, Any]) -> Call:
    """What ``POST /v1/completions`` is answered.

    :raises RequestError:
    """
    body.refuse(request, {"n": 1, "best_of": 1, "logprobs": None, "echo": False, "suffix": None})
    prompt_tokens, said = _prompt(request.get("prompt"), "prompt")
    wanted = body.integer(request, "max_tokens")
    generated = generation.generate(
        generation.answer(said),
        limit=generation.room(settings, prompt_tokens, _COMPLETION_TOKENS if wanted is None else wanted),
        stop=body.stops(request),
        ignore_eos=request.get("ignore_eos") is True,
    )
    answer = {
        "id": uuid.uuid4().hex,
        "object": "text_completion",
        "created": int(time.time()),
        "model": str(request.get("model", settings.served_name)),
        "system_fingerprint": NAME,
    }
    usage = {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + len(generated.pieces),
        "completion_tokens": len(generated.pieces),
        "prompt_tokens_details": None,
        "reasoning_tokens": 0,
    }
    finish = {"finish_reason": generated.finish, "matched_stop": generated.matched}

    def choice(text: str, **ended: str | None) -> dict[str, Any]:
        return {
            "index": 0,
            "text": text,
            "logprobs": None,
            "finish_reason": None,
            "matched_stop": None,
            **ended,
        }

    def events() -> Iterator[dict[str, Any]]:
        for piece in generated.pieces:
            yield {**answer, "choices": [choice(piece.text)], "usage": None}
        yield {**answer, "choices": [choice("", **finish)], "usage": None}
        if body.mapping(request, "stream_options").get("include_usage") is True:
            yield {**answer, "choices": [], "usage": usage}

    text = generated.text(thought=False)
    return Call(
        prompt_tokens=prompt_tokens,
        completion_tokens=len(generated.pieces),
        stream=request.get("stream") is True,
        whole={**answer, "choices": [choice(text, **finish)], "usage": usage, "metadata": None},
        events=events(),
    )


def native(settings: Settings, request: Mapping[str, Any]) -> Call:
    """What ``POST /generate`` is answered.

    :raises RequestError:
    """
    prompts = request.get("input_ids")
    if isinstance(prompts, list) and len(prompts) > 1 and all(isinstance(prompt, list) for prompt in prompts):
        return _batch([native(settings, {**request, "input_ids": prompt, "stream": False}) for prompt in prompts])
    body.refuse(request, {"return_logprob": False})
    sampling = body.mapping(request, "sampling_params")
    body.refuse(sampling, {"n": 1, "json_schema": None, "regex": None, "ebnf": None})
    given = request.get("text") if request.get("input_ids") is None else request["input_ids"]
    prompt_tokens, said = _prompt(given, "text or input_ids")
    wanted = body.integer(sampling, "max_new_tokens")
    generated = generation.generate(
        generation.answer(said),
        limit=generation.room(settings, prompt_tokens, _GENERATE_TOKENS if wanted is None else wanted),
        stop=body.stops(sampling),
        ignore_eos=sampling.get("ignore_eos") is True,
    )
    identifier = str(request.get("rid") or uuid.uuid4().hex)

    def state(text: str, count: int, finish: Mapping[str, Any] | None) -> dict[str, Any]:
        meta = {
            "id": identifier,
            "finish_reason": finish,
            "prompt_tokens": prompt_tokens,
            "completion_tokens": count,
            "cached_tokens": 0,
            "weight_version": "default",
            "system_fingerprint": NAME,
        }
        return {"text": text, "meta_info": {**meta, **_accepted(settings, count)}}

    def events() -> Iterator[dict[str, Any]]:
        text = ""
        for count, piece in enumerate(generated.pieces, 1):
            text += piece.text
            last = count == len(generated.pieces)
            yield state(text, count, _finish(generated) if last else None)

    return Call(
        prompt_tokens=prompt_tokens,
        completion_tokens=len(generated.pieces),
        stream=request.get("stream") is True,
        whole=state(generated.text(thought=False), len(generated.pieces), _finish(generated)),
        events=events(),
    )


def _accepted(settings: Settings, count: int) -> dict[str, Any]:
    """What speculative decoding did for so many tokens, as if of each two drafted tokens one were accepted."""
    if settings.arguments.get("speculative_algorithm") is None:
        return {}
    steps = settings.arguments.get("speculative_num_steps") or 3
    length = 1.0 if "no-draft" in settings.faults else 1 + steps / 2
    return {"spec_accept_length": length, "spec_verify_ct": round(count / length)}


def _batch(calls: list[Call]) -> Call:
    """Several requests in one: SGLang answers with a list."""
    return Call(
        prompt_tokens=sum(call.prompt_tokens for call in calls),
        completion_tokens=sum(call.completion_tokens for call in calls),
        stream=False,
        whole=[call.whole for call in calls],
        events=iter(()),
    )


def _finish(generated: Generation) -> dict[str, Any]:
    if generated.finish == "length":
        return {"type": "length", "length": len(generated.pieces)}
    return {"type": "stop", "matched": generated.matched}


def _prompt(given: object, name: str) -> tuple[int, str]:
    """The number of tokens, and the text as far as it is known: a prompt is a text or a list of tokens."""
    if isinstance(given, list) and len(given) == 1 and isinstance(given[0], (str, list)):
        given = given[0]
    if isinstance(given, str):
        return len(generation.tokens(given)), given
    if isinstance(given, list) and given and all(isinstance(token, int) for token in given):
        return len(given), f"{len(given)} tokens"
    raise body.invalid(f"{name} must be one text or one list of tokens for glmdeploy's stand-in engine")
