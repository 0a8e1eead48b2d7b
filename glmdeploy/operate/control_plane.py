"""What Modal's SDK knows of a deployed app and offers to nobody: its control plane asked directly (modal 1.6.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modal._utils.async_utils import synchronizer
from modal.client import _Client

if TYPE_CHECKING:
    from google.protobuf.message import Message


@synchronizer.create_blocking
async def _rpc(name: str, request: Message) -> Any:
    client = await _Client.from_env()
    return await getattr(client._stub, name)(request)


async def rpc(name: str, request: Message) -> Any:
    """The answer to one RPC of ``modal.client.ModalClient``; raises what the SDK raises."""
    return await _rpc.aio(name, request)


def forget_connection() -> None:
    """Have the SDK connect anew with its next question: this process talks to another server now."""
    _Client._set_env_client(None)
