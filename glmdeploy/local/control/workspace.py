"""The workspace that clients find: one user, Environments, rates, and greetings."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from glmdeploy import gpus
from glmdeploy.local.control.apps import OWNER, environment_name
from glmdeploy.local.control.images import BUILDER_VERSION
from glmdeploy.local.control.rpc import already_exists, not_found
from glmdeploy.local.state.records import Environment, new_id

if TYPE_CHECKING:
    from glmdeploy.local.backend import Backend
    from glmdeploy.local.control.rpc import Caller

WORKSPACE = "embedded"

GPU_RATE = "1.00000"
"""Dollars for an hour of any GPU: round, so that nobody takes a rehearsal's costs for Modal's."""


class Workspace:
    def __init__(self, backend: Backend) -> None:
        self._table = backend.store.environments
        if self._table.get(name="main") is None:
            self._create("main")

    async def client_hello(self, request: Empty, caller: Caller) -> api_pb2.ClientHelloResponse:
        return api_pb2.ClientHelloResponse(image_builder_version=BUILDER_VERSION)

    async def workspace_name_lookup(self, request: Empty, caller: Caller) -> api_pb2.WorkspaceNameLookupResponse:
        return api_pb2.WorkspaceNameLookupResponse(workspace_name=WORKSPACE, username=OWNER)

    async def environment_get_or_create(
        self, request: api_pb2.EnvironmentGetOrCreateRequest, caller: Caller
    ) -> api_pb2.EnvironmentGetOrCreateResponse:
        name = environment_name(request.deployment_name)
        environment = self._table.get(name=name)
        if environment is None:
            if request.object_creation_type != api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING:
                raise not_found(f"Environment '{name}' not found")
            environment = self._create(name)
        return api_pb2.EnvironmentGetOrCreateResponse(
            environment_id=environment.id,
            metadata=api_pb2.EnvironmentMetadata(
                name=environment.name,
                settings=api_pb2.EnvironmentSettings(
                    image_builder_version=BUILDER_VERSION, webhook_suffix=_suffix(environment)
                ),
            ),
        )

    async def environment_create(self, request: api_pb2.EnvironmentCreateRequest, caller: Caller) -> Empty:
        if self._table.get(name=request.name) is not None:
            raise already_exists(f"Environment '{request.name}' already exists")
        self._create(request.name)
        return Empty()

    async def environment_list(self, request: Empty, caller: Caller) -> api_pb2.EnvironmentListResponse:
        return api_pb2.EnvironmentListResponse(
            items=[
                api_pb2.EnvironmentListItem(
                    name=environment.name,
                    environment_id=environment.id,
                    created_at=environment.created_at,
                    webhook_suffix=_suffix(environment),
                    default=environment.name == "main",
                    image_builder_version=BUILDER_VERSION,
                )
                for environment in self._table.all()
            ]
        )

    async def workspace_billing_rates(
        self, request: api_pb2.WorkspaceBillingRatesRequest, caller: Caller
    ) -> api_pb2.WorkspaceBillingRatesResponse:
        return api_pb2.WorkspaceBillingRatesResponse(
            rates=dict.fromkeys((each.rate for each in gpus.TYPES.values()), GPU_RATE),
            formatted=f"glmdeploy's embedded cloud bills nothing. For rehearsals, any GPU costs ${GPU_RATE} an hour.",
        )

    def _create(self, name: str) -> Environment:
        environment = Environment(id=new_id("en"), name=name, created_at=time.time())
        self._table.insert(environment)
        return environment


def _suffix(environment: Environment) -> str:
    return "" if environment.name == "main" else environment.name
