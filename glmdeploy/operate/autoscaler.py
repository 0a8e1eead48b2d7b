"""The autoscaler of a deployed server while it runs: what is in force, who overrode what, and a change of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import modal
from modal_proto import api_pb2

from glmdeploy.operate.asking import within
from glmdeploy.operate.control_plane import rpc
from glmdeploy.plan import autoscaler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.operate.target import Target

_WIRE = {"target_concurrency": "target_concurrency_float"}
"""Fields that the message calls otherwise than the SDK's own functions (modal_proto, 1.6.4)."""
_UNSET = {"min_containers": 0, "buffer_containers": 0, "max_containers": None}
"""What holds of fields that a deployment leaves out (modal 1.6.4, ``_functions.py``: what ``update`` means by None)."""
_OPEN = ("max_containers", "target_concurrency")
"""Fields whose 0 means that there is no bound."""


@dataclass(frozen=True, kw_only=True)
class Override:
    """A value that somebody set beside the deployment; ``by`` and ``at`` are None where Modal does not tell them."""

    field: str
    value: Any
    by: str | None
    at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """By field of :data:`glmdeploy.plan.autoscaler.FIELDS`: replicas and seconds, None for no bound.

    Modal counts the containers of a cluster, of which somebody may have allowed a part: such a number is a fraction.

    ``default`` holds where a deployment says nothing; it lacks what Modal does not tell.
    """

    effective: Mapping[str, Any]
    default: Mapping[str, Any]
    overrides: tuple[Override, ...]


def wanted(data: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """What is in force if nothing overrides the plan, for the fields of which that is known."""
    planned, default = autoscaler.wanted(data), {**_UNSET, **settings.default}
    return {
        name: default.get(name) if value is None else value
        for name, value in planned.items()
        if value is not None or name in default
    }


def settings(data: Mapping[str, Any], target: Target) -> Settings:
    """Of the server that a plan's data was deployed as.

    :raises DeployError:
    """

    async def look() -> Settings:
        return await settings_of(data, await _function(data, target))

    return within(target, f"read the autoscaler of {data['app']}", look)


async def settings_of(data: Mapping[str, Any], function_id: str) -> Settings:
    """The same of the function with this id; raises what the SDK raises."""
    names, nodes = autoscaler.fields(data), autoscaler.nodes(data)
    request = api_pb2.FunctionGetSchedulingParamsRequest(function_id=function_id)
    found = (await rpc("FunctionGetSchedulingParams", request)).autoscaler_configuration
    has_defaults = found.HasField("default_settings")
    return Settings(
        effective={name: _value(found.settings, name, nodes) for name in names},
        default={name: _value(found.default_settings, name, nodes) for name in names} if has_defaults else {},
        overrides=tuple(_overrides(found, names, nodes)),
    )


def update(data: Mapping[str, Any], target: Target, changes: Mapping[str, Any]) -> None:
    """Change fields while containers run; what is not named stays. None takes a bound away, or means 0.

    :raises DeployError:
    """
    told = in_containers(changes, autoscaler.nodes(data))

    async def change() -> None:
        if data["server"].get("kind") == "server":
            server = modal.Server.from_name(data["app"], "Server", environment_name=target.environment)
            await server.autoscaler.update.aio(**told)
        else:
            cls = modal.Cls.from_name(data["app"], "Server", environment_name=target.environment)
            await cls().serve.autoscaler.update.aio(**told)

    within(target, f"change the autoscaler of {data['app']}", change)


def in_containers(changes: Mapping[str, Any], nodes: int) -> dict[str, Any]:
    """Fields as Modal takes them, which counts containers; whole ones, also where a part of a cluster was allowed."""
    return {
        name: round(value * nodes) if value is not None and name in autoscaler.COUNTS else value
        for name, value in changes.items()
    }


async def _function(data: Mapping[str, Any], target: Target) -> str:
    """The id of the function that scales."""
    request = api_pb2.FunctionGetRequest(
        app_name=data["app"], object_tag=tag_of(data), environment_name=target.environment or ""
    )
    return str((await rpc("FunctionGet", request)).function_id)


def tag_of(data: Mapping[str, Any]) -> str:
    """What the app calls the function that serves (modal 1.6.4: of a class, all of its methods are one)."""
    return "Server" if data["server"].get("kind") == "server" else "Server.*"


def _value(found: api_pb2.AutoscalerSettings, name: str, nodes: int) -> Any:
    value = getattr(found, _WIRE.get(name, name))
    if name in autoscaler.COUNTS and nodes > 1:
        value = value // nodes if value % nodes == 0 else value / nodes
    return None if name in _OPEN and not value else value


def _overrides(found: api_pb2.AutoscalerConfiguration, names: tuple[str, ...], nodes: int) -> list[Override]:
    overrides = []
    for name in names:
        wire = _WIRE.get(name, name)
        events = found.override_events
        event = next((events[key] for key in (wire, name) if key in events), None)
        if not (event or found.override_settings.HasField(wire)):  # type: ignore[arg-type]
            continue
        overrides.append(
            Override(
                field=name,
                value=_value(found.override_settings, name, nodes),
                by=event.requested_by or None if event else None,
                at=datetime.fromtimestamp(event.timestamp, UTC) if event else None,
            )
        )
    return overrides
