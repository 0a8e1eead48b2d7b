"""The workspace that clients find: one user, Environments and their limits, secrets, and greetings."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from glmdeploy.local.control.apps import OWNER, environment_name
from glmdeploy.local.control.billing import month, spent
from glmdeploy.local.control.images import BUILDER_VERSION
from glmdeploy.local.control.rpc import already_exists, invalid, not_found
from glmdeploy.local.state.store import Environment, Secret, new_id

if TYPE_CHECKING:
    from glmdeploy.local.backend import Backend
    from glmdeploy.local.control.rpc import Caller


WORKSPACE = "embedded"

_ANONYMOUS = frozenset({api_pb2.OBJECT_CREATION_TYPE_ANONYMOUS_OWNED_BY_APP, api_pb2.OBJECT_CREATION_TYPE_EPHEMERAL})


class Workspace:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
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
        costs = spent(self._backend, *month(time.time()))
        return api_pb2.EnvironmentListResponse(
            items=[self._item(each, sum(costs.get(each.name, {}).values(), Decimal())) for each in self._table.all()]
        )

    def _item(self, environment: Environment, usage: Decimal) -> api_pb2.EnvironmentListItem:
        """``usage`` is what it has cost in this month."""
        worker, terms = self._backend.worker, self._backend.subscription
        limit = terms.spend_limit
        apps = [app for app in self._backend.registry.live_apps() if app.environment == environment.name]
        return api_pb2.EnvironmentListItem(
            name=environment.name,
            environment_id=environment.id,
            created_at=environment.created_at,
            webhook_suffix=_suffix(environment),
            default=environment.name == "main",
            image_builder_version=BUILDER_VERSION,
            max_concurrent_gpus=terms.max_gpus,
            current_concurrent_gpus=worker.quota.used(environment.name),
            current_concurrent_tasks=sum(len(worker.of_app(app)) for app in apps),
            cycle_budget_dollars=limit,
            effective_cycle_spend_limit=limit or 0,
            current_cycle_usage=float(usage),
            spend_limit_reached=limit is not None and usage >= limit,
        )

    def _create(self, name: str) -> Environment:
        environment = Environment(id=new_id("en"), name=name, created_at=time.time())
        self._table.insert(environment)
        return environment


def _suffix(environment: Environment) -> str:
    return "" if environment.name == "main" else environment.name


class Secrets:
    """Their values go into containers and nowhere else."""

    def __init__(self, backend: Backend) -> None:
        self._table = backend.store.secrets

    async def secret_get_or_create(
        self, request: api_pb2.SecretGetOrCreateRequest, caller: Caller
    ) -> api_pb2.SecretGetOrCreateResponse:
        secret = self._anonymous(request) if request.object_creation_type in _ANONYMOUS else self._named(request)
        missing = sorted(set(request.required_keys) - set(secret.contents))
        if missing:
            raise invalid(f"Secret '{secret.name}' is missing key(s): {', '.join(missing)}")
        return api_pb2.SecretGetOrCreateResponse(secret_id=secret.id, metadata=_metadata(secret))

    async def secret_list(self, request: api_pb2.SecretListRequest, caller: Caller) -> api_pb2.SecretListResponse:
        environment = environment_name(request.environment_name)
        named = [secret for secret in self._table.all(environment=environment) if secret.name]
        before = request.pagination.created_before
        named = [secret for secret in named if not before or secret.created_at < before]
        named.sort(key=lambda secret: secret.created_at, reverse=True)
        return api_pb2.SecretListResponse(
            environment_name=environment,
            items=[
                api_pb2.SecretListItem(
                    label=secret.name,
                    secret_id=secret.id,
                    environment_name=secret.environment,
                    created_at=secret.created_at,
                    last_used_at=secret.last_used_at,
                    metadata=_metadata(secret),
                )
                for secret in named[: request.pagination.max_objects or None]
            ],
        )

    async def secret_get_info(
        self, request: api_pb2.SecretGetInfoRequest, caller: Caller
    ) -> api_pb2.SecretGetInfoResponse:
        return api_pb2.SecretGetInfoResponse(metadata=_metadata(self._secret(request.secret_id)))

    async def secret_update(self, request: api_pb2.SecretUpdateRequest, caller: Caller) -> Empty:
        secret = self._secret(request.secret_id)
        contents = dict(secret.contents)
        for update in request.updates:
            if update.HasField("value"):
                contents[update.key] = update.value
            else:
                contents.pop(update.key, None)
        self._table.put(replace(secret, contents=contents))
        return Empty()

    async def secret_delete(self, request: api_pb2.SecretDeleteRequest, caller: Caller) -> Empty:
        self._table.delete(id=self._secret(request.secret_id).id)
        return Empty()

    def _anonymous(self, request: api_pb2.SecretGetOrCreateRequest) -> Secret:
        """Equal dictionaries are one secret: otherwise every deployment would leave another one behind."""
        environment = environment_name(request.environment_name)
        contents = dict(request.env_dict)
        known = [secret for secret in self._table.all(name="", environment=environment) if secret.contents == contents]
        return known[0] if known else self._create("", environment, contents)

    def _named(self, request: api_pb2.SecretGetOrCreateRequest) -> Secret:
        environment = environment_name(request.environment_name)
        name, how = request.deployment_name, request.object_creation_type
        known = self._table.get(name=name, environment=environment)
        if known is None:
            if how == api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED:
                raise not_found(f"Secret ('{name}', '{environment}') not found")
            return self._create(name, environment, dict(request.env_dict))
        if how == api_pb2.OBJECT_CREATION_TYPE_CREATE_FAIL_IF_EXISTS:
            raise already_exists(f"Secret '{name}' already exists in environment '{environment}'")
        if how == api_pb2.OBJECT_CREATION_TYPE_CREATE_OVERWRITE_IF_EXISTS:
            known = replace(known, contents=dict(request.env_dict))
            self._table.put(known)
        return known

    def _create(self, name: str, environment: str, contents: dict[str, str]) -> Secret:
        secret = Secret(id=new_id("st"), name=name, environment=environment, contents=contents, created_at=time.time())
        self._table.insert(secret)
        return secret

    def _secret(self, secret_id: str) -> Secret:
        secret = self._table.get(id=secret_id)
        if secret is None:
            raise not_found(f"Secret {secret_id} not found")
        return secret


def _metadata(secret: Secret) -> api_pb2.SecretMetadata:
    return api_pb2.SecretMetadata(
        name=secret.name,
        environment_name=secret.environment,
        keys=sorted(secret.contents),
        creation_info=api_pb2.CreationInfo(created_at=secret.created_at, created_by=OWNER),
        last_used_at=secret.last_used_at,
    )
