"""Secrets. Their values go into containers and nowhere else."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from glmdeploy.local.control.apps import OWNER, environment_name
from glmdeploy.local.control.rpc import already_exists, invalid, not_found
from glmdeploy.local.state.records import Secret, new_id

if TYPE_CHECKING:
    from glmdeploy.local.backend import Backend
    from glmdeploy.local.control.rpc import Caller

_ANONYMOUS = frozenset({api_pb2.OBJECT_CREATION_TYPE_ANONYMOUS_OWNED_BY_APP, api_pb2.OBJECT_CREATION_TYPE_EPHEMERAL})


class Secrets:
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
