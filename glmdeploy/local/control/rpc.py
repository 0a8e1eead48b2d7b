"""Between gRPC and the handlers: who calls, what is refused, and how a failure is told to Modal's client.

A handler is a class whose public methods are RPCs, named in snake case: ``app_create(request, caller)``
answers AppCreate. A coroutine answers once; an async generator answers with a stream.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import logging
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from grpclib import GRPCError, Status
from modal_proto.api_grpc import ModalClientBase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from pathlib import Path

    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp
    from grpclib.server import Stream

    Fault = Callable[[str, Message], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """``task_id`` is the container that calls; empty for a client."""

    task_id: str
    client_version: str


def not_found(message: str) -> GRPCError:
    return GRPCError(Status.NOT_FOUND, message)


def invalid(message: str) -> GRPCError:
    return GRPCError(Status.INVALID_ARGUMENT, message)


def already_exists(message: str) -> GRPCError:
    return GRPCError(Status.ALREADY_EXISTS, message)


def conflict(message: str) -> GRPCError:
    return GRPCError(Status.FAILED_PRECONDITION, message)


def unsupported(what: str) -> GRPCError:
    """For what Modal can do and the embedded cloud cannot; ``what`` begins the sentence."""
    return GRPCError(Status.UNIMPLEMENTED, f"{what} not supported by the embedded cloud")


def position(entry_id: str) -> int:
    """The number of the last entry that a client has seen, as it was told to it: ``12`` or ``12-0``; 0 for none.

    :raises GRPCError: for what is neither.
    """
    number = entry_id.partition("-")[0]
    if not (number or entry_id):
        return 0
    if not (number.isascii() and number.isdecimal() and len(number) < 20):
        raise invalid(f"{entry_id[:40]!r} is not the id of an entry")
    return int(number)


def nanoseconds(moment: Timestamp) -> int:
    """Since the epoch.

    :raises GRPCError: for what is no time.
    """
    try:
        return moment.ToNanoseconds()
    except ValueError as fault:
        raise invalid(str(fault)) from fault


def patience(seconds: float) -> float:
    """How long a client wants to wait: a day at most, not at all for what is no time."""
    return min(seconds, 86_400.0) if seconds > 0 else 0.0


def disk_full(fault: BaseException, home: Path) -> GRPCError | None:
    """The refusal to send where ``fault`` means that ``home`` has no space left."""
    full = isinstance(fault, OSError) and fault.errno in {errno.ENOSPC, errno.EDQUOT}
    if full or (isinstance(fault, sqlite3.Error) and fault.sqlite_errorcode == sqlite3.SQLITE_FULL):
        return GRPCError(Status.RESOURCE_EXHAUSTED, f"no space left in {home}: nothing was written")
    return None


def assemble(
    handlers: Iterable[object],
    *,
    authenticate: Callable[[Mapping[str, str]], Caller],
    home: Path,
    observer: Callable[[str, Message], None] | None,
    fault: Fault | None = None,
) -> ModalClientBase:
    """One service of all handlers. RPCs without a handler answer UNIMPLEMENTED with their name.

    ``fault`` is awaited before each request that was let in is answered, with the RPC's name and the message: it may
    take its time, or raise a GRPCError in place of the answer.

    :raises TypeError: for a handler's method that is not an RPC.
    """
    rpcs = ModalClientBase.__abstractmethods__
    methods: dict[str, Callable[..., Any]] = {}
    for handler in handlers:
        for name, method in inspect.getmembers(handler, inspect.ismethod):
            if not name.startswith("_"):
                methods["".join(part.capitalize() for part in name.split("_"))] = method
    if strangers := methods.keys() - rpcs:
        raise TypeError(f"not RPCs of Modal's API: {', '.join(sorted(strangers))}")

    def endpoint(rpc: str) -> Callable[..., Awaitable[None]]:
        async def serve(self: ModalClientBase, stream: Stream[Any, Any]) -> None:
            try:
                request = await stream.recv_message()
            except DecodeError as error:
                raise invalid(f"what came is no request of {rpc}") from error
            caller = authenticate(stream.metadata or {})  # type: ignore[arg-type]
            if request is None:
                raise invalid(f"{rpc} without a request")
            if observer is not None:
                observer(rpc, request)
            if fault is not None:
                await fault(rpc, request)
            if rpc not in methods:
                raise unsupported(f"{rpc} is")
            try:
                await _answer(methods[rpc], request, caller, stream)
            except GRPCError:
                raise
            except Exception as error:
                refusal = disk_full(error, home)
                if refusal is None:
                    log.exception("%s failed", rpc)
                    refusal = GRPCError(Status.INTERNAL, f"{rpc} failed in the embedded cloud: {error!r}")
                raise refusal from error

        return serve

    return type("ControlPlane", (ModalClientBase,), {rpc: endpoint(rpc) for rpc in rpcs})()  # type: ignore[no-any-return]


async def _answer(method: Callable[..., Any], request: Message, caller: Caller, stream: Stream[Any, Any]) -> None:
    if inspect.isasyncgenfunction(method):
        # Closed here and now where the client hangs up, not whenever the garbage collector finds it.
        async with contextlib.aclosing(method(request, caller)) as messages:
            async for message in messages:
                await stream.send_message(message)
    else:
        await stream.send_message(await method(request, caller))
