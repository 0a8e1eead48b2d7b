"""What of Modal's SDK the containers use without its being public: a release that changes it fails here first."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import modal._runtime.asgi
import modal._runtime.user_code_imports
import modal._utils.blob_utils
import pytest
from modal.config import config

from glmdeploy.local.containers.bootstrap import ARGUMENTS_VARIABLE, ENTRYPOINT, HEADERS_VARIABLE, listen_on_loopback
from glmdeploy.local.state.files import BLOCK


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "No path to the container arguments file provided!"),
        (
            {ARGUMENTS_VARIABLE: "/no/such/arguments"},
            "No such file or directory: '/no/such/arguments'",
        ),
    ],
)
def test_the_entrypoint_reads_its_arguments_from_the_file(variables: dict[str, str], message: str) -> None:
    environment = {**os.environ, **variables}
    done = subprocess.run(
        [sys.executable, "-m", ENTRYPOINT], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert message in done.stderr


def test_the_client_sends_the_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HEADERS_VARIABLE, "x-a:1,x-b:2")
    assert config.get("override_headers") == {"x-a": "1", "x-b": "2"}


def test_the_runtime_asks_the_replaced_function_where_a_web_server_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modal._runtime.asgi, "get_ip_address", modal._runtime.asgi.get_ip_address)
    listen_on_loopback()
    assert modal._runtime.asgi.get_ip_address(b"eth0") == "127.0.0.1"
    assert 'asgi.get_ip_address(b"eth0")' in inspect.getsource(modal._runtime.user_code_imports)


def test_volumes_have_blocks_of_the_same_size() -> None:
    assert modal._utils.blob_utils.BLOCK_SIZE == BLOCK
