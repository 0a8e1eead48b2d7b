"""What a model that does not generate is asked for: embeddings, and scores of documents. Pure functions.

The shapes, the checks and their words are those of the real SGLang 0.5.23 on a CPU (``Glm4ForCausalLM`` and the
Qwen3 models of ``tiny_model`` with ``--is-embedding``; ``sglang/srt/entrypoints/openai/serving_embedding.py`` and
``serving_rerank.py``), which tests/asked.py holds both to.
"""

from __future__ import annotations

import base64
import hashlib
import math
import random
import struct
import uuid
from typing import TYPE_CHECKING, Any, cast

from glmdeploy.local.standin import body, generation
from glmdeploy.local.standin.generation import RequestError
from glmdeploy.local.standin.settings import NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.local.standin.settings import Settings

_NO_EMBEDDING = (
    "This model does not appear to be an embedding model by default. "
    "Please add `--is-embedding` when launching the server or try another model."
)
_WIDTH = 64
"""Of an embedding, where the model's config.json does not say."""
_SCORING = ("ForRewardModel", "ForSequenceClassification")
"""What the architectures' names end with of models that give a score."""


def embeddings(settings: Settings, request: Mapping[str, Any]) -> dict[str, Any]:
    """What ``POST /v1/embeddings`` is answered.

    :raises RequestError:
    """
    encoding = request.get("encoding_format", "float")
    if encoding not in {"float", "base64"}:
        raise RequestError(f"encoding_format must be either 'float' or 'base64', got {encoding!r}")
    inputs = _inputs(request)
    _pooled(settings)
    if request.get("dimensions") is not None:
        raise RequestError(
            f"Model '{settings.model_path}' does not support matryoshka representation, "
            "changing output dimensions will lead to poor results."
        )
    sizes = [_size(settings, one) for one in inputs]
    vectors = [_vector(settings, one) for one in inputs]
    shown = vectors if encoding == "float" else [_encoded(vector) for vector in vectors]
    return {
        "data": [{"embedding": one, "index": index, "object": "embedding"} for index, one in enumerate(shown)],
        "model": str(settings.model_path),
        "object": "list",
        "usage": {
            "prompt_tokens": sum(sizes),
            "total_tokens": sum(sizes),
            "completion_tokens": 0,
            "prompt_tokens_details": None,
            "reasoning_tokens": 0,
            "completion_tokens_details": None,
        },
    }


def native(settings: Settings, request: Mapping[str, Any]) -> dict[str, Any] | list[dict[str, Any]]:
    """What ``POST /encode`` and, for a reward model, ``POST /classify`` are answered: the same, several for several.

    :raises RequestError:
    """
    given = request.get("text", request.get("input_ids"))
    several = isinstance(given, list) and bool(given) and not _tokens(given)
    prompts = given if isinstance(given, list) and several else [given]
    if not all(isinstance(one, str) or (isinstance(one, list) and one and _tokens(one)) for one in prompts):
        raise RequestError("glmdeploy's stand-in engine takes a text or tokens, or a list of them")
    _pooled(settings)
    found = [{"embedding": _vector(settings, one), "meta_info": _meta(_size(settings, one))} for one in prompts]
    return found if several else found[0]


def rerank(settings: Settings, request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What ``POST /v1/rerank`` is answered: the documents, the best first.

    :raises RequestError:
    """
    query, documents = request.get("query"), request.get("documents")
    if "query" not in request or "documents" not in request or not isinstance(documents, list):
        raise body.invalid("query and documents are required, the latter a list")
    for what, texts in (("Query", [query]), ("Each document", documents)):
        if not all(isinstance(text, str) for text in texts):
            raise body.invalid(f"{what}: glmdeploy's stand-in engine reads text alone")
    if not query:
        raise RequestError("Query cannot be empty")
    if not query.strip():
        raise RequestError("Query cannot be empty or whitespace only")
    if not documents:
        raise RequestError("Documents cannot be empty")
    if not all(documents):
        raise RequestError("Each document must be a non-empty string")
    if not all(document.strip() for document in documents):
        raise RequestError("Each document cannot be empty or whitespace only")
    top = body.integer(request, "top_n")
    if top == 0:
        raise body.invalid("top_n must be >= 1")
    _pooled(settings)
    scored = [
        {
            "score": _vector(settings, query + document)[0],
            **({} if request.get("return_documents") is False else {"document": document}),
            "index": index,
            "meta_info": _meta(_size(settings, query) + _size(settings, document)),
        }
        for index, document in enumerate(documents)
    ]
    return sorted(scored, key=lambda one: -cast("float", one["score"]))[:top]


def _pooled(settings: Settings) -> None:
    """:raises RequestError: where the model generates."""
    if settings.generates:
        raise RequestError(_NO_EMBEDDING)


def _inputs(request: Mapping[str, Any]) -> list[str | list[int]]:
    """The texts, or lists of tokens, that ``input`` has. :raises RequestError:"""
    if "input" not in request:
        raise body.invalid("input: Field required")
    given = request["input"]
    if not isinstance(given, (str, list)):
        raise body.invalid("input must be a text, a list of texts, a list of tokens or a list of such lists")
    if not given:
        raise RequestError("Input cannot be empty")
    if isinstance(given, str):
        if not given.strip():
            raise RequestError("Input cannot be empty or whitespace only")
        return [given]
    if all(isinstance(one, str) for one in given):
        for index, one in enumerate(given):
            if not one.strip():
                raise RequestError(f"Input at index {index} cannot be empty or whitespace only")
        return list(given)
    if _tokens(given):
        return [given]
    if all(isinstance(one, list) and one and _tokens(one) for one in given):
        return list(given)
    raise body.invalid("input must be a text, a list of texts, a list of tokens or a list of such lists")


def _tokens(given: list[Any]) -> bool:
    """Whether it is a list of tokens. :raises RequestError: for a negative one."""
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in given):
        return False
    for index, one in enumerate(given):
        if one < 0:
            raise RequestError(f"Token ID at index {index} must be non-negative")
    return True


def _size(settings: Settings, given: str | list[int]) -> int:
    """Tokens. :raises RequestError: where they are too many."""
    size = len(generation.tokens(given)) if isinstance(given, str) else len(given)
    generation.room(settings, size, 0)
    return size


def _vector(settings: Settings, given: str | list[int]) -> list[float]:
    """The same for the same text, and of no meaning. An embedding has the length 1; of a score there is one value."""
    if "broken-vectors" in settings.faults:
        return [math.nan]
    source = random.Random(hashlib.sha256(repr(given).encode()).digest())
    [architecture] = settings.config.get("architectures") or [""]
    if architecture.endswith(_SCORING):
        return [source.gauss()]
    values = [source.gauss() for _ in range(settings.config.get("hidden_size", _WIDTH))]
    length = math.hypot(*values)
    return [value / length for value in values]


def _encoded(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _meta(size: int) -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "finish_reason": {"type": "length", "length": 0},
        "prompt_tokens": size,
        "weight_version": "default",
        "system_fingerprint": NAME,
    }
