"""Several nodes of one stand-in: who waits for whom at the start, and what becomes of those whose peer is gone.

The node of rank 0 binds ``--dist-init-addr``, as PyTorch's store does there; the others connect to it. What they do was
measured with two nodes of the real SGLang 0.5.23 on one CPU (docs/embedded-cloud.md); what differs by release was read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Coroutine

_LOG = logging.getLogger("sglang")

PEER_VARIABLE = "GLMDEPLOY_STANDIN_PEER_GONE"
"""``end``: a node whose peer is gone ends, as SGLang's does where Gloo notices. Else it hangs, as it does where NCCL
waits."""

_ALIVE, _GO, _BYE = b".", b"!", b"b"
_BEAT = 0.1
"""Seconds between two signs of life of a node."""
_SILENCE = 1.0
"""Seconds without one after which a node is taken to hang."""
_LOOK_AGAIN = 0.05

_SHUTDOWN_SINCE = (0, 5, 14)
"""Since then rank 0 tells all schedulers when it ends in the orderly way (``ShutdownReq``, tokenizer_manager.py)."""
_DEAF_SINCE = (0, 5, 21)
"""Since then a rank above 0 only waits for that when it gets SIGTERM (``srt/entrypoints/engine.py``)."""
_ATTENTION_SINCE = (0, 5, 22)
"""Since then ``dp_size`` counts replicas alone (``srt/arg_groups/validation_hook.py``)."""


class NodesError(Exception):
    """Nodes that SGLang refuses; worded as its own assertions are."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One of ``count``; ``host`` and ``port`` are where rank 0 is found."""

    count: int
    rank: int
    host: str
    port: int
    version: str

    @property
    def tells(self) -> bool:
        """Whether the other nodes hear of an orderly end of rank 0."""
        return _number(self.version) >= _SHUTDOWN_SINCE

    @property
    def deaf(self) -> bool:
        """Whether SIGTERM does not end a rank above 0."""
        return bool(self.rank) and _number(self.version) >= _DEAF_SINCE


def node(arguments: argparse.Namespace, version: str) -> Node | None:
    """Which node this is; None where there is but one.

    :raises NodesError: for what the release refuses (``check_server_args``), and without an address of rank 0.
    """
    if arguments.nnodes == 1:
        return None
    if getattr(arguments, "ep_join_mode", None) != "scale" and arguments.tp_size * arguments.pp_size % arguments.nnodes:
        raise NodesError("AssertionError: tp_size must be divisible by number of nodes")
    if arguments.dp_size > 1 and not arguments.enable_dp_attention:
        raise NodesError(
            "AssertionError: "
            + (
                "multi-node data-parallel replicas are not supported; use attention DP (--attn-dp-size) across nodes"
                if _number(version) >= _ATTENTION_SINCE
                else "multi-node data parallel is not supported unless dp attention!"
            )
        )
    host, _, port = (arguments.dist_init_addr or "").rpartition(":")
    if not (host and port.isdecimal()):
        raise NodesError(f"the stand-in needs --dist-init-addr HOST:PORT, and not {arguments.dist_init_addr!r}")
    return Node(
        count=arguments.nnodes, rank=arguments.node_rank, host=host.strip("[]"), port=int(port), version=version
    )


def gpus_of_node(arguments: argparse.Namespace) -> int:
    """GPUs that each node needs (``_calculate_rank_ranges`` in ``srt/entrypoints/engine.py``, 0.5.10 and 0.5.23)."""
    stages = max(arguments.pp_size // arguments.nnodes, 1)
    tensor = arguments.tp_size // max(arguments.nnodes // arguments.pp_size, 1)
    replicas = 1 if arguments.enable_dp_attention else arguments.dp_size
    return int(stages * tensor * replicas)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(word) for word in version.split(".")[:3])


class Nodes:
    """The other nodes, as one sees them. ``hangs`` says whether this one does: then it gives no sign of life."""

    def __init__(self, own: Node, hangs: Callable[[], bool]) -> None:
        self.own = own
        self.gone = asyncio.Event()
        self.ended = asyncio.Event()
        self._hangs = hangs
        self._heard: dict[int, float] = {}
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self._complete = asyncio.Event()

    @property
    def missing(self) -> bool:
        """Whether nothing can be computed now: a peer is gone, or silent."""
        now = time.monotonic()
        return self.gone.is_set() or any(now - heard > _SILENCE for heard in self._heard.values())

    async def join(self) -> None:
        """Wait until all are there.

        :raises OSError: where rank 0 cannot have its address.
        """
        own = self.own
        if not own.rank:
            self._server = await asyncio.start_server(self._joined, own.host, own.port)
            _LOG.info("Init torch distributed begin: waiting for %d other nodes at %s", own.count - 1, own.host)
            await self._complete.wait()
        else:
            reader, writer = await self._connect()
            writer.write(bytes([own.rank]))
            self._writers.append(writer)
            while await reader.read(1) not in {_GO, b""}:
                pass
            self.attend(self._listen(0, reader))
        self.attend(self._beat())
        _LOG.info("Init torch distributed ends: all %d nodes are there", own.count)

    async def all_there(self) -> None:
        """Wait while something is missing, which may be for ever."""
        while self.missing:  # noqa: ASYNC110 (time alone makes a node silent)
            await asyncio.sleep(_LOOK_AGAIN)

    def bye(self) -> None:
        """This one ends in the orderly way."""
        self.ended.set()
        if self.own.tells and not self.own.rank:
            for writer in self._writers:
                writer.write(_BYE)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            with contextlib.suppress(OSError):
                await writer.drain()
            writer.close()
        if self._server is not None:
            self._server.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while True:
            try:
                return await asyncio.open_connection(self.own.host, self.own.port)
            except OSError:
                await asyncio.sleep(_LOOK_AGAIN)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = await reader.read(1)
        if not said:
            writer.close()
            return
        self._heard[said[0]] = time.monotonic()
        self._writers.append(writer)
        if len(self._heard) == self.own.count - 1:
            self._heard = dict.fromkeys(self._heard, time.monotonic())
            for each in self._writers:
                each.write(_GO)
            self._complete.set()
        with contextlib.suppress(asyncio.CancelledError):  # as this node ends; asyncio of 3.11 would print it
            await self._listen(said[0], reader)

    async def _listen(self, rank: int, reader: asyncio.StreamReader) -> None:
        said = b""
        with contextlib.suppress(OSError):
            while said := await reader.read(64):
                self._heard[rank] = time.monotonic()
                if _BYE in said:
                    self.ended.set()
                    return
        if not self.ended.is_set():
            _LOG.error("the node of rank %d is gone: Connection reset by peer", rank)
            self.gone.set()

    async def _beat(self) -> None:
        while True:
            if not self._hangs():
                for writer in self._writers:
                    if not writer.is_closing():
                        writer.write(_ALIVE)
            await asyncio.sleep(_BEAT)

    def attend(self, what: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(what))
