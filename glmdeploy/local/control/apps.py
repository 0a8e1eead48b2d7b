"""Apps: creation, publication, history, tags, the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from glmdeploy.local.control.rpc import conflict, invalid, not_found, unsupported
from glmdeploy.local.state.registry import Publication
from glmdeploy.local.state.store import App, new_id

if TYPE_CHECKING:
    from glmdeploy.local.backend import Backend
    from glmdeploy.local.containers.member import Member
    from glmdeploy.local.control.rpc import Caller
    from glmdeploy.local.state.store import Deployment

OWNER = "you"
"""Who made what, where Modal names a user."""


def environment_name(requested: str) -> str:
    return requested or "main"


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

    async def app_publish(self, request: api_pb2.AppPublishRequest, caller: Caller) -> api_pb2.AppPublishResponse:
        if request.staged:
            raise unsupported("staged deployments are")
        app = self._app(request.app_id)
        if app.state == api_pb2.APP_STATE_STOPPED:
            raise conflict(f"App {app.id} has been stopped")
        missing = set(request.function_ids.values()) - set(request.definition_ids)
        if missing:
            raise invalid(f"no definitions for {', '.join(sorted(missing))}")
        app = self._publish(
            app,
            Publication(
                name=request.name,
                state=request.app_state,
                client_version=request.client_version or caller.client_version,
                tag=request.deployment_tag,
                commit_info=request.commit_info.SerializeToString(),
                tags=dict(request.tags),
                function_ids=dict(request.function_ids),
                class_ids=dict(request.class_ids),
                definition_ids=dict(request.definition_ids),
            ),
        )
        return api_pb2.AppPublishResponse(url=self._page(app), deployed_at=app.deployed_at)

    async def app_rollback(self, request: api_pb2.AppRollbackRequest, caller: Caller) -> api_pb2.AppRollbackResponse:
        app = self._deployed(request.app_id)
        version = request.version if request.version > 0 else app.version + request.version
        app = self._republish(app, version, caller, rollback_version=version)
        return api_pb2.AppRollbackResponse(url=self._page(app), deployed_at=app.deployed_at)

    async def app_rollover(self, request: api_pb2.AppRolloverRequest, caller: Caller) -> api_pb2.AppRolloverResponse:
        app = self._deployed(request.app_id)
        app = self._republish(app, app.version, caller)
        # The definitions are the same ones: the pools cannot tell that these containers are outdated.
        for member in self._members(app):
            member.drain()
        self._backend.worker.refresh(app)
        return api_pb2.AppRolloverResponse(url=self._page(app), deployed_at=app.deployed_at)

    async def app_deployment_history(
        self, request: api_pb2.AppDeploymentHistoryRequest, caller: Caller
    ) -> api_pb2.AppDeploymentHistoryResponse:
        app = self._app(request.app_id)
        deployments = self._backend.store.deployments.all(app_id=app.id)
        return api_pb2.AppDeploymentHistoryResponse(
            app_deployment_histories=[_history(deployment) for deployment in reversed(deployments)],
            production_app_version=app.version,
        )

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
                    n_running_tasks=len(self._members(app)),
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

    async def task_list(self, request: api_pb2.TaskListRequest, caller: Caller) -> api_pb2.TaskListResponse:
        apps = [self._app(request.app_id)] if request.app_id else self._registry.live_apps()
        if request.environment_name and not request.app_id:
            apps = [app for app in apps if app.environment == request.environment_name]
        return api_pb2.TaskListResponse(
            tasks=[
                api_pb2.TaskStats(
                    task_id=member.task_id,
                    app_id=app.id,
                    app_description=app.name,
                    started_at=member.started_at,
                    enqueued_at=member.started_at,
                )
                for app in apps
                for member in self._members(app)
            ]
        )

    async def task_get_info(self, request: api_pb2.TaskGetInfoRequest, caller: Caller) -> api_pb2.TaskGetInfoResponse:
        """Of a container that runs, or has ended since the embedded cloud started."""
        began = self._backend.worker.began.get(request.task_id)
        if began is None:
            raise not_found(f"Container {request.task_id} not found")
        app_id, at = began
        return api_pb2.TaskGetInfoResponse(
            app_id=app_id, info=api_pb2.TaskInfo(id=request.task_id, started_at=at, enqueued_at=at)
        )

    def _app(self, app_id: str) -> App:
        app = self._registry.app(app_id)
        if app is None:
            raise not_found(f"App {app_id} not found")
        return app

    def _deployed(self, app_id: str) -> App:
        app = self._app(app_id)
        if app.state != api_pb2.APP_STATE_DEPLOYED:
            raise conflict(f"App {app_id} is not deployed")
        return app

    def _publish(self, app: App, publication: Publication) -> App:
        app, replaced = self._registry.publish(app, publication)
        if replaced is not None:
            self._backend.worker.stop(replaced)
        self._backend.worker.refresh(app)
        return app

    def _republish(self, app: App, version: int, caller: Caller, *, rollback_version: int = 0) -> App:
        old = self._backend.store.deployments.get(app_id=app.id, version=version)
        if old is None:
            raise not_found(f"App {app.id} has no version {version}")
        publication = Publication(
            name=app.name,
            state=app.state,
            client_version=caller.client_version,
            tag="",
            commit_info=old.commit_info,
            tags=old.tags,
            function_ids=old.function_ids,
            class_ids=old.class_ids,
            definition_ids=old.definition_ids,
            rollback_version=rollback_version,
        )
        return self._publish(app, publication)

    def _members(self, app: App) -> list[Member]:
        return [member for member in self._backend.worker.members.values() if member.app_id == app.id]

    def _page(self, app: App) -> str:
        return f"{self._registry.gateway_url}/_apps/{app.id}"

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


def _history(deployment: Deployment) -> api_pb2.AppDeploymentHistory:
    history = api_pb2.AppDeploymentHistory(
        app_id=deployment.app_id,
        version=deployment.version,
        client_version=deployment.client_version,
        deployed_at=deployment.deployed_at,
        deployed_by=OWNER,
        tag=deployment.tag,
        rollback_version=deployment.rollback_version,
        rollback_allowed=True,
    )
    if deployment.commit_info:
        history.commit_info.ParseFromString(deployment.commit_info)
    return history
