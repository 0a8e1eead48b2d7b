"""An engine that costs next to nothing and says when it sent what: tokens at a known pace, as server-sent events.

    python engine.py PORT

It answers POST with a stream: the first token ``first`` ms after the request, and each of ``tokens`` tokens
``interval`` ms after the one before (all of the JSON body). Each event holds the monotonic clock, which all processes
of a machine share, in microseconds: when the request was there whole, and when the event was written. For each request
it prints a line, as SGLang's uvicorn does. GET answers the port.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
FILLING = json.dumps(
    {
        "object": "chat.completion.chunk",
        "model": "paced",
        "choices": [{"index": 0, "delta": {"content": " token"}, "logprobs": None, "finish_reason": None}],
        "usage": None,
    }
)[1:].encode()
"""What makes an event as long as one of SGLang's."""


class Stream(asyncio.Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.received = b""
        self.timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, rest = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        if head.startswith(b"GET"):
            self.received = b""
            body = sys.argv[1].encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            return
        if b"transfer-encoding: chunked" in head.lower():
            if not rest.endswith(b"0\r\n\r\n"):
                return
            size, _, rest = rest.partition(b"\r\n")
            rest = rest[: int(size, 16)]
        elif len(rest) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            return
        self.received = b""
        self.begin(json.loads(rest))

    def begin(self, wanted: dict[str, float]) -> None:
        self.whole = time.monotonic_ns() // 1000
        self.left, self.interval = int(wanted["tokens"]), wanted["interval"] / 1000
        self.next = asyncio.get_running_loop().time() + wanted["first"] / 1000
        self.timer = asyncio.get_running_loop().call_at(self.next, self.token, HEAD)
        sys.stdout.write('INFO:     127.0.0.1:50000 - "POST /v1/chat/completions HTTP/1.1" 200 OK\n')
        sys.stdout.flush()

    def token(self, before: bytes = b"") -> None:
        event = b'data: {"whole": %d, "sent": %d, %b\n\n' % (self.whole, time.monotonic_ns() // 1000, FILLING)
        self.transport.write(b"%b%x\r\n%b\r\n" % (before, len(event), event))
        self.left -= 1
        self.next += self.interval
        follows = self.token if self.left else self.end
        self.timer = asyncio.get_running_loop().call_at(self.next, follows)

    def end(self) -> None:
        self.timer = None
        self.transport.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    def connection_lost(self, _: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Stream, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
