"""What the GPUs of the user's Modal workspace cost, asked of Modal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from glmdeploy import target
from glmdeploy.errors import DeployError
from glmdeploy.local import cloud as local_cloud
from glmdeploy.sizing import rates

if TYPE_CHECKING:
    from glmdeploy.sizing.cost import Price


def workspace_prices() -> dict[str, Price]:
    """Today's prices of the workspace that the credentials belong to, by Modal's GPU name.

    Where the SDK talks to the embedded cloud, their source says so: its rates are made up.

    :raises DeployError: without credentials, when Modal cannot be asked, or when it lists no price of a GPU.
    """
    target.check_credentials(otherwise="leave out --modal-prices")
    import modal
    from modal.config import config

    with target.modal_errors(target.Target(name=target.MODAL, environment=None)):
        workspace = modal.Workspace.from_context()
        answer = workspace.billing.rates()
    running = local_cloud.status()
    rehearsal = running is not None and running.server_url == config.get("server_url")
    source = "the embedded cloud's rates for rehearsals" if rehearsal else f"the rates of workspace {workspace.name}"
    prices = rates.prices(answer, source=source, date=datetime.now(UTC).date().isoformat())
    if not prices:
        raise DeployError(
            "Modal's rates name no GPU that glmdeploy knows", advice="see `modal billing rates`, and use --price"
        )
    return prices
