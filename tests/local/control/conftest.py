"""What tests of the control plane share: one for a module, a client of it, and all requests that it receives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import connect

from glmdeploy.local.daemon import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    import modal
    from google.protobuf.message import Message

    from glmdeploy.local.daemon import Running

Requests = list[tuple[str, "Message"]]


@pytest.fixture(scope="module")
def requests() -> Requests:
    return []


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, requests: Requests) -> Iterator[Running]:
    with in_thread(
        tmp_path_factory.mktemp("home"), observer=lambda rpc, request: requests.append((rpc, request))
    ) as running:
        yield running


@pytest.fixture(scope="module")
def client(running: Running) -> modal.Client:
    return connect(running.cloud)
