"""Where a deployment goes: Modal, or the embedded cloud. Connects, and looks after credentials and secrets."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from glmdeploy import gpus
from glmdeploy.errors import DeployError
from glmdeploy.local import cloud

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.gpus import Price
    from glmdeploy.local.cloud import Cloud
    from glmdeploy.plan.plan import Plan, Secret

MODAL, LOCAL = "modal", "local"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A connected target. ``environment`` is the Modal Environment, None for the workspace's default."""

    name: str
    environment: str | None
    cloud: Cloud | None = None

    def __str__(self) -> str:
        if self.cloud:
            return "the embedded cloud"
        return f"Modal, environment {self.environment}" if self.environment else "Modal"


def connect(name: str, plan: Plan, environment: str | None) -> Target:
    """Make the Modal SDK of this process talk to the target; starts the embedded cloud when it does not run.

    Must come before the first import of ``modal``, which reads its configuration then. The Environment is
    ``environment``, else MODAL_ENVIRONMENT, else the profile's, else Modal's own default.

    :raises DeployError: without credentials for Modal.
    :raises LocalCloudError: when the embedded cloud does not start.
    """
    if name == LOCAL:
        started = cloud.start()
        os.environ.update(cloud.environ(started))
        return Target(name=name, environment=None, cloud=started)
    check_credentials(otherwise="rehearse the deployment without an account: add `--target local`")
    from modal.config import config

    return Target(name=name, environment=environment or config.get("environment") or plan.environment)


def check_credentials(*, otherwise: str) -> None:
    """Ask for credentials for Modal.

    :raises DeployError: when there are none; it advises what can be done ``otherwise``.
    """
    from modal.config import config

    if not (config.get("token_id") or config.get("oauth_refresh_token")):
        raise DeployError(
            "there are no Modal credentials on this machine",
            advice="create them with `modal setup` (opens a browser), or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET;\n"
            f"or {otherwise}",
        )


def check_alive(target: Target) -> None:
    """Look whether the embedded cloud still runs, where that is the target.

    :raises DeployError: when it has ended meanwhile.
    """
    if target.cloud and cloud.status() is None:
        raise DeployError(
            "the embedded cloud has ended", advice="apply again: its data is kept, and it starts again by itself"
        )


@contextlib.contextmanager
def modal_errors(target: Target) -> Iterator[None]:
    """Turn what the SDK raises into a DeployError."""
    import modal

    try:
        yield
    except modal.exception.AuthError as error:
        raise DeployError(
            f"{target} refused the credentials: {error}", advice="sign in again with `modal setup`"
        ) from None
    except (modal.exception.ConnectionError, OSError) as error:
        check_alive(target)
        raise DeployError(f"the connection to {target} failed: {error}") from None
    except modal.exception.Error as error:
        check_alive(target)
        raise DeployError(f"{target} answered: {error}") from None


@dataclass(frozen=True, kw_only=True)
class MissingSecret:
    """A secret of a plan that the target lacks; ``absent`` is False where it is there, without one of its keys."""

    secret: Secret
    absent: bool


def missing_secrets(plan: Plan, target: Target) -> tuple[MissingSecret, ...]:
    """The plan's secrets that the target lacks, or that lack one of their keys. Changes nothing."""
    import modal

    missing = []
    for secret in filter(None, (plan.huggingface, plan.api_key)):
        try:
            modal.Secret.from_name(
                secret.name, environment_name=target.environment, required_keys=list(secret.keys)
            ).hydrate()
        except modal.exception.InvalidError:
            missing.append(MissingSecret(secret=secret, absent=False))
        except modal.exception.NotFoundError:
            missing.append(MissingSecret(secret=secret, absent=True))
    return tuple(missing)


def creatable(missing: Sequence[MissingSecret], target: Target) -> list[Secret]:
    """Those that may get a random value, which is for rehearsals alone: absent from the embedded cloud.

    :raises DeployError: where there are others, with the commands that create them.
    """
    others = [item.secret for item in missing if not (target.cloud and item.absent)]
    if others:
        named = ", ".join(f"{secret.name} with {' and '.join(secret.keys)}" for secret in others)
        commands = "\n".join(_create_command(secret, target) for secret in others)
        raise DeployError(f"missing in {target}: the secret {named}", advice=f"create with:\n{commands}")
    return [item.secret for item in missing]


def create_secret(secret: Secret) -> None:
    """Create it in the embedded cloud, with a random value for each key."""
    import modal

    values = {key: f"glmdeploy-local-{secrets.token_urlsafe(24)}" for key in secret.keys}
    modal.Secret.objects.create(secret.name, values, allow_existing=True)


def _create_command(secret: Secret, target: Target) -> str:
    environment = f" --env {target.environment}" if target.environment else ""
    local = 'eval "$(glmdeploy local env)"; ' if target.cloud else ""
    values = " ".join(f"{key}=..." for key in secret.keys)
    return f"  {local}modal secret create{environment} {secret.name} {values}"


def workspace_prices() -> dict[str, Price]:
    """Today's prices of the workspace that the credentials belong to, by Modal's GPU name.

    Where the SDK talks to the embedded cloud, their source says so: its rates are made up.

    :raises DeployError: without credentials, when Modal cannot be asked, or when it lists no price of a GPU.
    """
    check_credentials(otherwise="leave out --modal-prices")
    import modal
    from modal.config import config

    with modal_errors(Target(name=MODAL, environment=None)):
        workspace = modal.Workspace.from_context()
        answer = workspace.billing.rates()
    running = cloud.status()
    rehearsal = running is not None and running.server_url == config.get("server_url")
    source = "the embedded cloud's rates for rehearsals" if rehearsal else f"the rates of workspace {workspace.name}"
    prices = gpus.prices(answer, source=source, date=datetime.now(UTC).date().isoformat())
    if not prices:
        raise DeployError(
            "Modal's rates name no GPU that glmdeploy knows", advice="see `modal billing rates`, and use --price"
        )
    return prices
