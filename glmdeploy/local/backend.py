"""What the control plane, the gateway and the scheduler have in common."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modal_proto import api_pb2

if TYPE_CHECKING:
    from glmdeploy.local.containers.worker import Worker
    from glmdeploy.local.home import Credentials, Home
    from glmdeploy.local.state.calls import Calls
    from glmdeploy.local.state.files import FileStore, Links
    from glmdeploy.local.state.ledger import Ledger
    from glmdeploy.local.state.logbook import LogBook
    from glmdeploy.local.state.registry import Registry
    from glmdeploy.local.state.store import App, Store
    from glmdeploy.local.subscription import Subscription


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
