"""Where a deployment goes: Modal, or the embedded cloud. Connects, and looks after credentials."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.errors import DeployError
from glmdeploy.local import cloud
from glmdeploy.local.engine import engine
from glmdeploy.local.sdk_parts import check_sdk
from glmdeploy.sglang.real.environment import existing_engine

if TYPE_CHECKING:
    from glmdeploy.local.cloud import Cloud
    from glmdeploy.local.engine import Engine
    from glmdeploy.plan.plan import Plan

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
        return f"Modal ({self.environment})" if self.environment else "Modal"

    @property
    def asleep(self) -> bool:
        """Whether it is the embedded cloud, which does not run, and only its state is read."""
        return self.cloud is not None and not self.cloud.hub_url

    def command(self, arguments: str) -> str:
        """How a user types ``modal`` with ``arguments`` for this target, which has its Environment at the end."""
        if self.cloud:
            return f'eval "$(glmdeploy local env)"; modal {arguments}'
        return f"modal {arguments}{f' --env {self.environment}' if self.environment else ''}"

    def glmdeploy(self, arguments: str) -> str:
        """How a user types ``glmdeploy`` with ``arguments`` for this target, as code in a sentence."""
        where = " --target local" if self.cloud else f" -e {self.environment}" if self.environment else ""
        return f"`glmdeploy {arguments}{where}`"

    def engine(self, plan: Plan) -> Engine | None:
        """Which engine answers to a plan in the embedded cloud, and why; None on Modal, where it is SGLang.

        :raises LocalCloudError: where the plan asks for one that cannot be.
        """
        if self.cloud is None:
            return None
        variables = {**plan.server.image.env, **plan.server.defaults, **plan.server.env}
        return engine(plan.server.command, plan.sglang, variables, existing_engine(self.cloud.engines))

    def check_alive(self) -> None:
        """Look whether the embedded cloud still runs, where that is the target.

        :raises DeployError: when it has ended meanwhile.
        """
        if self.cloud and not self.asleep and cloud.status() is None:
            raise DeployError(
                "the embedded cloud has ended", advice="apply again: its data is kept, and it starts again by itself"
            )


def connect(
    name: str, plan: Plan | None, environment: str | None, *, planned: str | None = None, reading: bool = False
) -> Target:
    """Make the Modal SDK of this process talk to the target; starts the embedded cloud when it does not run.

    Must come before the first import of ``modal``, which reads its configuration then. The Environment is
    ``environment``, else MODAL_ENVIRONMENT, else the profile's, else Modal's own default. The profile's is the plan's,
    or ``planned`` where a command needs no plan. What only reads starts nothing.

    :raises DeployError: without credentials for Modal; for an embedded cloud that does not run, and is only read.
    :raises LocalCloudError: when the embedded cloud does not start.
    :raises SdkError: where the Modal SDK that is installed lacks what is used of it.
    """
    check_sdk()
    if name == LOCAL:
        _stay_on_this_machine()
        found = _asleep() if reading else cloud.start()
        variables = cloud.environ(found)
        if "modal" in sys.modules and any(os.environ.get(name) != value for name, value in variables.items()):
            from glmdeploy.operate.control_plane import forget_connection

            forget_connection()
        os.environ.update(variables)
        return Target(name=name, environment=None, cloud=found)
    check_credentials(otherwise="rehearse the deployment without an account: add `--target local`")
    from modal.config import config

    own = plan.environment if plan else planned
    return Target(name=name, environment=environment or config.get("environment") or own)


def _asleep() -> Cloud:
    """The embedded cloud if it runs, else its state on disk, which is read as long as this process lasts.

    :raises LocalCloudError: where it cannot be read.
    """
    running = cloud.status()
    if running is not None:
        return running
    from glmdeploy.local.asleep import asleep

    stack = contextlib.ExitStack()
    found = stack.enter_context(asleep())
    atexit.register(stack.close)
    return found


def check_credentials(*, otherwise: str) -> None:
    """Ask for credentials for Modal.

    :raises DeployError: when there are none; it advises what can be done ``otherwise``.
    :raises SdkError: as :func:`connect`.
    """
    check_sdk()
    from modal.config import config

    if not (config.get("token_id") or config.get("oauth_refresh_token")):
        raise DeployError(
            "there are no Modal credentials on this machine",
            advice="create them with `modal setup` (opens a browser), or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET;\n"
            f"or {otherwise}",
        )


def _stay_on_this_machine() -> None:
    """The embedded cloud and its hub are asked directly, whatever proxies the environment names, and never skipped."""
    for name in ("no_proxy", "NO_PROXY"):
        hosts = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
        if hosts != "*":
            known = [host.strip() for host in hosts.split(",") if host.strip()]
            os.environ[name] = ",".join(dict.fromkeys((*known, "127.0.0.1", "localhost")))
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ.pop(name, None)
