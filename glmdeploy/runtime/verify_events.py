"""Reads a stream of server-sent events (the WHATWG's standard), and what a streamed chat completion comes to.

Pure: bytes go in, as they come, cut anywhere.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

STREAM_END = "[DONE]"


class EventReader:
    """Gets bytes, and gives the ``data`` of the events that are whole."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._text = ""
        self._data: list[str] = []
        self._begun = False
        self._after_return = False

    def feed(self, content: bytes) -> list[str]:
        """The events that end in these bytes."""
        text = self._decoder.decode(content)
        if text and not self._begun:
            text, self._begun = text.removeprefix("\ufeff"), True
        if text and self._after_return:  # the second half of a line's end that was cut in two
            text, self._after_return = text.removeprefix("\n"), False
        self._after_return = self._after_return or text.endswith("\r")
        *lines, self._text = (self._text + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        events = []
        for line in lines:
            if line:
                name, _, value = line.partition(":")
                if name == "data":
                    self._data.append(value.removeprefix(" "))
            elif self._data:
                events.append("\n".join(self._data))
                self._data = []
        return events


@dataclass
class StreamedCall:
    """A tool call that is put together from its pieces."""

    name: str = ""
    arguments: str = ""


@dataclass
class StreamedChat:
    """What the events of a chat completion come to. Times are seconds since the request was sent.

    ``pieces`` are the times of events that brought text, reasoning or a tool call.
    """

    content: str = ""
    reasoning: str = ""
    calls: dict[int, StreamedCall] = field(default_factory=dict)
    finish: str | None = None
    usage: Mapping[str, Any] | None = None
    pieces: list[float] = field(default_factory=list)
    ended: bool = False

    def take(self, event: str, at: float) -> None:
        """Add an event.

        :raises ValueError: for what is no JSON.
        :raises Exception: LookupError, TypeError or AttributeError for another form
        """
        if event == STREAM_END:
            self.ended = True
            return
        chunk = json.loads(event)
        if "error" in chunk and "choices" not in chunk:
            raise ValueError("the stream tells an error")
        self.usage = chunk.get("usage") or self.usage
        brought = False
        for choice in chunk["choices"]:
            delta = choice["delta"]
            self.content += delta.get("content") or ""
            self.reasoning += delta.get("reasoning_content") or ""
            for call in delta.get("tool_calls") or ():
                one = self.calls.setdefault(call.get("index") or 0, StreamedCall())
                function = call["function"]
                one.name += function.get("name") or ""
                one.arguments += function.get("arguments") or ""
            brought = brought or any(delta.get(name) for name in ("content", "reasoning_content", "tool_calls"))
            self.finish = choice.get("finish_reason") or self.finish
        if brought:
            self.pieces.append(at)

    @property
    def tokens(self) -> int:
        """As the usage tells, else the number of pieces."""
        told = (self.usage or {}).get("completion_tokens")
        return told if isinstance(told, int) else len(self.pieces)


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """Mean, median, 90th and 99th percentile, with linear interpolation, as aiperf gives them; nothing of nothing."""
    ordered = sorted(values)
    if not ordered:
        return {}
    found = {"avg": sum(ordered) / len(ordered)}
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        found[name] = ordered[low] + (ordered[high] - ordered[low]) * (place - low)
    return {name: round(value, 3) for name, value in found.items()}
