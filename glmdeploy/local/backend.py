"""What the control plane, the gateway and the scheduler have in common."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.local.containers.launch import Endpoints, Planner
from glmdeploy.local.containers.quota import Quota
from glmdeploy.local.containers.worker import Worker
from glmdeploy.local.state.calls import Calls
from glmdeploy.local.state.files import FileStore, Links
from glmdeploy.local.state.ledger import Ledger
from glmdeploy.local.state.logbook import LogBook
from glmdeploy.local.state.registry import Registry
from glmdeploy.local.state.traffic import Traffic
from glmdeploy.local.subscription import Subscription, subscription
from glmdeploy.sglang.real.environment import engine_cache

if TYPE_CHECKING:
    from pathlib import Path

    from glmdeploy.local.home import Credentials, Home
    from glmdeploy.local.state.store import App, Store


@dataclass(frozen=True, kw_only=True)
class Backend:
    home: Home
    store: Store
    files: FileStore
    links: Links
    logs: LogBook
    registry: Registry
    calls: Calls
    worker: Worker
    ledger: Ledger
    traffic: Traffic
    proxy_token: Credentials
    """What Modal's proxy asks for, of the whole workspace."""
    web_timeout: float
    """Seconds that a request to a web function waits for its answer before it is redirected."""
    subscription: Subscription
    heartbeats: dict[str, float] = field(default_factory=dict)
    """When the client of an ephemeral app was last heard of, by app id; seconds of the monotonic clock."""

    def stop_app(self, app: App) -> None:
        """Its containers end and its calls with them; nothing happens to an app that is stopped already."""
        if app.state != api_pb2.APP_STATE_STOPPED:
            app = self.registry.change(app, state=api_pb2.APP_STATE_STOPPED, stopped_at=time.time())
            self.logs.append(app.id, "the app was stopped", source=api_pb2.FILE_DESCRIPTOR_INFO)
            self.worker.stop(app)


def make_backend(
    home: Home,
    store: Store,
    *,
    scratch: Path,
    gateway_url: str,
    server_url: str,
    hub_url: str,
    proxy_token: Credentials,
    web_timeout: float,
) -> Backend:
    """:raises LocalCloudError: for a subscription that there is not."""
    files, links, logs, registry = FileStore(home.files), Links(), LogBook(home.logs), Registry(store)
    registry.gateway_url = gateway_url
    links.base_url = f"{gateway_url}/_files"
    planner = Planner(
        store=store,
        home=home,
        scratch=scratch,
        endpoints=Endpoints(server_url=server_url, hub_url=hub_url),
        engines=engine_cache(),
    )
    terms, ledger = subscription(), Ledger(store)
    worker = Worker(
        registry=registry, planner=planner, files=files, logs=logs, ledger=ledger, quota=Quota(terms.max_gpus)
    )
    traffic = Traffic(store, worker.loads)
    return Backend(
        home=home,
        store=store,
        files=files,
        links=links,
        logs=logs,
        registry=registry,
        calls=Calls(traffic.input_ended),
        worker=worker,
        ledger=ledger,
        traffic=traffic,
        proxy_token=proxy_token,
        web_timeout=web_timeout,
        subscription=terms,
    )
