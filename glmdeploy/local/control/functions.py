"""Functions and classes: definition, lookup, scaling settings."""

from __future__ import annotations

from math import inf
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.cron import CronError
from glmdeploy.local.containers.limits import MOST_CONTAINERS, cluster_size, defaults, limits
from glmdeploy.local.control.apps import OWNER, environment_name
from glmdeploy.local.control.rpc import conflict, invalid, not_found, unsupported
from glmdeploy.local.home import inside
from glmdeploy.local.schedule import Timetable
from glmdeploy.local.state.store import Class, new_id

if TYPE_CHECKING:
    from glmdeploy.local.backend import Backend
    from glmdeploy.local.control.rpc import Caller
    from glmdeploy.local.state.registry import LiveFunction
    from glmdeploy.local.state.store import App

MOST_INPUTS = 1_000_000


class Functions:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._registry = backend.registry

    async def function_precreate(
        self, request: api_pb2.FunctionPrecreateRequest, caller: Caller
    ) -> api_pb2.FunctionPrecreateResponse:
        app = self._app(request.app_id)
        function_id = self._registry.function_id(app.id, request.function_name, request.existing_function_id)
        proto = api_pb2.Function(
            function_name=request.function_name,
            function_type=request.function_type,
            webhook_config=request.webhook_config,
            method_definitions=request.method_definitions,
            function_schema=request.function_schema,
            supported_input_formats=request.supported_input_formats,
            supported_output_formats=request.supported_output_formats,
        )
        metadata = self._registry.metadata(app, function_id, "", proto)
        return api_pb2.FunctionPrecreateResponse(function_id=function_id, handle_metadata=metadata)

    async def function_create(
        self, request: api_pb2.FunctionCreateRequest, caller: Caller
    ) -> api_pb2.FunctionCreateResponse:
        app = self._app(request.app_id)
        data = request.function_data if request.HasField("function_data") else function_data(request.function)
        if not data.ranked_functions:
            raise invalid("a function without a definition")
        for ranked in data.ranked_functions:
            self._check(ranked.function)
        proto = data.ranked_functions[0].function
        function_id = self._registry.function_id(app.id, proto.function_name, request.existing_function_id)
        self._registry.set_web_urls(app, data)
        definition_id = self._registry.define(function_id, data)
        return api_pb2.FunctionCreateResponse(
            function_id=function_id,
            function=data.ranked_functions[0].function,
            function_data=data,
            handle_metadata=self._registry.metadata(app, function_id, definition_id, proto),
        )

    async def function_get(self, request: api_pb2.FunctionGetRequest, caller: Caller) -> api_pb2.FunctionGetResponse:
        app = self._deployed(request.app_name, request.environment_name, request.app_version)
        live = self._registry.function_by_tag(app, request.object_tag, request.app_version)
        if live is None:
            raise not_found(f"App '{app.name}' has no function '{request.object_tag}'")
        return api_pb2.FunctionGetResponse(
            function_id=live.id, handle_metadata=self._registry.live_metadata(live), function=live.data
        )

    async def function_get_by_id(
        self, request: api_pb2.FunctionGetByIdRequest, caller: Caller
    ) -> api_pb2.FunctionGetByIdResponse:
        live = self._live(request.function_id)
        return api_pb2.FunctionGetByIdResponse(function=live.data, handle_metadata=self._registry.live_metadata(live))

    async def class_create(self, request: api_pb2.ClassCreateRequest, caller: Caller) -> api_pb2.ClassCreateResponse:
        known = self._backend.store.classes.get(id=request.existing_class_id, app_id=request.app_id)
        if known is None:
            known = Class(id=new_id("cs"), app_id=self._app(request.app_id).id)
            self._backend.store.classes.insert(known)
        return api_pb2.ClassCreateResponse(class_id=known.id, handle_metadata=api_pb2.ClassHandleMetadata())

    async def class_get(self, request: api_pb2.ClassGetRequest, caller: Caller) -> api_pb2.ClassGetResponse:
        app = self._deployed(request.app_name, request.environment_name, request.app_version)
        class_id = self._registry.layout(app, request.app_version).class_ids.get(request.object_tag)
        service = self._registry.function_by_tag(app, f"{request.object_tag}.*", request.app_version)
        if class_id is None or service is None:
            raise not_found(f"App '{app.name}' has no class '{request.object_tag}'")
        metadata = api_pb2.ClassHandleMetadata(
            class_function_id=service.id, class_function_metadata=self._registry.live_metadata(service)
        )
        return api_pb2.ClassGetResponse(class_id=class_id, handle_metadata=metadata)

    async def function_update_scheduling_params(
        self, request: api_pb2.FunctionUpdateSchedulingParamsRequest, caller: Caller
    ) -> api_pb2.FunctionUpdateSchedulingParamsResponse:
        live = self._live(request.function_id)
        if live.pinned:
            raise conflict("only the version that is live can be scaled")
        settings = self._registry.autoscaler(live.id)
        settings.MergeFrom(request.settings)
        _check_scaling(settings, cluster_size(live.proto))
        self._registry.set_autoscaler(live.id, request.settings)
        self._backend.worker.refresh(live.app)
        return api_pb2.FunctionUpdateSchedulingParamsResponse(current_settings=self._settings(live))

    async def function_get_scheduling_params(
        self, request: api_pb2.FunctionGetSchedulingParamsRequest, caller: Caller
    ) -> api_pb2.FunctionGetSchedulingParamsResponse:
        live = self._live(request.function_id)
        set_at = self._registry.autoscaler_set_at(live.id)
        return api_pb2.FunctionGetSchedulingParamsResponse(
            autoscaler_configuration=api_pb2.AutoscalerConfiguration(
                settings=self._settings(live),
                default_settings=defaults(is_server=live.proto.is_server),
                static_settings=live.proto.autoscaler_settings,
                override_settings=self._registry.autoscaler(live.id),
                override_events={
                    name: api_pb2.UserActionInfo(user_id=OWNER, requested_by=OWNER, timestamp=at)
                    for name, at in set_at.items()
                },
            )
        )

    async def function_get_current_stats(
        self, request: api_pb2.FunctionGetCurrentStatsRequest, caller: Caller
    ) -> api_pb2.FunctionStats:
        pool = self._backend.worker.pool(self._live(request.function_id).id)
        if pool is None:
            return api_pb2.FunctionStats()
        running = sum(member.load for member in pool.members)
        room = sum(pool.limits.per_container for member in pool.members if member.ready) - running
        room = min(room, MOST_INPUTS)  # a Server may have no upper bound
        return api_pb2.FunctionStats(
            backlog=len(pool.waiting),
            num_total_tasks=sum(member.size for member in pool.members),
            num_running_inputs=running,
            input_headroom=max(int(room), 0),
        )

    def _settings(self, live: LiveFunction) -> api_pb2.AutoscalerSettings:
        override = self._registry.autoscaler(live.id)
        settings = defaults(is_server=live.proto.is_server)
        settings.MergeFrom(live.proto.autoscaler_settings)
        settings.MergeFrom(override)
        settings.scaledown_window = int(limits(live.proto, override).scaledown_window)
        return settings

    def _check(self, function: api_pb2.Function) -> None:
        """Refuse what would otherwise be accepted and then not done."""
        webhooks = [
            function.webhook_config,
            *(each.webhook_config for each in function.method_definitions.values()),
        ]
        served = {api_pb2.WEBHOOK_TYPE_UNSPECIFIED, api_pb2.WEBHOOK_TYPE_WEB_SERVER}
        refused = {
            "sticky sessions (@modal.sessioned) are": function.is_sessioned,
            "HTTP/2 of Servers is": function.http_config.h2_enabled,
            "a Server without a class is": function.http_config.HasField("lift_and_shift_config"),
            "HTTP servers other than @app.server are": function.HasField("http_config") and not function.is_server,
            "web functions other than @modal.web_server are": any(each.type not in served for each in webhooks),
            "dynamic batching is": function.batch_max_size > 0,
            "clustered functions and classes (only a Server can be clustered) are": not function.is_server
            and function._experimental_group_size > 0,
            "image build functions are": function.is_builder_function,
            "network file systems are": bool(function.shared_volume_mounts),
            "cloud bucket mounts are": bool(function.cloud_bucket_mounts),
            "proxies are": bool(function.proxy_id),
            "interactive functions are": function.pty_info.pty_type != api_pb2.PTYInfo.PTY_TYPE_UNSPECIFIED,
        }
        _check_size(function.warm_pool_size, function._experimental_group_size)
        _check_scaling(function.autoscaler_settings, cluster_size(function))
        for what, asked in refused.items():
            if asked:
                raise unsupported(what)
        if function.is_server:
            _check_server(function, webhooks)
        try:
            for mount in function.volume_mounts:
                inside(PurePosixPath(mount.mount_path))
                inside(PurePosixPath(mount.sub_path))
            Timetable.parse(function.schedule)
        except (ValueError, CronError) as fault:
            raise invalid(str(fault)) from fault

    def _app(self, app_id: str) -> App:
        app = self._registry.app(app_id)
        if app is None:
            raise not_found(f"App {app_id} not found")
        return app

    def _deployed(self, name: str, environment: str, version: int) -> App:
        app = self._registry.deployed(name, environment_name(environment))
        if app is None:
            raise not_found(f"App '{name}' not found in environment '{environment_name(environment)}'")
        if version < 0 or self._registry.deployment(app, version) is None:
            raise not_found(f"App '{name}' has no version {version}")
        return app

    def _live(self, function_id: str) -> LiveFunction:
        live = self._registry.function(function_id)
        if live is None:
            raise not_found(f"Function {function_id} is not part of a running app")
        return live


def _check_server(function: api_pb2.Function, webhooks: list[api_pb2.WebhookConfig]) -> None:
    """Limits of modal 1.6.4 (``modal/_server.py``, ``validate_http_server_config``), and what makes no Server."""
    config = function.http_config
    faults = {
        "a Server needs an http_config": not function.HasField("http_config"),
        "a Server can be no web function": any(each.type for each in webhooks),
        "a Server can have no schedule": function.HasField("schedule"),
        "port must be between 1 and 65535": not 1 <= config.port <= 65_535,
        "startup_timeout must be positive": config.startup_timeout <= 0,
        "exit_grace_period must be between 0 and 3600": not 0 <= config.exit_grace_period <= 3600,
        "routing_region must not be empty": not (config.proxy_regions and config.proxy_regions[0]),
    }
    for fault, found in faults.items():
        if found:
            raise invalid(fault)


def _check_scaling(settings: api_pb2.AutoscalerSettings, size: int) -> None:
    """``size`` is the cluster's: containers are counted in multiples of it (modal 1.6.4, ``_functions.py``)."""
    for field in ("min_containers", "max_containers", "buffer_containers"):
        if (count := getattr(settings, field)) % size:
            raise invalid(f"`{field}` ({count}) must be a multiple of the size of a cluster ({size})")
    _check_size(settings.min_containers, settings.buffer_containers)
    if settings.max_containers and settings.min_containers > settings.max_containers:
        raise invalid("min_containers is larger than max_containers")
    # Not `< 0`: what is no number is smaller than nothing.
    if not 0 <= settings.target_concurrency_float < inf:
        raise invalid("target_concurrency must be a number, and not negative")


def _check_size(*containers: int) -> None:
    """Refuse what would start more processes than a machine can have."""
    if max(containers) > MOST_CONTAINERS:
        raise unsupported(f"keeping more than {MOST_CONTAINERS} containers of a function is")


def function_data(function: api_pb2.Function) -> api_pb2.FunctionData:
    """The form in which clients get a function back: the fields that both messages have, and the function."""
    data = api_pb2.FunctionData()
    data.ranked_functions.add(rank=0, function=function)
    shared = api_pb2.FunctionData.DESCRIPTOR.fields_by_name
    common = api_pb2.Function()
    common.CopyFrom(function)
    for field, _ in function.ListFields():
        if field.name not in shared:
            common.ClearField(field.name)  # type: ignore[arg-type]
    for field, value in common.ListFields():
        target = getattr(data, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            target.MergeFrom(value)
        elif field.is_repeated:
            target.extend(value)
        elif field.message_type is not None:
            target.CopyFrom(value)
        else:
            setattr(data, field.name, value)
    return data
