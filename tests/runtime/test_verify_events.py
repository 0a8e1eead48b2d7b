"""Server-sent events in whatever pieces they come, and what a streamed chat comes to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.runtime.verify_events import EventReader, StreamedChat, percentiles

TEXT = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=("Cs",)), min_size=1)


def read(pieces: list[bytes]) -> list[str]:
    reader = EventReader()
    return [event for piece in pieces for event in reader.feed(piece)]


def cut(content: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(content) + 1) for place in places})
    return [content[start:end] for start, end in zip([0, *ends], [*ends, len(content)], strict=True)]


@given(
    events=st.lists(st.lists(TEXT, min_size=1, max_size=3), max_size=5),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.sampled_from(["", "\ufeff"]),
    places=st.lists(st.integers(min_value=0, max_value=10_000), max_size=20),
)
def test_events_are_read_whole_wherever_they_are_cut(
    events: list[list[str]], end: str, mark: str, places: list[int]
) -> None:
    lines = [f": a comment{end}"]
    for event in events:
        lines += [f"data: {line}{end}" for line in event]
        lines += [f"event: x{end}", end]
    content = (mark + "".join(lines)).encode()
    assert read(cut(content, places)) == ["\n".join(event) for event in events]


@given(st.binary(max_size=200), st.lists(st.integers(min_value=0, max_value=200), max_size=10))
def test_any_bytes_are_read_alike_in_one_piece_and_in_several(content: bytes, places: list[int]) -> None:
    assert read(cut(content, places)) == read([content])


@pytest.mark.parametrize(
    ("content", "events"),
    [
        (b"data: 1\n\ndata: 2", ["1"]),
        (b"data:1\n\n", ["1"]),
        (b"data:  1\n\n", [" 1"]),
        (b"data\n\n", [""]),
        (b"\n\n\n", []),
        (b"id: 1\n\n", []),
    ],
    ids=["not-ended", "no-blank", "one-blank", "no-colon", "nothing", "no-data"],
)
def test_the_standards_corners(content: bytes, events: list[str]) -> None:
    assert read([content]) == events


def chunk(**delta: Any) -> str:
    return json.dumps({"choices": [{"delta": delta, "finish_reason": None}], "usage": None})


class TestChat:
    def test_comes_together(self) -> None:
        found = StreamedChat()
        call = {"index": 0, "id": "x", "function": {"name": "f", "arguments": '{"a"'}}
        rest = {"index": 0, "id": None, "function": {"name": None, "arguments": ": 1}"}}
        events = [
            *(chunk(role="assistant", content=""), chunk(reasoning_content="Hm. "), chunk(content="Yes")),
            *(chunk(tool_calls=[call]), chunk(tool_calls=[rest])),
            json.dumps({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}),
            json.dumps({"choices": [], "usage": {"completion_tokens": 7}}),
            "[DONE]",
        ]
        for at, event in enumerate(events):
            found.take(event, float(at))
        assert (found.content, found.reasoning, found.finish, found.tokens, found.ended) == (
            *("Yes", "Hm. ", "tool_calls", 7, True),
        )
        assert (found.calls[0].name, json.loads(found.calls[0].arguments)) == ("f", {"a": 1})
        assert found.pieces == [1.0, 2.0, 3.0, 4.0], "what brings nothing is no first token"

    def test_tokens_without_usage_are_the_pieces(self) -> None:
        found = StreamedChat()
        found.take(chunk(content="a"), 1.0)
        assert found.tokens == 1

    @pytest.mark.parametrize("event", ["{", '{"error": {"message": "x"}}', '{"a": 1}', "[]", '{"choices": [{}]}'])
    def test_another_form_is_no_chunk(self, event: str) -> None:
        with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
            StreamedChat().take(event, 0.0)


def test_percentiles() -> None:
    assert percentiles([]) == {}
    assert percentiles([3]) == {"avg": 3, "p50": 3, "p90": 3, "p99": 3}
    assert percentiles(range(1, 102)) == {"avg": 51, "p50": 51, "p90": 91, "p99": 100}


@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1))
def test_percentiles_are_in_order_and_within(values: list[float]) -> None:
    found = percentiles(values)
    assert min(values) - 0.001 <= found["p50"] <= found["p90"] <= found["p99"] <= max(values) + 0.001
