"""A control plane that errs in any RPC of ``apply``: one clear line, nothing half-done, and the next one converges."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import modal
import pytest
from fault_rows import NONE
from grpclib import GRPCError, Status
from modal_proto import api_pb2
from support import STRANGE, call, some

from glmdeploy import cli
from glmdeploy.local.cloud import environ
from glmdeploy.local.daemon import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fault_rows import Fault
    from google.protobuf.message import Message

    from glmdeploy.local.cloud import Cloud

COMMIT = "0123456789abcdef0123456789abcdef01234567"
APPLY = ("apply", "local-cpu", "--yes", "--force", "--no-wait", "--set", f"model.revision='{COMMIT}'")

NUMBERS = itertools.count()
STATUSES = [status for status in Status if status is not Status.OK]

OF_CONTAINERS = {
    *("ContainerHello", "ContainerHeartbeat", "FunctionGetInputs", "FunctionPutOutputs", "FunctionCallPutDataOut"),
    *("TaskResult", "TaskCurrentInputs", "VolumeCommit", "VolumeReload"),
}

RPCS = [
    *(
        "AppClientDisconnect",
        "AppCreate",
        "AppDeploymentHistory",
        "AppGetByDeploymentName",
        "AppGetLayout",
        "AppGetLogs",
        "AppGetOrCreate",
    ),
    *("AppHeartbeat", "AppPublish", "ClassCreate", "ClassGet", "EnvironmentList"),
    *(
        "FunctionCreate",
        "FunctionGet",
        "FunctionGetOutputs",
        "FunctionGetSchedulingParams",
        "FunctionMap",
        "FunctionPrecreate",
    ),
    *("ImageGetOrCreate", "ImageJoinStreaming", "MountBatchedCheckExistence", "MountGetOrCreate", "MountPutFile"),
    *("SecretGetOrCreate", "TaskList", "VolumeGetFile2", "VolumeGetOrCreate", "VolumeListFiles", "VolumePutFiles"),
]
"""What one ``apply`` asks; the list is held against what it really asks."""

ALL = list(itertools.product(RPCS, STATUSES))
DIAGONAL = [pair for number, pair in enumerate(ALL) if number % (len(STATUSES) - 1) == 0]
PAIRS = ALL if os.environ.get("GLMDEPLOY_TEST_ALL_FAULTS") else DIAGONAL
"""Every RPC and every status at least once, a ninth of them in every run; all pairs where GLMDEPLOY_TEST_ALL_FAULTS is
set, which takes minutes."""


@dataclass
class Plane:
    """An embedded cloud in this process that the SDK of this process talks to, and what it is to answer badly."""

    cloud: Cloud
    fault: tuple[str, Status] | None = None
    seen: set[str] = field(default_factory=set)
    erred: int = 0
    delay: float = 0
    once_after: str | None = None
    """The RPC from which on the fault strikes, once; None for a fault that strikes always."""

    def observe(self, rpc: str, _: Message) -> None:
        self.seen.add(rpc)
        if self.once_after:
            self.once_after = "" if rpc == self.once_after else self.once_after
            return
        if self.once_after == "" and self.erred:
            return
        if self.fault and rpc == self.fault[0]:
            self.erred += 1
            raise GRPCError(self.fault[1], f"{rpc} is out of order")

    def live(self) -> dict[str, str]:
        """Id and name of every app that has not been stopped."""
        apps = call(self.cloud, "AppList", api_pb2.AppListRequest()).apps
        return {app.app_id: app.description for app in apps if app.state != api_pb2.APP_STATE_STOPPED}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder: Path = tmp_path_factory.mktemp("plane")
    planes: list[Plane] = []
    level = logging.getLogger("asyncio").level
    with (
        pytest.MonkeyPatch.context() as patch,
        in_thread(
            folder / "home",
            observer=lambda rpc, message: planes and planes[0].observe(rpc, message),
            fault=lambda _rpc, _message: asyncio.sleep(planes[0].delay if planes else 0),
        ) as running,
    ):
        for name in [name for name in os.environ if name.startswith(STRANGE)]:
            patch.delenv(name)
        for name, value in {**environ(running.cloud), "GLMDEPLOY_HOME": str(folder / "locks")}.items():
            patch.setenv(name, value)
        planes.append(Plane(running.cloud))
        modal.Secret.objects.create("glm-local-api-key", {"API_KEY": "the-key-of-this-test"})
        assert cli.run(APPLY) == 0
        assert cli.run((*APPLY, "--set", "server.max_inputs=7")) == 0
        yield planes[0]
        modal.Client.from_env().close()
    logging.getLogger("asyncio").setLevel(level)


def test_the_rpcs_are_known(plane: Plane, fault: Fault) -> None:
    assert plane.seen - OF_CONTAINERS - {"EnvironmentGetOrCreate"} == set(RPCS), "that one is asked once a process"
    assert {rpc for rpc, _ in PAIRS} == set(RPCS)
    assert {status for _, status in PAIRS} == set(STATUSES)
    fault(
        f"control plane that errs once, in each of {len(RPCS)} RPCs, with each status of gRPC",
        "one `error:` line, or nothing where the SDK asks again; the next apply converges",
        engine=NONE,
    )


@pytest.mark.thorough
def test_a_slow_control_plane(plane: Plane, fault: Fault) -> None:
    plane.delay = 0.3
    try:
        assert cli.run((*APPLY, "--set", f"download.env.EDITED={next(NUMBERS)}")) == 0
    finally:
        plane.delay = 0
    fault("control plane that takes its time over every answer", "`apply` takes longer", engine=NONE)


@pytest.mark.parametrize(
    ("rpc", "status"),
    [pytest.param(*pair, marks=pytest.mark.thorough if number % 9 else ()) for number, pair in enumerate(PAIRS)],
    ids=lambda value: getattr(value, "name", value),
)
def test_an_rpc_that_fails(rpc: str, status: Status, plane: Plane, capfd: pytest.CaptureFixture[str]) -> None:
    before = plane.live()
    # Another variable in its image: the image is built, and files are sent.
    edited = (*APPLY, "--set", f"download.env.EDITED={next(NUMBERS)}")
    plane.erred, plane.fault = 0, (rpc, status)
    try:
        code = cli.run(edited)
    finally:
        plane.fault = None
    said = capfd.readouterr()
    assert plane.erred, "it was asked"
    for noise in ("Traceback", "has a bug", "the-key-of-this-test"):
        assert noise not in said.out + said.err
    errors = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert (code, len(errors)) in [(1, 1), (0, 0)], said.err
    assert "glm-local-cpu" in plane.live().values(), "what ran before, or the new one, is there"
    assert cli.run(edited) == 0, "the next one converges"
    # An ephemeral app whose end could not be told ends when its heartbeats stay away.
    assert set(plane.live()) <= set(before) or rpc == "AppClientDisconnect"


GUARDED = ("apply", "local-cpu", "--yes", "--no-preflight", "--set", f"model.revision='{COMMIT}'")
OF_THE_GUARD = [
    *("AppDeploymentHistory", "AppFetchLogs", "AppGetByDeploymentName", "FunctionGetSchedulingParams", "TaskGetInfo"),
    *("FunctionUpdateSchedulingParams", "TaskList"),
]
"""What is asked between a publication and its end."""


@pytest.mark.thorough
@pytest.mark.parametrize("status", [Status.PERMISSION_DENIED, Status.INTERNAL])
@pytest.mark.parametrize("rpc", OF_THE_GUARD)
def test_an_rpc_that_fails_once_in_a_guarded_rollout(
    rpc: str, status: Status, plane: Plane, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(GUARDED) == 0, "it is warm"
    edited = (*GUARDED, "--set", f"sglang.env.EDITED='{next(NUMBERS)}'")
    plane.erred, plane.once_after, plane.fault = 0, "AppPublish", (rpc, status)
    try:
        code = cli.run(edited)
    finally:
        plane.fault = plane.once_after = None
    said = capfd.readouterr()
    assert plane.erred, "it was asked"
    assert "Traceback" not in said.out + said.err
    errors = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert (code, len(errors)) in [(1, 1), (0, 0)], said.err
    assert cli.run(edited) == 0, "the next one converges"
    capfd.readouterr()
    assert cli.run(("plan", *edited[1:2], *edited[4:], "--json")) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["changed"], found["live"], found["drift"]) == (False, [], [])


GARBAGE = "sglang.env.GLMDEPLOY_STANDIN_GARBAGE='<html>'"


@pytest.mark.parametrize("rpc", some(("AppRollback", "FunctionGetSchedulingParams", "AppFetchLogs"), "AppRollback"))
def test_an_rpc_that_fails_once_while_a_version_is_taken_back(
    rpc: str, plane: Plane, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(GUARDED) == 0, "it is warm"
    plane.erred, plane.once_after, plane.fault = 0, "AppPublish", (rpc, Status.PERMISSION_DENIED)
    capfd.readouterr()
    try:
        assert cli.run((*GUARDED, "--set", GARBAGE)) == 1
    finally:
        plane.fault = plane.once_after = None
    assert plane.erred, "it was asked"
    said = capfd.readouterr()
    assert "Traceback" not in said.out + said.err
    assert len([line for line in said.err.splitlines() if line.startswith("error: ")]) == 1
    if rpc == "AppRollback":
        assert "was taken back: version " in said.err, "its plan was deployed again instead"
    assert cli.run(GUARDED) == 0, "the next one converges"
    capfd.readouterr()
    assert cli.run(("plan", "local-cpu", "--set", GUARDED[-1], "--json")) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["changed"], found["live"], found["drift"]) == (False, [], [])
