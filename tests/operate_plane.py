"""An embedded cloud in this process, which the SDK of this process talks to: commands run here, and RPCs are seen."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import modal
import pytest
from grpclib import GRPCError, Status
from support import STRANGE

from glmdeploy import cli
from glmdeploy.local.cloud import environ
from glmdeploy.local.daemon import in_thread
from glmdeploy.operate.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from google.protobuf.message import Message

    from glmdeploy.local.cloud import Cloud

TARGET = Target(name="modal", environment="main")


@dataclass
class Plane:
    """The cloud, and the RPCs that it was asked, by their names, the messages beside them."""

    cloud: Cloud
    home: Path
    asked: list[tuple[str, Message]] = field(default_factory=list)
    fault: tuple[str, Status] | None = None
    """The RPC that errs, and how."""

    def run(self, *arguments: str, code: int = 0) -> str:
        """What a command prints on standard output."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            ended, errors = self.ended(*arguments)
        assert ended == code, f"{arguments} ended with {ended}:\n{out.getvalue()}\n{errors}"
        return out.getvalue()

    def ended(self, *arguments: str) -> tuple[int, str]:
        """A command's exit code, and what it prints on standard error."""
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            return cli.run(arguments), err.getvalue()

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code))


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Plane]:
    """The cloud for as long as the block lasts."""
    level = logging.getLogger("asyncio").level
    planes: list[Plane] = []

    def observe(rpc: str, message: Message) -> None:
        for plane in planes:
            plane.asked.append((rpc, message))
            if plane.fault and plane.fault[0] == rpc:
                raise GRPCError(plane.fault[1], f"{rpc} is out of order")

    with pytest.MonkeyPatch.context() as patch, in_thread(folder / "home", observer=observe) as started:
        for name in [name for name in os.environ if name.startswith(STRANGE)]:
            patch.delenv(name)
        own = {"GLMDEPLOY_HOME": str(folder / "locks"), "HF_ENDPOINT": started.cloud.hub_url}
        for name, value in {**environ(started.cloud), **own}.items():
            patch.setenv(name, value)
        planes.append(Plane(started.cloud, folder))
        yield planes[0]
        modal.Client.from_env().close()
    logging.getLogger("asyncio").setLevel(level)
