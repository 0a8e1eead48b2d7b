"""The floor: what any proxy in one Python process costs that looks at nothing: bytes from one socket to another.

python floor.py PORT OF_THE_ENGINE
"""

from __future__ import annotations

import asyncio
import sys


class Side(asyncio.Protocol):
    """Passes what comes on to the other side."""

    def __init__(self, other: Side | None) -> None:
        self.other = other
        self.transport: asyncio.Transport | None = None
        self.held = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        if self.other is None:
            self.other = Side(self)
            loop, engine = asyncio.get_running_loop(), int(sys.argv[2])
            self.connecting = loop.create_task(loop.create_connection(lambda: self.other, "127.0.0.1", engine))
        else:
            transport.write(self.other.held)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)
        else:
            self.held += data

    def connection_lost(self, _: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Side(None), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
