"""What the GPUs of a workspace cost, asked of Modal."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from glmdeploy import gpus
from glmdeploy.errors import DeployError, LocalCloudError
from glmdeploy.local import cloud
from glmdeploy.operate.target import MODAL, Target, check_credentials

if TYPE_CHECKING:
    from glmdeploy.gpus import Price


def workspace_prices() -> dict[str, Price]:
    """Today's prices of the workspace that the credentials belong to, by Modal's GPU name.

    Where the SDK talks to the embedded cloud, their source says so: its rates are made up.

    :raises DeployError: without credentials, when Modal cannot be asked, or when it lists no price of a GPU.
    """
    check_credentials(otherwise="leave out --modal-prices")
    import modal  # only now: an SDK that does not fit may not be importable
    from modal.config import config

    from glmdeploy.operate.asking import within

    async def rates() -> tuple[Any, str | None]:
        workspace = modal.Workspace.from_context()
        return await workspace.billing.rates.aio(), workspace.name

    answer, name = within(Target(name=MODAL, environment=None), "ask for the workspace's rates", rates)
    running = None
    with contextlib.suppress(LocalCloudError):  # one that does not answer is not the one that has just answered
        running = cloud.status()
    rehearsal = running is not None and running.server_url == config.get("server_url")
    source = "the embedded cloud's rates for rehearsals" if rehearsal else f"the rates of workspace {name}"
    prices = gpus.prices(answer, source=source, date=datetime.now(UTC).date().isoformat())
    if not prices:
        raise DeployError(
            "Modal's rates name no GPU that glmdeploy knows", advice="see `modal billing rates`, and use `--price`"
        )
    return prices
