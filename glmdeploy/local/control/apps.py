"""Apps: creation, lookup, tags, the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from glmdeploy.local.control.rpc import not_found
from glmdeploy.local.state.store import App, new_id

if TYPE_CHECKING:
    from glmdeploy.local.backend import Backend
    from glmdeploy.local.control.rpc import Caller
    from glmdeploy.local.state.registry import Registry

OWNER = "you"
"""Who made what, where Modal names a user."""


def environment_name(requested: str) -> str:
    return requested or "main"


def app_of(registry: Registry, app_id: str) -> App:
    """:raises GRPCError: where there is none."""
    app = registry.app(app_id)
    if app is None:
        raise not_found(f"App {app_id} not found")
    return app


def page_of(registry: Registry, app: App) -> str:
    """Where a browser finds an app."""
    return f"{registry.gateway_url}/_apps/{app.id}"


class Apps:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._registry = backend.registry

    async def app_create(self, request: api_pb2.AppCreateRequest, caller: Caller) -> api_pb2.AppCreateResponse:
        app = App(
            id=new_id("ap"),
            name=request.description,
            environment=environment_name(request.environment_name),
            state=request.app_state or api_pb2.APP_STATE_INITIALIZING,
            created_at=time.time(),
            tags=dict(request.tags),
        )
        self._backend.store.apps.insert(app)
        self._backend.heartbeats[app.id] = time.monotonic()
        return api_pb2.AppCreateResponse(app_id=app.id, app_page_url=self._page(app), app_logs_url=self._page(app))

    async def app_get_or_create(
        self, request: api_pb2.AppGetOrCreateRequest, caller: Caller
    ) -> api_pb2.AppGetOrCreateResponse:
        environment = environment_name(request.environment_name)
        app = self._registry.app(request.app_name) or self._registry.deployed(request.app_name, environment)
        if app is None:
            if request.object_creation_type != api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING:
                raise not_found(f"App '{request.app_name}' not found in environment '{environment}'")
            app = App(
                id=new_id("ap"),
                name=request.app_name,
                environment=environment,
                state=api_pb2.APP_STATE_DEPLOYED,
                created_at=time.time(),
            )
            self._backend.store.apps.insert(app)
        return api_pb2.AppGetOrCreateResponse(app_id=app.id, handle_metadata=self._metadata(app))

    async def app_get_by_deployment_name(
        self, request: api_pb2.AppGetByDeploymentNameRequest, caller: Caller
    ) -> api_pb2.AppGetByDeploymentNameResponse:
        environment = environment_name(request.environment_name)
        response = api_pb2.AppGetByDeploymentNameResponse(environment_name=environment)
        app = self._registry.deployed(request.name, environment)
        if app is not None:
            response.app_id = app.id
        else:
            stopped = [
                app
                for app in self._backend.store.apps.all(name=request.name, environment=environment)
                if app.state == api_pb2.APP_STATE_STOPPED and app.deployed_at
            ]
            app = max(stopped, key=lambda each: each.stopped_at, default=None)
            if app is None:
                return response
            response.previous_app_id = app.id
        response.lifecycle.CopyFrom(lifecycle(app))
        return response

    async def app_get_layout(
        self, request: api_pb2.AppGetLayoutRequest, caller: Caller
    ) -> api_pb2.AppGetLayoutResponse:
        return api_pb2.AppGetLayoutResponse(app_layout=self._registry.layout(self._app(request.app_id)))

    async def app_list(self, request: api_pb2.AppListRequest, caller: Caller) -> api_pb2.AppListResponse:
        apps = self._backend.store.apps.all(environment=environment_name(request.environment_name))
        return api_pb2.AppListResponse(
            apps=[
                api_pb2.AppListResponse.AppListItem(
                    app_id=app.id,
                    description=app.name,
                    name=app.name if app.state == api_pb2.APP_STATE_DEPLOYED else "",
                    state=app.state,  # type: ignore[arg-type]
                    created_at=app.created_at,
                    stopped_at=app.stopped_at,
                    n_running_tasks=len(self._backend.worker.of_app(app)),
                    metadata=self._metadata(app),
                )
                for app in apps
            ]
        )

    async def app_get_lifecycle(
        self, request: api_pb2.AppGetLifecycleRequest, caller: Caller
    ) -> api_pb2.AppGetLifecycleResponse:
        return api_pb2.AppGetLifecycleResponse(lifecycle=lifecycle(self._app(request.app_id)))

    async def app_get_info(self, request: api_pb2.AppGetInfoRequest, caller: Caller) -> api_pb2.AppGetInfoResponse:
        return api_pb2.AppGetInfoResponse(info=self._metadata(self._app(request.app_id)))

    async def app_get_tags(self, request: api_pb2.AppGetTagsRequest, caller: Caller) -> api_pb2.AppGetTagsResponse:
        return api_pb2.AppGetTagsResponse(tags=self._app(request.app_id).tags)

    async def app_set_tags(self, request: api_pb2.AppSetTagsRequest, caller: Caller) -> Empty:
        self._registry.change(self._app(request.app_id), tags=dict(request.tags))
        return Empty()

    async def app_heartbeat(self, request: api_pb2.AppHeartbeatRequest, caller: Caller) -> Empty:
        self._backend.heartbeats[self._app(request.app_id).id] = time.monotonic()
        return Empty()

    async def app_stop(self, request: api_pb2.AppStopRequest, caller: Caller) -> Empty:
        self._backend.stop_app(self._app(request.app_id))
        return Empty()

    async def app_client_disconnect(self, request: api_pb2.AppClientDisconnectRequest, caller: Caller) -> Empty:
        app = self._app(request.app_id)
        unfinished = {api_pb2.APP_STATE_INITIALIZING, api_pb2.APP_STATE_EPHEMERAL}
        if app.state in unfinished:
            self._backend.stop_app(app)
        elif app.state == api_pb2.APP_STATE_DETACHED:
            self._registry.change(app, state=api_pb2.APP_STATE_DETACHED_DISCONNECTED)
        return Empty()

    def _app(self, app_id: str) -> App:
        return app_of(self._registry, app_id)

    def _page(self, app: App) -> str:
        return page_of(self._registry, app)

    def _metadata(self, app: App) -> api_pb2.AppHandleMetadata:
        return api_pb2.AppHandleMetadata(
            description=app.name,
            app_id=app.id,
            environment_name=app.environment,
            lifecycle=lifecycle(app),
            functions={live.tag: live.id for live in self._registry.functions(app)},
        )


def lifecycle(app: App) -> api_pb2.AppLifecycle:
    return api_pb2.AppLifecycle(
        app_state=app.state,  # type: ignore[arg-type]
        created_at=app.created_at,
        created_by=OWNER,
        deployed_at=app.deployed_at,
        deployed_by=OWNER if app.deployed_at else "",
        version=app.version,
        stopped_at=app.stopped_at,
        stopped_by=OWNER if app.stopped_at else "",
    )
