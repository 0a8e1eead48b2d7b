"""The embedded cloud as a process of its own: ``python -m glmdeploy.local.daemon [GATEWAY_PORT]``.

:func:`serve` puts it together: control plane, gateway, hub, containers, scheduler. Tests run it in a thread of their
own with :func:`in_thread`, where they can also watch every request.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import shlex
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import grpclib.server
from aiohttp import web
from modal_proto import api_pb2

from glmdeploy.errors import LocalCloudError
from glmdeploy.local import hub
from glmdeploy.local.backend import Backend, make_backend
from glmdeploy.local.background import in_background
from glmdeploy.local.cloud import ALREADY_RUNNING, Cloud, announce, announce_end, hold_lock
from glmdeploy.local.containers.process import kill_leftovers
from glmdeploy.local.control.plane import control_plane
from glmdeploy.local.daemon_log import log_to
from glmdeploy.local.gateway import Gateway
from glmdeploy.local.home import Home, default_home, listen, load_credentials, load_proxy_token, url, write_atomically
from glmdeploy.local.redirects import WAIT
from glmdeploy.local.schedule import Scheduler
from glmdeploy.local.state.registry import EPHEMERAL_STATES
from glmdeploy.local.state.store import Store
from glmdeploy.sglang.real.environment import engine_cache

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterator

    from google.protobuf.message import Message

    from glmdeploy.local.control.rpc import Fault


log = logging.getLogger("glmdeploy.local.daemon")

STOP_GRACE = 10.0
"""Seconds that running requests get when the embedded cloud stops, and after them containers for their exit hooks."""

WEB_TIMEOUT_VARIABLE = "GLMDEPLOY_LOCAL_WEB_TIMEOUT"
"""Seconds after which a web function's client is redirected, where Modal's 150 are too many for a rehearsal."""

_BACKLOG = 1024
"""Connections that may wait to be taken: of one more the client hears nothing, and tries again after a second."""

_SCRATCH = "glmdeploy-"

_ABANDONED_AFTER = 75.0
"""Seconds without a heartbeat after which an ephemeral app ends; clients send one every 15."""


@dataclass(frozen=True, kw_only=True)
class Running:
    backend: Backend
    cloud: Cloud


@contextlib.asynccontextmanager
async def serve(
    root: Path,
    *,
    gateway_port: int | None = None,
    observer: Callable[[str, Message], None] | None = None,
    fault: Fault | None = None,
) -> AsyncIterator[Running]:
    """Run an embedded cloud with its home in ``root`` for as long as the block lasts.

    ``observer`` sees every request that was let in: the RPC's name and the message. ``fault`` is awaited with the two
    before the answer: it may wait, for ever too, or raise a GRPCError in its place.

    :raises LocalCloudError: where the state is of a newer version or ``gateway_port`` is taken.
    :raises OSError: where ``root`` is unusable.
    """
    home = Home(root=root)
    home.create()
    _clear(home)
    credentials = load_credentials(home.credentials)
    async with contextlib.AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_SCRATCH)))
        home.scratch.symlink_to(scratch)
        stack.callback(home.scratch.unlink)
        gateway, control, hub_listener, notes = listen(home.settings, gateway_port)
        for listener in (gateway, control, hub_listener):
            stack.callback(listener.close)
        store = Store(home.database)
        stack.callback(store.close)
        backend = make_backend(
            home,
            store,
            scratch=scratch,
            gateway_url=url(gateway),
            server_url=url(control),
            hub_url=url(hub_listener),
            proxy_token=load_proxy_token(home),
            web_timeout=_web_timeout(),
        )
        backend.ledger.forget()
        stack.callback(backend.traffic.write)

        server = grpclib.server.Server([control_plane(backend, credentials, observer=observer, fault=fault)])
        await server.start(sock=control)
        stack.push_async_callback(_close_server, server)
        await _serve_http(stack, hub.application(home.hub), hub_listener, grace=1.0)
        stack.push_async_callback(backend.worker.close, STOP_GRACE)
        # Streams first: until they are done, or their time is up, their containers are left alone.
        await _serve_http(stack, Gateway(backend).application(), gateway, grace=STOP_GRACE, passes_on=True)
        stack.callback(backend.worker.refuse, "the embedded cloud is stopping")
        _resume(backend)
        for background in (Scheduler(backend).run(), _look_after(backend), backend.traffic.run()):
            task = asyncio.get_running_loop().create_task(background)
            stack.callback(task.cancel)
        yield Running(
            backend=backend,
            cloud=Cloud(
                pid=os.getpid(),
                home=root,
                engines=engine_cache(),
                server_url=url(control),
                gateway_url=url(gateway),
                hub_url=url(hub_listener),
                token_id=credentials.token_id,
                token_secret=credentials.token_secret,
                started_at=time.time(),
                notes=notes,
            ),
        )


@contextlib.contextmanager
def in_thread(
    root: Path, *, observer: Callable[[str, Message], None] | None = None, fault: Fault | None = None
) -> Iterator[Running]:
    """:func:`serve` in a thread of its own, for tests. What it raises at start is raised here."""
    with in_background(lambda: serve(root, observer=observer, fault=fault)) as running:
        yield running


def _web_timeout() -> float:
    """:raises LocalCloudError: for what is no number of seconds."""
    given = os.environ.get(WEB_TIMEOUT_VARIABLE, "")
    try:
        seconds = float(given or WAIT)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < inf:
        raise LocalCloudError(f"{WEB_TIMEOUT_VARIABLE} must be a number of seconds, and not {given!r}")
    return seconds


def _clear(home: Home) -> None:
    """Remove what an earlier daemon had no time to remove, and say which Python containers use."""
    kill_leftovers(home.containers)
    leftovers = [home.containers, home.blobs]
    if home.scratch.is_symlink():
        if home.scratch.readlink().name.startswith(_SCRATCH):
            leftovers.append(home.scratch.readlink())
        home.scratch.unlink()
    for directory in leftovers:
        # Containers of a daemon that was killed may still be writing: what stays is removed the next time.
        shutil.rmtree(directory, ignore_errors=True)
    home.create()
    for name in ("python", "python3"):
        # A script and not a link: through a link Python would not find the virtual environment that it is in.
        script = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n'
        write_atomically(home.bin / name, script.encode(), mode=0o700)


async def _serve_http(
    stack: contextlib.AsyncExitStack,
    application: web.Application,
    listener: socket.socket,
    *,
    grace: float,
    passes_on: bool = False,
) -> None:
    """Until the stack is closed; requests that are running then have ``grace`` seconds more.

    With ``passes_on`` bodies stay as they come, for they go on with their Content-Encoding.
    """
    # A client that hangs up cancels its request, and with that what it has asked of a container.
    runner = web.AppRunner(
        application,
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=grace,
        auto_decompress=not passes_on,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, listener, backlog=_BACKLOG).start()


async def _close_server(server: grpclib.server.Server) -> None:
    server.close()
    await server.wait_closed()


def _resume(backend: Backend) -> None:
    """After a restart: apps that lived as long as their client have lost it, deployed ones go on."""
    for app in backend.registry.live_apps():
        if app.state in EPHEMERAL_STATES:
            backend.stop_app(app)
        else:
            backend.worker.refresh(app)


async def _look_after(backend: Backend) -> None:
    """End ephemeral apps whose client is gone, and write down what runs."""
    while True:
        await asyncio.sleep(_ABANDONED_AFTER / 5)
        backend.worker.tick()
        for app in backend.registry.live_apps():
            silence = time.monotonic() - backend.heartbeats.get(app.id, 0.0)
            if app.state == api_pb2.APP_STATE_EPHEMERAL and silence > _ABANDONED_AFTER:
                log.info("app %s has lost its client", app.id)
                backend.stop_app(app)


async def _run(home: Home, port: int | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serve(home.root, gateway_port=port) as running:
        announce(running.cloud)
        # What is there now stays. A collection that looks at all of it holds every stream up: 74 ms on two busy cores.
        gc.freeze()
        log.info("ready: %s", running.cloud)
        await stop.wait()
        announce_end(home)
        log.info("stopping")


def main(arguments: list[str]) -> int:
    # For whatever it writes, and for what its containers write.
    os.umask(0o077)
    home = Home(root=default_home())
    home.create()
    if not hold_lock(home):
        print(f"another daemon is running in {home.root}", file=sys.stderr)
        return ALREADY_RUNNING
    log_to(home.daemon_log)
    home.state.unlink(missing_ok=True)
    try:
        asyncio.run(_run(home, int(arguments[0]) if arguments else None))
    except LocalCloudError as fault:
        print(fault.message, *filter(None, [fault.advice]), sep="\n", file=sys.stderr)
        return 1
    except (OSError, sqlite3.Error, ValueError) as fault:
        log.debug("the start failed", exc_info=True)
        print(f"{home.root} cannot be used: {fault}", file=sys.stderr)
        return 1
    finally:
        home.state.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
