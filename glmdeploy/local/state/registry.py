"""What is deployed: which definition of which function is live, and the handles that clients get for it."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.local.state.store import App, Autoscaler, Definition, Deployment, Function, Label, new_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.local.state.store import Store

EPHEMERAL_STATES = frozenset(
    {
        api_pb2.APP_STATE_EPHEMERAL,
        api_pb2.APP_STATE_DETACHED,
        api_pb2.APP_STATE_DETACHED_DISCONNECTED,
    }
)
LIVE_STATES = EPHEMERAL_STATES | {api_pb2.APP_STATE_DEPLOYED}


_ID_LENGTH = len(new_id("fu"))
PINNED = "v"
"""Between a function's id and a version's number, in the handle of what one version of its app defined."""


@dataclass(frozen=True, kw_only=True)
class LiveFunction:
    """A function as a publication of its app defined it: the last one, or one that was asked for by its number.

    ``version`` is that publication's; ``data`` holds at least one ranked function.
    """

    id: str
    tag: str
    app: App
    version: int
    definition_id: str
    data: api_pb2.FunctionData

    @property
    def proto(self) -> api_pb2.Function:
        """Of the first choice of GPU, where there are several: there is none here anyway."""
        return self.data.ranked_functions[0].function

    @property
    def gpu(self) -> api_pb2.GPUConfig:
        """What it asks for first; of a count of 0 for none."""
        asked = [ranked.function.resources.gpu_config for ranked in self.data.ranked_functions]
        return next((gpu for gpu in asked if gpu.count), api_pb2.GPUConfig())

    @property
    def pinned(self) -> bool:
        """Whether it is one version's, whatever is live: it is called, and nothing else happens to it."""
        return PINNED in self.id[_ID_LENGTH:]


@dataclass(frozen=True, kw_only=True)
class Door:
    """What stands behind a web URL: a web function, or a Server. ``port`` is where its code says that it listens."""

    live: LiveFunction
    port: int
    is_server: bool
    proxy_auth: bool
    """Whether a request needs a proxy token of the workspace."""


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What one AppPublish makes live; ``kind`` is a number of Modal's DeploymentType.

    ``app_tags`` says what becomes of the app's tags: None leaves them.
    """

    name: str
    state: int
    client_version: str
    tag: str
    commit_info: bytes
    tags: dict[str, str]
    function_ids: dict[str, str]
    class_ids: dict[str, str]
    definition_ids: dict[str, str]
    kind: int
    app_tags: dict[str, str] | None = None
    rollback_version: int = 0


class Registry:
    def __init__(self, store: Store) -> None:
        self._store = store
        self.gateway_url = ""
        self._doors: dict[str, Door] = {}
        self._doors_at = 0

    def app(self, app_id: str) -> App | None:
        return self._store.apps.get(id=app_id)

    def deployed(self, name: str, environment: str) -> App | None:
        return self._store.apps.get(name=name, environment=environment, state=api_pb2.APP_STATE_DEPLOYED)

    def live_apps(self) -> list[App]:
        return [app for app in self._store.apps.all() if app.state in LIVE_STATES]

    def change(self, app: App, **changes: object) -> App:
        changed = replace(app, **changes)  # type: ignore[arg-type]
        self._store.apps.put(changed)
        return changed

    def deployment(self, app: App, version: int = 0) -> Deployment | None:
        """What is live of an app that is not stopped, or what was with ``version``."""
        return self._store.deployments.get(app_id=app.id, version=version or app.version)

    def changes_nothing(self, app: App, publication: Publication) -> bool:
        """Whether all that a standard deployment brings is live already.

        Definitions are compared by what they say, for each deployment gives them new ids. A tag that is another one is
        a change, for it would be lost; no tag is none.
        """
        live = self.deployment(app)
        if live is None or app.state != api_pb2.APP_STATE_DEPLOYED:
            return False
        same = (
            publication.kind == api_pb2.DEPLOYMENT_TYPE_STANDARD
            and publication.state == app.state
            and publication.name in {"", app.name}
            and publication.tag in {"", live.tag}
            and publication.app_tags in (None, app.tags)
            and publication.function_ids == live.function_ids
            and publication.class_ids == live.class_ids
            and publication.definition_ids.keys() == live.definition_ids.keys()
        )
        return same and all(
            self._content(definition_id) == self._content(live.definition_ids[function_id])
            for function_id, definition_id in publication.definition_ids.items()
        )

    def publish(self, app: App, publication: Publication) -> tuple[App, App | None]:
        """Make a publication live, all of it or (where this raises) nothing.

        The app that had the name before, if it was another one, is stopped by this and comes second.
        """
        replaced = None
        now = time.time()
        with self._store.transaction():
            if publication.state == api_pb2.APP_STATE_DEPLOYED:
                other = self.deployed(publication.name, app.environment)
                if other is not None and other.id != app.id:
                    replaced = self.change(other, state=api_pb2.APP_STATE_STOPPED, stopped_at=now)
            app = self.change(
                app,
                name=publication.name or app.name,
                state=publication.state or app.state,
                tags=app.tags if publication.app_tags is None else publication.app_tags,
                version=app.version + 1,
                deployed_at=now,
                stopped_at=0.0,
            )
            self._store.deployments.insert(
                Deployment(
                    app_id=app.id,
                    version=app.version,
                    deployed_at=now,
                    client_version=publication.client_version,
                    tag=publication.tag,
                    commit_info=publication.commit_info,
                    tags=publication.tags,
                    function_ids=publication.function_ids,
                    class_ids=publication.class_ids,
                    definition_ids=publication.definition_ids,
                    rollback_version=publication.rollback_version,
                    kind=publication.kind,
                )
            )
            for function_id in publication.function_ids.values():
                self._store.autoscalers.delete(function_id=function_id)
        return app, replaced

    def functions(self, app: App, version: int = 0) -> list[LiveFunction]:
        """Live functions, or those pinned to a version; none for an app that is not live."""
        deployment = self.deployment(app, version) if app.state in LIVE_STATES else None
        if deployment is None:
            return []
        pin = f"{PINNED}{version}" if version else ""
        found = [self._live(app, deployment, tag, id_, pin) for tag, id_ in deployment.function_ids.items()]
        return [live for live in found if live is not None]

    def function(self, function_id: str) -> LiveFunction | None:
        """By the id in a client's handle."""
        record = self._store.functions.get(id=function_id[:_ID_LENGTH])
        app = self.app(record.app_id) if record else None
        number = function_id[_ID_LENGTH:].removeprefix(PINNED)
        if app is None or not ((number.isascii() and number.isdecimal()) or not number):
            return None
        version = min(int(number or 0), app.version)  # no more than a number of SQLite's
        return next((live for live in self.functions(app, version) if live.id == function_id), None)

    def function_by_tag(self, app: App, tag: str, version: int = 0) -> LiveFunction | None:
        return next((live for live in self.functions(app, version) if live.tag == tag), None)

    def function_id(self, app_id: str, tag: str, existing_id: str) -> str:
        """The identity of a function of an app: it stays the same over all of the app's versions."""
        known = self._store.functions.get(app_id=app_id, tag=tag)
        if known is None:
            known = self._store.functions.get(id=existing_id) if existing_id else None
        if known is None:
            known = Function(id=new_id("fu"), app_id=app_id, tag=tag)
            self._store.functions.insert(known)
        return known.id

    def define(self, function_id: str, data: api_pb2.FunctionData) -> str:
        """Store a definition, which is not live yet; its id."""
        definition = Definition(
            id=new_id("de"), function_id=function_id, data=data.SerializeToString(), created_at=time.time()
        )
        self._store.definitions.insert(definition)
        return definition.id

    def autoscaler(self, function_id: str) -> api_pb2.AutoscalerSettings:
        """What update_autoscaler set since the last publication."""
        record = self._store.autoscalers.get(function_id=function_id)
        return api_pb2.AutoscalerSettings.FromString(record.settings if record else b"")

    def autoscaler_set_at(self, function_id: str) -> dict[str, float]:
        """When each of its fields was set."""
        record = self._store.autoscalers.get(function_id=function_id)
        return record.set_at if record else {}

    def set_autoscaler(self, function_id: str, changes: api_pb2.AutoscalerSettings) -> None:
        settings = self.autoscaler(function_id)
        settings.MergeFrom(changes)
        set_at = self.autoscaler_set_at(function_id) | {field.name: time.time() for field, _ in changes.ListFields()}
        self._store.autoscalers.put(
            Autoscaler(function_id=function_id, settings=settings.SerializeToString(), set_at=set_at)
        )

    def web_url(self, app: App, tag: str, method: str, webhook: api_pb2.WebhookConfig) -> str:
        """The address of a web function: the same for one app's name, function, method and label."""
        if webhook.type == api_pb2.WEBHOOK_TYPE_UNSPECIFIED:
            return ""
        return self._url(app, tag, method, webhook)

    def server_url(self, app: App, tag: str) -> str:
        """The address of a Server: the same for one app's name and the Server's."""
        return self._url(app, tag, "", api_pb2.WebhookConfig())

    def _url(self, app: App, tag: str, method: str, webhook: api_pb2.WebhookConfig) -> str:
        ephemeral = app.state in EPHEMERAL_STATES
        asked = [webhook.requested_suffix] if webhook.requested_suffix else []
        owner = json.dumps([app.environment, app.id if ephemeral else app.name, tag, method, *asked])
        known = self._store.labels.get(owner=owner)
        if known is None:
            words = asked or [app.name, tag.removesuffix(".*"), method]
            label = re.sub(r"[^a-z0-9]+", "-", "-".join(filter(None, words)).lower()).strip("-")
            label = label or "web"
            if app.environment != "main":
                label = f"{app.environment}-{label}"
            if ephemeral:
                label += "-dev"
            taken, number = label, 1
            while self._store.labels.get(label=label):
                number += 1
                label = f"{taken}-{number}"
            known = Label(label=label, owner=owner)
            self._store.labels.insert(known)
        return f"{self.gateway_url}/{known.label}"

    def set_web_urls(self, app: App, data: api_pb2.FunctionData) -> None:
        """They are not stored with a definition: the gateway's port may change."""
        tag = data.ranked_functions[0].function.function_name
        functions: list[api_pb2.Function] = [ranked.function for ranked in data.ranked_functions]
        data.web_url = self.web_url(app, tag, "", data.webhook_config)
        for function in functions:
            function.web_url = data.web_url
            del function.flash_service_urls[:]
        del data.flash_service_urls[:]
        if functions[0].is_server:
            data.flash_service_urls.append(self.server_url(app, tag))
        for definitions in (data.method_definitions, *(each.method_definitions for each in functions)):
            for name, method in definitions.items():
                method.web_url = self.web_url(app, tag, name, method.webhook_config)

    def door(self, label: str) -> Door | None:
        """Whose web URL begins with ``label``, where that is live. Each request asks: what is found is remembered."""
        if self._doors_at != self._store.changes:
            self._doors, self._doors_at = {}, self._store.changes
        found = self._doors.get(label) or self._door(label)
        if found is not None:
            self._doors[label] = found
        return found

    def _door(self, label: str) -> Door | None:
        record = self._store.labels.get(label=label)
        if record is None:
            return None
        environment, name, tag, method, *_ = json.loads(record.owner)
        app = self.app(name) if name.startswith("ap-") else None
        app = app or self.deployed(name, environment)
        live = self.function_by_tag(app, tag) if app else None
        if live is None:
            return None
        if live.proto.is_server:
            config = live.proto.http_config
            return Door(live=live, port=config.port, is_server=True, proxy_auth=not config.unauthenticated)
        methods: Mapping[str, api_pb2.MethodDefinition] = live.proto.method_definitions
        webhook = methods[method].webhook_config if method in methods else live.proto.webhook_config
        if not webhook.type:
            return None
        return Door(live=live, port=webhook.web_server_port, is_server=False, proxy_auth=webhook.requires_proxy_auth)

    def metadata(
        self, app: App, function_id: str, definition_id: str, proto: api_pb2.Function
    ) -> api_pb2.FunctionHandleMetadata:
        """What a client needs to call a function, or the methods of a class."""

        def handle(method: str, source: api_pb2.Function | api_pb2.MethodDefinition) -> api_pb2.FunctionHandleMetadata:
            return api_pb2.FunctionHandleMetadata(
                app_id=app.id,
                function_name=source.function_name,
                function_type=source.function_type,
                is_method=bool(method),
                use_method_name=method,
                web_url=self.web_url(app, proto.function_name, method, source.webhook_config),
                definition_id=definition_id,
                class_parameter_info=proto.class_parameter_info,
                function_schema=source.function_schema,
                supported_input_formats=source.supported_input_formats,
                supported_output_formats=source.supported_output_formats,
            )

        metadata = handle("", proto)
        if proto.is_server:
            metadata._experimental_flash_urls.append(self.server_url(app, proto.function_name))
        for name, method in proto.method_definitions.items():
            metadata.method_handle_metadata[name].CopyFrom(handle(name, method))
        return metadata

    def live_metadata(self, live: LiveFunction) -> api_pb2.FunctionHandleMetadata:
        return self.metadata(live.app, live.id, live.definition_id, live.proto)

    def layout(self, app: App, version: int = 0) -> api_pb2.AppLayout:
        """All functions and classes of a live app, with their handles, or those pinned to a version."""
        deployment = self.deployment(app, version)
        layout = api_pb2.AppLayout()
        if deployment is None:
            return layout
        layout.function_ids.update(deployment.function_ids)
        layout.class_ids.update(deployment.class_ids)
        for live in self.functions(app, version):
            layout.function_ids[live.tag] = live.id
            layout.objects.add(object_id=live.id, function_handle_metadata=self.live_metadata(live))
        for class_id in deployment.class_ids.values():
            layout.objects.add(object_id=class_id, class_handle_metadata=api_pb2.ClassHandleMetadata())
        return layout

    def _live(self, app: App, deployment: Deployment, tag: str, function_id: str, pin: str) -> LiveFunction | None:
        data = self._data(deployment.definition_ids.get(function_id, ""))
        if data is None:
            return None
        self.set_web_urls(app, data)
        return LiveFunction(
            id=function_id + pin,
            tag=tag,
            app=app,
            version=deployment.version,
            definition_id=deployment.definition_ids[function_id],
            data=data,
        )

    def _content(self, definition_id: str) -> api_pb2.FunctionData | None:
        """What a definition says, its mounts in order: the SDK sends them in any (modal 1.6.4)."""
        data = self._data(definition_id)
        if data is None:
            return None
        for function in [each.function for each in data.ranked_functions]:
            mounts, objects = (
                sorted(function.mount_ids),
                sorted(function.object_dependencies, key=lambda it: it.object_id),
            )
            del function.mount_ids[:], function.object_dependencies[:]
            function.mount_ids.extend(mounts)
            function.object_dependencies.extend(objects)
        return data

    def _data(self, definition_id: str) -> api_pb2.FunctionData | None:
        definition = self._store.definitions.get(id=definition_id)
        return None if definition is None else api_pb2.FunctionData.FromString(definition.data)
