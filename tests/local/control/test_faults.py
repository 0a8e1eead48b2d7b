"""A control plane that hinders, as tests can rehearse it, and streams that nobody reads to the end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import modal
import pytest
from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from grpclib.client import Channel
from modal_proto import api_pb2
from modal_proto.api_grpc import ModalClientStub
from support import call, connect

from glmdeploy.local.daemon import in_thread

if TYPE_CHECKING:
    from pathlib import Path

    from google.protobuf.message import Message

    from glmdeploy.local.daemon import Running


def test_an_rpc_may_fail_once(tmp_path: Path) -> None:
    seen: list[str] = []

    async def once(rpc: str, _: Message) -> None:
        seen.append(rpc)
        if rpc == "SecretList" and seen.count(rpc) == 1:
            raise GRPCError(Status.PERMISSION_DENIED, "not today")

    with in_thread(tmp_path / "home", fault=once) as running:
        client = connect(running.cloud)
        with pytest.raises(modal.exception.PermissionDeniedError, match="not today"):
            modal.Secret.objects.list(client=client)
        assert modal.Secret.objects.list(client=client) == []
    assert seen.count("SecretList") == 2


def test_an_rpc_may_never_answer_while_others_do(tmp_path: Path) -> None:
    async def silence(rpc: str, _: Message) -> None:
        if rpc == "AppList":
            await asyncio.Event().wait()

    async def ask(running: Running) -> None:
        address = urlsplit(running.cloud.server_url)
        token = {"x-modal-token-id": running.cloud.token_id, "x-modal-token-secret": running.cloud.token_secret}
        async with Channel(address.hostname, address.port) as channel:
            service = ModalClientStub(channel)
            with pytest.raises(TimeoutError):
                await service.AppList(api_pb2.AppListRequest(), metadata=token, timeout=0.5)
            await service.ClientHello(Empty(), metadata=token)

    with in_thread(tmp_path / "home", fault=silence) as running:
        asyncio.run(ask(running))


@pytest.mark.parametrize("hang_up", [False, True])
def test_following_a_log_ends_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture, hang_up: bool) -> None:
    async def follow(running: Running, app_id: str, *, hang_up: bool) -> list[api_pb2.TaskLogsBatch]:
        address = urlsplit(running.cloud.server_url)
        token = {"x-modal-token-id": running.cloud.token_id, "x-modal-token-secret": running.cloud.token_secret}
        async with Channel(address.hostname, address.port) as channel:
            method = ModalClientStub(channel).AppGetLogs
            request = api_pb2.AppGetLogsRequest(app_id=app_id, timeout=60 if hang_up else 0.3)
            async with method.open(metadata=token) as stream:
                await stream.send_message(request, end=True)
                first = await stream.recv_message()
                if hang_up:
                    await stream.cancel()
                    return []
                return [first, *[batch async for batch in stream]]

    with caplog.at_level(logging.WARNING), in_thread(tmp_path / "home") as running:
        app_id = call(running.cloud, "AppCreate", api_pb2.AppCreateRequest(description="followed")).app_id
        running.backend.logs.append(app_id, "a line", source=api_pb2.FILE_DESCRIPTOR_STDOUT)
        batches = asyncio.run(follow(running, app_id, hang_up=hang_up))
        assert hang_up or [item.data for batch in batches for item in batch.items] == ["a line\n"]
        call(running.cloud, "AppStop", api_pb2.AppStopRequest(app_id=app_id))
        assert asyncio.run(follow(running, app_id, hang_up=False))[-1].app_done
    assert caplog.records == []
