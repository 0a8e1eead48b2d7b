"""The quick checks: what SGLang answers passes, what a client could not read is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.runtime.quick_checks import QuickCheck, fault_of, models_fault, quick_check


def fault(name: str, content: bytes | str, status: int = 200) -> str | None:
    data = content.encode() if isinstance(content, str) else content
    return fault_of(quick_check(name, "glm"), status, data)


def chat(**message: Any) -> str:
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]})


def calls(name: str = "report_ready", arguments: str = '{"ready": true}', **choice: Any) -> str:
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"} | choice]})


def stream(*deltas: dict[str, Any], end: str = "data: [DONE]\n\n") -> str:
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
    chunks.append({"choices": [], "usage": {"completion_tokens": 8}})
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end


GOOD = {
    "chat": [
        chat(content="Hello"),
        chat(content=None, reasoning_content="Hm"),
        chat(content="", reasoning_content="x"),
    ],
    "stream": [
        stream({"role": "assistant", "content": ""}, {"content": "Hello"}),
        stream({"reasoning_content": "Hm"}),
        ": a comment\n\n" + stream({"content": "x"}).replace("\n", "\r\n"),
    ],
    "tool_call": [
        calls(),
        calls(arguments="{}"),
        json.dumps({"choices": [{"message": {}, "finish_reason": "length"}]}),
    ],
    "embeddings": [json.dumps({"data": [{"embedding": [0.5, 1]}, {"embedding": [0, -1.5]}]})],
    "rerank": [json.dumps([{"score": 0.25, "document": "x", "index": 0}, {"score": -1, "document": "y", "index": 1}])],
    "reward": [json.dumps([{"embedding": [0.5]}, {"embedding": [1.5]}])],
}

BAD = [
    ("chat", chat(content=""), "the answer says nothing"),
    ("chat", chat(content=None), "the answer says nothing"),
    ("chat", "", "the answer is empty"),
    ("chat", " \n", "the answer is empty"),
    ("chat", b"\xff\xfe", "the answer is not UTF-8"),
    ("chat", "<html>", "the answer is not JSON"),
    ("chat", '{"choices": [', "the answer is not JSON"),
    ("chat", "{}", "the answer does not have the form that clients read"),
    ("chat", "[]", "the answer does not have the form that clients read"),
    ("chat", chat(content=7), "the answer does not have the form that clients read"),
    ("chat", '{"choices": []}', "the answer does not have the form that clients read"),
    ("stream", chat(content="Hello"), "it is no stream of events"),
    ("stream", stream({"content": "Hello"}, end=""), "the stream does not end with [DONE]"),
    ("stream", "data: [DONE]\n\n", "the stream says nothing"),
    ("stream", stream({"content": ""}), "the stream says nothing"),
    ("stream", 'data: {"choi\n\ndata: [DONE]\n\n', "the answer is not JSON"),
    ("stream", 'data: {"error": 1}\n\ndata: [DONE]\n\n', "the answer does not have the form that clients read"),
    ("tool_call", chat(content="I cannot"), "there is no tool call in the answer, which was demanded"),
    ("tool_call", calls(name="rm"), "it calls a function that it was not given"),
    ("tool_call", calls(arguments="[]"), "the call's arguments are no JSON object"),
    ("tool_call", calls(arguments='{"re'), "the answer is not JSON"),
    ("embeddings", '{"data": []}', "there are 0 embeddings of 2 texts"),
    (
        "embeddings",
        '{"data": [{"embedding": []}, {"embedding": []}]}',
        "the embeddings are empty or of different lengths",
    ),
    ("embeddings", '{"data": [{"embedding": [NaN]}, {"embedding": [1]}]}', "the embeddings hold what is no number"),
    ("rerank", "[]", "there are 0 scores of 2 texts"),
    ("reward", '[{"embedding": [NaN]}, {"embedding": [1]}]', "the scores hold what is no number"),
]


@pytest.mark.parametrize(("name", "content"), [(name, content) for name, some in GOOD.items() for content in some])
def test_what_clients_can_read_passes(name: str, content: str) -> None:
    assert fault(name, content) is None


@pytest.mark.parametrize(("name", "content", "wrong"), BAD)
def test_what_they_cannot_is_refused(name: str, content: bytes | str, wrong: str) -> None:
    assert fault(name, content) == wrong


def test_a_status_is_told_with_what_came_with_it() -> None:
    assert fault("chat", '{"message": "no"}', 400) == 'status 400: {"message": "no"}'


def test_the_served_model() -> None:
    assert models_fault(200, b'{"data": [{"id": "glm"}, {"id": "adapter"}]}', "glm") is None
    assert models_fault(200, b'{"data": [{"id": "other"}]}', "glm") == "it does not serve glm"
    assert models_fault(200, b"{}", "glm") == "the answer does not have the form that clients read"


@given(name=st.sampled_from(sorted(GOOD)), content=st.binary(max_size=200))
def test_garbage_is_refused(name: str, content: bytes) -> None:
    assert fault(name, content)


@given(name=st.sampled_from(sorted(GOOD)), data=st.data())
def test_what_is_cut_short_is_refused(name: str, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(GOOD[name])).rstrip()
    assert fault(name, whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["choices", "message", "content", "delta", "data", "embedding", "tool_calls", "function"]
                ),
                inner,
            )
        ),
    )
)
def test_any_json_is_judged(value: Any) -> None:
    for name in GOOD:
        check = quick_check(name, "glm")
        assert isinstance(check, QuickCheck)
        found = fault_of(check, 200, json.dumps(value).encode())
        assert found is None or found.isprintable()
