"""What the real engine and its stand-in answer alike: rows that tests ask of both.

The answers are those of SGLang 0.5.23 on a CPU.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PAGE = "https://page.example"
VARIES = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def data(self) -> Any:
        return json.loads(self.text)

    @property
    def message(self) -> str:
        return str(self.data["message"])


def opened(url: str, key: str | None, body: object = None, *, method: str | None = None, **headers: str) -> Any:
    """An answer whose body is still to be read. Header names with ``_`` for ``-``. :raises urllib.error.HTTPError:"""
    data = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=data, headers=sent, method=method)
    return urllib.request.urlopen(request, timeout=PATIENCE)


def ask(url: str, key: str | None, body: object = None, *, method: str | None = None, **headers: str) -> Answer:
    """The whole answer, an error's too."""
    try:
        with opened(url, key, body, method=method, **headers) as answer:
            return Answer(answer.status, dict(answer.headers), answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, dict(error.headers), error.read().decode())


def lower(answer: Answer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def check_origins(url: str, key: str, *, page: str = PAGE) -> None:
    """What a page of another origin is told. A preflight needs no key."""
    asks = {"Origin": page, "Access_Control_Request_Method": "POST"}
    for given in (None, key):
        answer = ask(f"{url}/v1/chat/completions", given, method="OPTIONS", **asks)
        seen = lower(answer)
        assert (answer.status, answer.text) == (200, "OK")
        assert seen["vary"] == VARIES
        assert seen["access-control-allow-methods"] == "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, QUERY"
        assert seen["access-control-allow-origin"] == page
        assert seen["access-control-allow-credentials"] == "true"
        assert seen["access-control-max-age"] == "600"
        assert "access-control-allow-headers" not in seen
    wanted = ask(f"{url}/nowhere", None, method="OPTIONS", Access_Control_Request_Headers="x-a,X-b", **asks)
    assert (wanted.status, lower(wanted)["access-control-allow-headers"]) == (200, "x-a,X-b")
    strange = ask(f"{url}/v1/models", None, method="OPTIONS", Origin=page, Access_Control_Request_Method="BREW")
    assert (strange.status, strange.text) == (400, "Disallowed CORS method")
    for headers, allowed in (({"Origin": page}, page), ({}, None)):
        no_preflight = ask(f"{url}/v1/chat/completions", None, method="OPTIONS", **headers)
        assert (no_preflight.status, no_preflight.data) == (405, {"detail": "Method Not Allowed"})
        assert lower(no_preflight)["allow"] == "POST"
        assert lower(no_preflight).get("access-control-allow-origin") == allowed
        models = ask(f"{url}/v1/models", key, **headers)
        assert (models.status, lower(models)["vary"]) == (200, "Origin")
        assert lower(models).get("access-control-allow-origin") == allowed
    refused = ask(f"{url}/v1/models", None, Origin=page)
    assert refused.status == 401
    assert "access-control-allow-origin" not in lower(refused)


REFUSED: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("/v1/embeddings", {"input": []}, "Input cannot be empty"),
    ("/v1/embeddings", {"input": ""}, "Input cannot be empty"),
    ("/v1/embeddings", {"input": " "}, "Input cannot be empty or whitespace only"),
    ("/v1/embeddings", {"input": ["a", ""]}, "Input at index 1 cannot be empty or whitespace only"),
    ("/v1/embeddings", {"input": [-1]}, "Token ID at index 0 must be non-negative"),
    ("/v1/embeddings", {"input": "a", "encoding_format": "int8"}, "encoding_format must be either 'float' or 'base64'"),
    ("/v1/embeddings", {"input": "a", "dimensions": 8}, "does not support matryoshka representation"),
    ("/v1/embeddings", {"input": 5}, ""),
    ("/v1/embeddings", {}, ""),
    ("/v1/rerank", {"query": "", "documents": ["a"]}, "Query cannot be empty"),
    ("/v1/rerank", {"query": "a", "documents": []}, "Documents cannot be empty"),
    ("/v1/rerank", {"query": "a", "documents": ["a", " "]}, "Each document cannot be empty or whitespace only"),
    ("/v1/rerank", {"query": "a"}, ""),
)
"""Of a model that gives embeddings: path, body, what stands in the message. All are 400."""


def check_embeddings(url: str, key: str) -> None:
    """What a model that does not generate answers, but for what ends it."""
    for path, body, words in REFUSED:
        refused = ask(f"{url}{path}", key, {"model": "tiny", **body})
        assert (refused.status, refused.data["object"], refused.data["code"]) == (400, "error", 400), (path, body)
        assert words in refused.message, (path, body)
    for given, count in (("Hello", 1), (["Hello", "You"], 2), ([72, 105], 1), ([[72], [105]], 2)):
        answer = ask(f"{url}/v1/embeddings", key, {"model": "tiny", "input": given})
        assert answer.status == 200
        assert set(answer.data) == {"data", "model", "object", "usage"}
        assert [one["index"] for one in answer.data["data"]] == list(range(count))
        for one in answer.data["data"]:
            assert (one["object"], len(one["embedding"])) == ("embedding", 64)
            assert abs(sum(value * value for value in one["embedding"]) - 1) < 1e-3
        assert answer.data["usage"]["total_tokens"] == answer.data["usage"]["prompt_tokens"] >= count
        assert answer.data["usage"]["completion_tokens"] == 0
    packed = ask(f"{url}/v1/embeddings", key, {"model": "tiny", "input": "Hi", "encoding_format": "base64"})
    assert len(packed.data["data"][0]["embedding"]) == 4 * -(-64 * 4 // 3)
    for path in ("/encode", "/classify"):
        answer = ask(f"{url}{path}", key, {"text": "Hello"})
        assert answer.status == 200
        assert len(answer.data["embedding"]) == 64
        assert {"id", "finish_reason", "prompt_tokens", "weight_version"} <= set(answer.data["meta_info"])
    ranked = ask(f"{url}/v1/rerank", key, {"model": "tiny", "query": "Hello", "documents": ["a", "b", "c"]})
    scores = [one["score"] for one in ranked.data]
    assert scores == sorted(scores, reverse=True)
    assert sorted((one["index"], one["document"]) for one in ranked.data) == [(0, "a"), (1, "b"), (2, "c")]
    best = {"model": "tiny", "query": "Hello", "documents": ["a", "b"], "top_n": 1, "return_documents": False}
    [first] = ask(f"{url}/v1/rerank", key, best).data
    assert set(first) == {"score", "index", "meta_info"}
    assert ask(f"{url}/model_info", key).data["is_generation"] is False
    said = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
    one_token = ask(f"{url}/v1/chat/completions", key, said)
    assert (one_token.status, one_token.message) == (500, "Internal server error: 'text'")


def check_no_embeddings(url: str, key: str) -> None:
    """What a model that generates answers to those who want no text."""
    words = "This model does not appear to be an embedding model by default. Please add `--is-embedding`"
    for path, body in (
        ("/v1/embeddings", {"model": "tiny", "input": "Hello"}),
        ("/v1/rerank", {"model": "tiny", "query": "Hello", "documents": ["a"]}),
    ):
        refused = ask(f"{url}{path}", key, body)
        assert (refused.status, refused.data["type"]) == (400, "BadRequestError")
        assert refused.message.startswith(words)
    for path in ("/encode", "/classify"):
        refused = ask(f"{url}{path}", key, {"text": "Hello"})
        assert refused.status == 400
        assert refused.data["error"]["message"].startswith(words)


def dies_of(url: str, key: str, gone: Callable[[], bool]) -> None:
    """A model that does not generate is asked for text: nothing is answered, and the engine ends."""
    said = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}
    try:
        answer = ask(f"{url}/v1/chat/completions", key, said)
        assert answer.status >= 500
    except OSError:
        pass
    assert gone()
