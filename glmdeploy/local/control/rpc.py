"""Between gRPC and the handlers: who calls, what is refused, and how a failure is told to Modal's client.

A handler is a class whose public methods are RPCs, named in snake case: ``app_create(request, caller)``
answers AppCreate. A coroutine answers once; an async generator answers with a stream.
"""

from __future__ import annotations

import errno
import inspect
import logging
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grpclib import GRPCError, Status
from modal_proto.api_grpc import ModalClientBase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from pathlib import Path

    from google.protobuf.message import Message
    from grpclib.server import Stream

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
) -> ModalClientBase:
    """One service of all handlers. RPCs without a handler answer UNIMPLEMENTED with their name.

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
            request = await stream.recv_message()
            caller = authenticate(stream.metadata or {})  # type: ignore[arg-type]
            if observer is not None and request is not None:
                observer(rpc, request)
            if rpc not in methods:
                raise unsupported(f"{rpc} is")
            try:
                await _answer(methods[rpc], request, caller, stream)
            except GRPCError:
                raise
            except Exception as fault:
                refusal = disk_full(fault, home)
                if refusal is None:
                    log.exception("%s failed", rpc)
                    refusal = GRPCError(Status.INTERNAL, f"{rpc} failed in the embedded cloud: {fault!r}")
                raise refusal from fault

        return serve

    return type("ControlPlane", (ModalClientBase,), {rpc: endpoint(rpc) for rpc in rpcs})()  # type: ignore[no-any-return]


async def _answer(
    method: Callable[..., Any], request: Message | None, caller: Caller, stream: Stream[Any, Any]
) -> None:
    if inspect.isasyncgenfunction(method):
        async for message in method(request, caller):
            await stream.send_message(message)
    else:
        await stream.send_message(await method(request, caller))
