"""The secrets of a plan in the target: which are missing, and how they are made."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import modal

from glmdeploy.errors import DeployError
from glmdeploy.local import cloud
from glmdeploy.operate.asking import together, within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.operate.target import Target
    from glmdeploy.plan.plan import Plan, Secret


@dataclass(frozen=True, kw_only=True)
class MissingSecret:
    """A secret of a plan that the target lacks; ``absent`` is False where it is there, without one of its keys."""

    secret: Secret
    absent: bool


def missing_secrets(plan: Plan, target: Target) -> tuple[MissingSecret, ...]:
    """The plan's secrets that the target lacks, or that lack one of their keys. Changes nothing.

    :raises DeployError: if the target cannot be asked.
    """
    found = together(*(partial(_missing, secret, target) for secret in plan.every_secret))
    return tuple(filter(None, found))


def _missing(secret: Secret, target: Target) -> MissingSecret | None:
    async def look() -> MissingSecret | None:
        handle = modal.Secret.from_name(
            secret.name, environment_name=target.environment, required_keys=list(secret.keys)
        )
        try:
            await handle.hydrate.aio()
        except modal.exception.ConflictError:
            raise  # a kind of InvalidError
        except modal.exception.InvalidError:
            return MissingSecret(secret=secret, absent=False)
        except modal.exception.NotFoundError:
            return MissingSecret(secret=secret, absent=True)
        return None

    return within(target, f"look for the secret {secret.name}", look)


def makes(missing: MissingSecret, target: Target, *, make: bool) -> bool:
    """Whether it gets a random value: where that is asked for (``make``), in the embedded cloud, and not there yet."""
    return bool(make and target.cloud and missing.absent)


def creatable(missing: Sequence[MissingSecret], target: Target, *, make: bool) -> list[Secret]:
    """Those that get a random value, which is for rehearsals alone: absent from the embedded cloud, and asked for.

    :raises DeployError: where there are others, with the commands that create them.
    """
    others = [item for item in missing if not makes(item, target, make=make)]
    if others:
        named = ", ".join(f"{item.secret.name} with {' and '.join(item.secret.keys)}" for item in others)
        advice = ["create with:", *(f"  {create_command(item.secret, target, new=item.absent)}" for item in others)]
        if target.cloud and not make and any(item.absent for item in others):
            advice.append("or let apply make random values up, for a rehearsal: --make-secrets")
        raise DeployError(f"missing in {target}: the secret {named}", advice="\n".join(advice))
    return [item.secret for item in missing]


def create_secret(secret: Secret, target: Target, *, proxy_token: bool = False) -> None:
    """Create it in the embedded cloud, with a random value for each key, or with the proxy token of its workspace.

    :raises DeployError:
    """
    values = {key: f"glmdeploy-local-{secrets.token_urlsafe(24)}" for key in secret.keys}
    if proxy_token:
        values = dict(zip(secret.keys, cloud.read_proxy_token(), strict=True))

    async def create() -> None:
        await modal.Secret.objects.create.aio(secret.name, values, allow_existing=True)

    within(target, f"create the secret {secret.name}", create)


def create_command(secret: Secret, target: Target, *, new: bool) -> str:
    """What a user types to create the secret, or to replace one that is there, with all of its keys."""
    values = " ".join(f"{key}=..." for key in secret.keys)
    return target.command(f"secret create{'' if new else ' --force'} {secret.name} {values}")
