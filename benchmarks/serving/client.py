"""A process that opens streams and measures them: a request as JSON on standard input, the samples on standard output.

    {"port": 1, "path": "/x/v1/chat/completions", "streams": 64, "seconds": 4, "burst": false,
     "headers": {}, "body": {"first": 20, "interval": 20, "tokens": 25}, "seed": 1}

Without ``burst`` each of ``streams`` clients asks again and again over one connection, from a moment of its own; with
it all ask at the same moment over new connections, again and again. A bare protocol on asyncio, since what a client
library costs would be measured as well. Times in microseconds.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import random
import re
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

STAMPS = re.compile(rb'"whole": (\d+), "sent": (\d+)')
PATIENCE = 60.0
LAST = b"0\r\n\r\n"


@dataclass
class Samples:
    """``there``, ``back`` and ``later``: on the way to the engine, and back with the first and with later tokens."""

    first: list[int] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)
    there: list[int] = field(default_factory=list)
    back: list[int] = field(default_factory=list)
    later: list[int] = field(default_factory=list)
    streams: int = 0
    lost: int = 0
    tokens: int = 0
    seconds: float = 0.0
    behind: list[int] = field(default_factory=list)
    """How late this process's own timers are: what of the times is the client's, or the machine's."""


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.done: asyncio.Future[bool] | None = None
        self.arrivals: list[int] = []
        self.received = bytearray()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def ask(self, request: bytes) -> asyncio.Future[bool]:
        self.done = asyncio.get_running_loop().create_future()
        self.arrivals, self.received = [], bytearray()
        self.transport.write(request)
        return self.done

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns() // 1000
        self.arrivals += [now] * data.count(b"\n\n")
        self.received += data
        if self.received.endswith(LAST) and self.done is not None and not self.done.done():
            self.done.set_result(True)

    def connection_lost(self, _: Exception | None) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_result(False)


def dechunked(body: bytes) -> bytes:
    """The body of an answer without the sizes of its pieces."""
    pieces = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        pieces.append(rest[: int(size, 16)])
        body = rest[int(size, 16) + 2 :]
    return b"".join(pieces)


class Client:
    def __init__(self, asked: dict[str, Any]) -> None:
        self.samples = Samples()
        self.asked = asked
        body = json.dumps(asked["body"]).encode()
        lines = [f"POST {asked['path']} HTTP/1.1", f"Host: 127.0.0.1:{asked['port']}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in asked["headers"].items()]
        self.request = ("\r\n".join([*lines, "Content-Type: application/json"]) + "\r\n\r\n").encode() + body

    async def connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Connection, "127.0.0.1", self.asked["port"]))[1]

    async def stream(self, connection: Connection | None) -> Connection | None:
        """Ask once; the connection, where it can be asked again."""
        self.samples.streams += 1
        began = time.monotonic_ns() // 1000
        try:
            connection = connection or await self.connect()
            if not await asyncio.wait_for(connection.ask(self.request), PATIENCE):
                raise ConnectionError("it ended early")
            self.count(began, connection)
        except (OSError, ValueError, TimeoutError) as fault:
            self.samples.lost += 1
            print(f"lost: {fault!r}", bytes(connection.received)[:300] if connection else b"", file=sys.stderr)
            if connection is not None:
                connection.transport.abort()
            return None
        return connection

    def count(self, began: int, connection: Connection) -> None:
        """Take the times of a whole answer. :raises ValueError: where it is not whole."""
        head, _, body = bytes(connection.received).partition(b"\r\n\r\n")
        events = dechunked(body).split(b"\n\n")[:-1]
        if b" 200 " not in head.split(b"\r\n")[0] or events[-1] != b"data: [DONE]":
            raise ValueError("not a whole answer")
        arrivals, samples = connection.arrivals[: len(events) - 1], self.samples
        stamps = [tuple(map(int, found)) for found in STAMPS.findall(body)]
        if stamps and not len(stamps) == len(events) - 1 == self.asked["body"]["tokens"]:
            raise ValueError(f"{len(stamps)} tokens")
        samples.tokens += len(arrivals)
        samples.first.append(arrivals[0] - began)
        samples.gaps += [after - before for before, after in itertools.pairwise(arrivals)]
        if stamps:
            samples.there.append(stamps[0][0] - began)
            samples.back.append(arrivals[0] - stamps[0][1])
            samples.later += [arrived - sent for arrived, (_, sent) in zip(arrivals[1:], stamps[1:], strict=True)]

    async def again_and_again(self, until: float, delay: float) -> None:
        await asyncio.sleep(delay)
        connection = None
        while time.monotonic() < until:
            connection = await self.stream(connection)
            await asyncio.sleep(random.uniform(0, 0.02))
        if connection is not None:
            connection.transport.close()

    async def run(self) -> None:
        random.seed(self.asked["seed"])
        watch = asyncio.ensure_future(self.watch())
        wanted, count, began = self.asked["body"], self.asked["streams"], time.monotonic()
        until = began + self.asked["seconds"]
        length = (wanted.get("first", 0) + wanted.get("interval", 0) * wanted.get("tokens", 0)) / 1000
        if self.asked["burst"]:
            while time.monotonic() < until:
                connections = await asyncio.gather(*[self.stream(None) for _ in range(count)])
                for connection in filter(None, connections):
                    connection.transport.close()
        else:
            await asyncio.gather(*[self.again_and_again(until, length * number / count) for number in range(count)])
        self.samples.seconds = time.monotonic() - began
        watch.cancel()

    async def watch(self) -> None:
        while True:
            wanted = time.monotonic() + 0.01
            await asyncio.sleep(0.01)
            self.samples.behind.append(int((time.monotonic() - wanted) * 1e6))


if __name__ == "__main__":
    gc.disable()
    client = Client(json.load(sys.stdin))
    asyncio.run(client.run())
    json.dump(asdict(client.samples), sys.stdout)
