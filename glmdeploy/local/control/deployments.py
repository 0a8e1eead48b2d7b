"""What is live of an app: publications, ways back, fresh containers, and the history of all of them.

What Modal documents and what is assumed here where it does not stands in docs/embedded-cloud.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.local.control.apps import OWNER, app_of, page_of
from glmdeploy.local.control.rpc import conflict, invalid, not_found, unsupported
from glmdeploy.local.state.registry import Publication

if TYPE_CHECKING:
    from glmdeploy.local.backend import Backend
    from glmdeploy.local.control.rpc import Caller
    from glmdeploy.local.state.store import App, Deployment


class Deployments:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._registry = backend.registry

    async def app_publish(self, request: api_pb2.AppPublishRequest, caller: Caller) -> api_pb2.AppPublishResponse:
        """``deployed_at`` is 0 where all of it is live already: nothing happens then (modal 1.6.4, ``runner.py``)."""
        if request.staged or request.deployment_type == api_pb2.DEPLOYMENT_TYPE_STAGED:
            raise unsupported("staged deployments are")
        app = app_of(self._registry, request.app_id)
        if app.state == api_pb2.APP_STATE_STOPPED:
            raise conflict(f"App {app.id} has been stopped")
        missing = set(request.function_ids.values()) - set(request.definition_ids)
        if missing:
            raise invalid(f"no definitions for {', '.join(sorted(missing))}")
        kind = api_pb2.DEPLOYMENT_TYPE_ROLLBACK if request.rollback_version else api_pb2.DEPLOYMENT_TYPE_STANDARD
        tags = dict(request.tags)
        publication = Publication(
            name=request.name,
            state=request.app_state,
            client_version=request.client_version or caller.client_version,
            tag=request.deployment_tag,
            commit_info=request.commit_info.SerializeToString(),
            tags=tags,
            app_tags=tags,
            function_ids=dict(request.function_ids),
            class_ids=dict(request.class_ids),
            definition_ids=dict(request.definition_ids),
            rollback_version=request.rollback_version,
            kind=request.deployment_type or kind,
        )
        if self._registry.changes_nothing(app, publication):
            return api_pb2.AppPublishResponse(url=page_of(self._registry, app))
        app = self._publish(app, publication)
        return api_pb2.AppPublishResponse(url=page_of(self._registry, app), deployed_at=app.deployed_at)

    async def app_rollback(self, request: api_pb2.AppRollbackRequest, caller: Caller) -> api_pb2.AppRollbackResponse:
        """The tags of the app stay as they are."""
        app = self._deployed(request.app_id)
        version = request.version if request.version > 0 else app.version + request.version
        old = self._deployment(app, version)
        if not self._backend.subscription.paid:
            raise conflict("rolling back is not part of this workspace's plan: upgrade to Team")
        kind = api_pb2.DEPLOYMENT_TYPE_ROLLBACK
        app = self._republish(app, old, caller, kind=kind, rollback_version=version)
        return api_pb2.AppRollbackResponse(url=page_of(self._registry, app), deployed_at=app.deployed_at)

    async def app_rollover(self, request: api_pb2.AppRolloverRequest, caller: Caller) -> api_pb2.AppRolloverResponse:
        app = self._deployed(request.app_id)
        live = self._deployment(app, app.version)
        kind = api_pb2.DEPLOYMENT_TYPE_ROLLOVER
        app = self._republish(app, live, caller, kind=kind, rollback_version=live.rollback_version)
        return api_pb2.AppRolloverResponse(url=page_of(self._registry, app), deployed_at=app.deployed_at)

    async def app_deployment_history(
        self, request: api_pb2.AppDeploymentHistoryRequest, caller: Caller
    ) -> api_pb2.AppDeploymentHistoryResponse:
        app = app_of(self._registry, request.app_id)
        deployments = self._backend.store.deployments.all(app_id=app.id)
        paid = self._backend.subscription.paid
        return api_pb2.AppDeploymentHistoryResponse(
            app_deployment_histories=[_history(deployment, paid) for deployment in reversed(deployments)],
            production_app_version=app.version,
        )

    def _deployed(self, app_id: str) -> App:
        app = app_of(self._registry, app_id)
        if app.state != api_pb2.APP_STATE_DEPLOYED:
            raise conflict(f"App {app_id} is not deployed")
        return app

    def _deployment(self, app: App, version: int) -> Deployment:
        deployment = self._registry.deployment(app, version) if version > 0 else None
        if deployment is None:
            raise not_found(f"App {app.id} has no version {version}")
        return deployment

    def _publish(self, app: App, publication: Publication) -> App:
        app, replaced = self._registry.publish(app, publication)
        if replaced is not None:
            self._backend.worker.stop(replaced)
        self._backend.worker.refresh(app)
        return app

    def _republish(self, app: App, old: Deployment, caller: Caller, *, kind: int, rollback_version: int) -> App:
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
            kind=kind,
        )
        return self._publish(app, publication)


def _history(deployment: Deployment, paid: bool) -> api_pb2.AppDeploymentHistory:
    # A store that an older glmdeploy wrote does not know the kind.
    kind = api_pb2.DEPLOYMENT_TYPE_ROLLBACK if deployment.rollback_version else api_pb2.DEPLOYMENT_TYPE_STANDARD
    history = api_pb2.AppDeploymentHistory(
        app_id=deployment.app_id,
        version=deployment.version,
        client_version=deployment.client_version,
        deployed_at=deployment.deployed_at,
        deployed_by=OWNER,
        tag=deployment.tag,
        rollback_version=deployment.rollback_version,
        rollback_allowed=paid,
        deployment_type=deployment.kind or kind,  # type: ignore[arg-type]
    )
    if deployment.commit_info:
        history.commit_info.ParseFromString(deployment.commit_info)
    return history
