"""An embedded cloud that does not run, for who only reads: its state on disk, served by this process, left as it is.

The control plane is the daemon's own, over a copy of the database: what lies in the write-ahead log of a daemon that
was killed is in it, and opening the original would write beside it. Volumes and logs are read where they are.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import grpclib.server
from aiohttp import web
from modal_proto import api_pb2

from glmdeploy.errors import LocalCloudError
from glmdeploy.local.backend import make_backend
from glmdeploy.local.background import in_background
from glmdeploy.local.cloud import Cloud
from glmdeploy.local.control.plane import control_plane
from glmdeploy.local.control.rpc import conflict
from glmdeploy.local.gateway import Gateway
from glmdeploy.local.home import Credentials, Home, default_home, listen_on, saved_ports, url
from glmdeploy.local.redirects import WAIT
from glmdeploy.local.state.store import Store
from glmdeploy.sglang.real.environment import engine_cache

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from google.protobuf.message import Message

READS = frozenset(
    {
        "AppCountLogs",
        "AppDeploymentHistory",
        "AppFetchLogs",
        "AppGetByDeploymentName",
        "AppGetInfo",
        "AppGetLayout",
        "AppGetLifecycle",
        "AppGetLogs",
        "AppGetTags",
        "AppGetTimeRangeStats",
        "AppList",
        "ClassGet",
        "ClientHello",
        "ClusterGet",
        "ClusterList",
        "EnvironmentBillingSummary",
        "EnvironmentList",
        "FunctionGet",
        "FunctionGetById",
        "FunctionGetCurrentStats",
        "FunctionGetMetrics",
        "FunctionGetSchedulingParams",
        "FunctionGetTimeRangeStats",
        "ImageFromId",
        "MetricsGetInfo",
        "SecretGetInfo",
        "SecretList",
        "ServerGetMetrics",
        "ServerGetTimeRangeStats",
        "TaskGetInfo",
        "TaskList",
        "VolumeGetById",
        "VolumeGetFile2",
        "VolumeList",
        "VolumeListFiles",
        "VolumeListFiles2",
        "WorkspaceBillingRates",
        "WorkspaceBillingReport",
        "WorkspaceBillingSummary",
        "WorkspaceNameLookup",
    }
)
"""RPCs that change nothing."""
LOOKUPS = frozenset({"AppGetOrCreate", "EnvironmentGetOrCreate", "SecretGetOrCreate", "VolumeGetOrCreate"})
"""RPCs that change nothing as long as they are not asked to create anything."""

_SETTLES_WITHIN = 1.0
"""Seconds that a request has to end when nobody reads any more."""


@contextlib.contextmanager
def asleep(home: Path | None = None) -> Iterator[Cloud]:
    """The embedded cloud of ``home``, or of the usual one, as it was left; an empty one where there is no home.

    For where no daemon runs there. Nothing in the home is made, changed or touched: what would write, create or start
    anything is refused (FAILED_PRECONDITION). Web URLs are those that it has when it runs; nothing answers there.

    :raises LocalCloudError: where its state cannot be read.
    """
    root = home or default_home()
    with tempfile.TemporaryDirectory(prefix="glmdeploy-asleep-") as scratch:
        try:
            with in_background(lambda: _serve(Home(root=root), Path(scratch))) as cloud:
                yield cloud
        except sqlite3.Error as fault:
            raise LocalCloudError(f"{Home(root=root).database} cannot be read: {fault}") from fault


@contextlib.asynccontextmanager
async def _serve(home: Home, scratch: Path) -> AsyncIterator[Cloud]:
    token = Credentials(token_id=f"ak-{secrets.token_hex(11)}", token_secret=f"as-{secrets.token_hex(24)}")
    async with contextlib.AsyncExitStack() as stack:
        control, downloads = listen_on(0), listen_on(0)
        for listener in (control, downloads):
            stack.callback(listener.close)
        store = Store(_copy(home.database, scratch))
        stack.callback(store.close)
        backend = make_backend(
            home,
            store,
            scratch=scratch,
            gateway_url=f"http://127.0.0.1:{saved_ports(home.settings).get('gateway', 0)}",
            server_url=url(control),
            hub_url="",
            proxy_token=Credentials(token_id="", token_secret=secrets.token_hex(24)),
            web_timeout=WAIT,
        )
        backend.links.base_url = f"{url(downloads)}/_files"
        server = grpclib.server.Server([control_plane(backend, token, observer=None, fault=_refuse_writing)])
        await server.start(sock=control)
        stack.push_async_callback(server.wait_closed)
        stack.callback(server.close)
        runner = web.AppRunner(Gateway(backend).downloads(), access_log=None, shutdown_timeout=_SETTLES_WITHIN)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, downloads).start()
        yield Cloud(
            pid=os.getpid(),
            home=home.root,
            engines=engine_cache(),
            server_url=url(control),
            gateway_url=backend.registry.gateway_url,
            hub_url="",
            token_id=token.token_id,
            token_secret=token.token_secret,
            started_at=time.time(),
        )


def _copy(database: Path, folder: Path) -> Path:
    """The database with its write-ahead log; a path where nothing is yet, where there is none."""
    copied = folder / database.name
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            shutil.copyfile(f"{database}{suffix}", f"{copied}{suffix}")
    return copied


async def _refuse_writing(rpc: str, request: Message) -> None:
    creates = getattr(request, "object_creation_type", api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED)
    if rpc not in READS and not (rpc in LOOKUPS and creates == api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED):
        raise conflict("the embedded cloud does not run: this only reads")
