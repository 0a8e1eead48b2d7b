"""Whatever is sent to whichever RPC is answered or refused with a sentence, and writes nothing outside the home."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from google.protobuf.descriptor import FieldDescriptor
from grpclib import GRPCError, Status
from grpclib.client import Channel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from idle_container import Idle
from modal_proto import api_pb2
from modal_proto.api_grpc import ModalClientStub
from support import call, examples

from glmdeploy.local.containers import worker
from glmdeploy.local.control.plane import HANDLERS
from glmdeploy.local.daemon import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

    from glmdeploy.local.daemon import Running

REFUSALS = {
    Status.INVALID_ARGUMENT,
    Status.NOT_FOUND,
    Status.FAILED_PRECONDITION,
    Status.UNIMPLEMENTED,
    Status.ALREADY_EXISTS,
    Status.PERMISSION_DENIED,
    Status.RESOURCE_EXHAUSTED,
}
WAITING = {"AppGetLogs", "FunctionGetOutputs", "FunctionCallGetDataOut", "FunctionGetInputs", "ContainerHeartbeat"}
WAITING |= {"TaskClusterHello"}
"""Those that a client may wait for, for as long as it likes."""
PATIENCE = 1.0
"""Seconds after which an answer of these is not waited for any more."""

OF_CONTAINERS = {"ContainerHello", "ContainerHeartbeat", "FunctionGetInputs", "FunctionPutOutputs", "TaskResult"}
OF_CONTAINERS |= {"ContainerServerLifecycleReady", "TaskClusterHello"}

RPCS = sorted(
    "".join(part.capitalize() for part in name.split("_"))
    for handler in HANDLERS
    for name in vars(handler)
    if not name.startswith("_")
)


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the home deep in it, and shall have nothing else."""
    return tmp_path_factory.mktemp("outside")


@pytest.fixture(scope="module")
def running(outside: Path) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "ContainerProcess", Idle)
        with in_thread(outside / "a" / "b" / "home") as running:
            yield running


@pytest.fixture
def known(running: Running) -> list[str]:
    """Ids and names of things that exist."""
    cloud = running.cloud
    app = call(cloud, "AppCreate", api_pb2.AppCreateRequest(description="victim")).app_id
    function = api_pb2.Function(function_name="f", module_name="m")
    created = call(cloud, "FunctionCreate", api_pb2.FunctionCreateRequest(app_id=app, function=function))
    request = api_pb2.FunctionCreateRequest(app_id=app, function=server(warm_pool_size=1))
    serving = call(cloud, "FunctionCreate", request)
    function = server(function_name="h", warm_pool_size=2, _experimental_group_size=2)
    clustered = call(cloud, "FunctionCreate", api_pb2.FunctionCreateRequest(app_id=app, function=function))
    cls = call(cloud, "ClassCreate", api_pb2.ClassCreateRequest(app_id=app)).class_id
    publication = api_pb2.AppPublishRequest(
        app_id=app,
        name="victim",
        app_state=api_pb2.APP_STATE_DEPLOYED,
        function_ids={"f": created.function_id, "g": serving.function_id, "h": clustered.function_id},
        definition_ids={
            created.function_id: created.handle_metadata.definition_id,
            serving.function_id: serving.handle_metadata.definition_id,
            clustered.function_id: clustered.handle_metadata.definition_id,
        },
    )
    call(cloud, "AppPublish", publication)
    started = call(cloud, "FunctionMap", api_pb2.FunctionMapRequest(function_id=created.function_id))
    image = call(cloud, "ImageGetOrCreate", api_pb2.ImageGetOrCreateRequest()).image_id
    create = api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING
    volumes = [
        call(
            cloud,
            "VolumeGetOrCreate",
            api_pb2.VolumeGetOrCreateRequest(
                deployment_name=f"v{version}", object_creation_type=create, version=version
            ),
        ).volume_id
        for version in (api_pb2.VOLUME_FS_VERSION_V1, api_pb2.VOLUME_FS_VERSION_V2)
    ]
    wanted = api_pb2.SecretGetOrCreateRequest(deployment_name="s", object_creation_type=create, env_dict={"A": "1"})
    secret = call(cloud, "SecretGetOrCreate", wanted).secret_id
    ids = [app, created.function_id, serving.function_id, created.handle_metadata.definition_id, cls, image, secret]
    worker = running.backend.worker
    ids += [clustered.function_id, *worker.members, *worker.gangs]
    return [*ids, *volumes, started.function_call_id, "victim", "f", "v1", "s"]


PREFIXES = {"app_id": "ap-", "function_id": "fu-", "call_id": "fc-", "volume_id": "vo-", "image_id": "im-"}
PREFIXES |= {"secret_id": "st-", "class_id": "cs-", "task_id": "ta-", "definition_id": "de-", "input_id": "in-"}
PREFIXES |= {"cluster_id": "cu-"}


class Words:
    """Strings for fields: what a field asks for most of the time, else anything."""

    def __init__(self, known: list[str], outside: Path) -> None:
        hostile = ["", "/", ".", "..", "../../escaped", str(outside / "absolute"), "a\0b", "ö", "-1", "1-x", "x" * 300]
        hostile += ["0" * 64, "A" * 64, "g" * 64, "* * * * *", "Mars/Olympus", "a" * 5000, "/".join("d" * 200)]
        self._known = known
        self._any = st.sampled_from([*known, *hostile]) | st.text(max_size=8)

    def draw(self, draw: st.DrawFn, name: str) -> str:
        prefix = next((prefix for ending, prefix in PREFIXES.items() if name.endswith(ending)), None)
        fitting = [word for word in self._known if prefix and word.startswith(prefix)]
        if fitting and draw(st.integers(0, 9)) < 8:
            return draw(st.sampled_from(fitting))
        return draw(self._any)


NUMBERS = [0, 1, -1, 2, 7, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 2**32 - 1, 2**64 - 1]
FLOATS = [0.0, 1.0, -1.0, 1e300, math.inf, -math.inf, math.nan]


def value(draw: st.DrawFn, field: FieldDescriptor, words: Words, depth: int) -> Any:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_MESSAGE:
        assert field.message_type is not None
        return message(draw, field.message_type, words, depth - 1)
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        assert field.enum_type is not None
        return draw(st.sampled_from([*[each.number for each in field.enum_type.values], 999]))
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return draw(st.booleans())
    if kind in {FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE}:
        return draw(st.sampled_from(FLOATS))
    if field.type == FieldDescriptor.TYPE_BYTES:
        return draw(st.binary(max_size=40))
    if field.type == FieldDescriptor.TYPE_STRING:
        return words.draw(draw, field.name)
    low, high = {
        FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
        FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
        FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
        FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    }[kind]
    return draw(st.sampled_from([number for number in NUMBERS if low <= number <= high]))


def message(draw: st.DrawFn, descriptor: Descriptor, words: Words, depth: int) -> Message:
    built: Message = descriptor._concrete_class()
    # Ids decide how far a request gets: they are nearly always there.
    fields = [
        field
        for field in descriptor.fields
        if draw(st.integers(0, 9)) < (9 if field.name.endswith(("_id", "_name", "path", "name")) else 4)
        and (depth or field.message_type is None)
    ]
    for field in fields:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            key, item = field.message_type.fields
            container = getattr(built, field.name)
            name = value(draw, key, words, depth)
            if item.message_type is not None:
                container[name].CopyFrom(value(draw, item, words, depth))
            else:
                container[name] = value(draw, item, words, depth)
        elif field.is_repeated:
            getattr(built, field.name).extend(value(draw, field, words, depth) for _ in range(draw(st.integers(0, 2))))
        elif field.message_type is not None:
            getattr(built, field.name).CopyFrom(value(draw, field, words, depth))
        else:
            setattr(built, field.name, value(draw, field, words, depth))
    return built


async def ask(channel: Channel, rpc: str, request: Message, metadata: dict[str, str]) -> str:
    """How it was refused; empty for an answer."""
    method = getattr(ModalClientStub(channel), rpc)
    try:
        async with asyncio.timeout(PATIENCE if rpc in WAITING else 60.0):
            if hasattr(method, "reply_type") and "UnaryStream" in type(method).__name__:
                async with method.open(metadata=metadata) as stream:
                    await stream.send_message(request, end=True)
                    async for _ in stream:
                        pass
            else:
                await method(request, metadata=metadata)
    except TimeoutError:
        assert rpc in WAITING
        return ""
    except GRPCError as refusal:
        assert refusal.status in REFUSALS, f"{rpc}: {refusal.status.name} {refusal.message}\n{request}"
        assert refusal.message
        return str(refusal.message)
    return ""


def refused(running: Running, rpc: str, request: Message) -> GRPCError:
    with pytest.raises(GRPCError) as refusal:
        call(running.cloud, rpc, request)
    return refusal.value


FUNCTIONS = {
    "a period without an end": api_pb2.Function(
        schedule=api_pb2.Schedule(period=api_pb2.Schedule.Period(seconds=math.inf))
    ),
    "a period that is no number": api_pb2.Function(
        schedule=api_pb2.Schedule(period=api_pb2.Schedule.Period(seconds=math.nan))
    ),
    "a period of a million years": api_pb2.Function(
        schedule=api_pb2.Schedule(period=api_pb2.Schedule.Period(years=2**31 - 1))
    ),
    "a folder of time zones": api_pb2.Function(
        schedule=api_pb2.Schedule(cron=api_pb2.Schedule.Cron(cron_string="* * * * *", timezone="America"))
    ),
    "a time zone elsewhere": api_pb2.Function(
        schedule=api_pb2.Schedule(cron=api_pb2.Schedule.Cron(cron_string="* * * * *", timezone="../../etc/passwd"))
    ),
    "a mount outside": api_pb2.Function(
        volume_mounts=[api_pb2.VolumeMount(mount_path="/../../escaped", volume_id="vo-1")]
    ),
    "a part of a volume outside": api_pb2.Function(
        volume_mounts=[api_pb2.VolumeMount(mount_path="/a", sub_path="../../escaped", volume_id="vo-1")]
    ),
    "more processes than there are": api_pb2.Function(
        autoscaler_settings=api_pb2.AutoscalerSettings(min_containers=2**32 - 1)
    ),
    "more processes than there are, in the old way": api_pb2.Function(warm_pool_size=2**31),
}


def server(**fields: Any) -> api_pb2.Function:
    """A Server that can be run, but for ``fields``; those of its http_config are in a mapping."""
    config = {"port": 8000, "startup_timeout": 30, "proxy_regions": ["us-east"], **fields.pop("http", {})}
    return api_pb2.Function(**{"function_name": "g", "is_server": True, "http_config": config, **fields})


SERVERS = {
    "no configuration": server(http_config=None),
    "no port": server(http={"port": 0}),
    "a port beyond all": server(http={"port": 2**31 - 1}),
    "no time to start": server(http={"startup_timeout": 0}),
    "no routing region": server(http={"proxy_regions": [""]}),
    "more grace than there is": server(http={"exit_grace_period": 3601}),
    "HTTP/2": server(http={"h2_enabled": True}),
    "no class": server(http={"lift_and_shift_config": {}}),
    "sessions": server(is_sessioned=True),
    "a schedule": server(schedule={"cron": {"cron_string": "* * * * *"}}),
    "a web function": server(webhook_config={"type": api_pb2.WEBHOOK_TYPE_WEB_SERVER}),
    "a concurrency that is no number": server(autoscaler_settings={"target_concurrency_float": math.nan}),
    "a concurrency below nothing": server(autoscaler_settings={"target_concurrency_float": -1.0}),
    "no Server": server(is_server=False),
    "a cluster of more than there may be": server(_experimental_group_size=2**32 - 1),
    "half a cluster": server(_experimental_group_size=2, autoscaler_settings={"min_containers": 3}),
    "half a cluster, in the old way": server(_experimental_group_size=2, warm_pool_size=3),
    "a cluster of functions": server(_experimental_group_size=2, is_server=False, http_config=None),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_functions_that_nobody_can_run(running: Running, function: api_pb2.Function) -> None:
    app_id = call(running.cloud, "AppCreate", api_pb2.AppCreateRequest(description="x")).app_id
    refusal = refused(running, "FunctionCreate", api_pb2.FunctionCreateRequest(app_id=app_id, function=function))
    assert refusal.status in {Status.INVALID_ARGUMENT, Status.UNIMPLEMENTED}


@pytest.mark.parametrize("function", SERVERS.values(), ids=SERVERS.keys())
def test_servers_that_nobody_can_run(running: Running, function: api_pb2.Function) -> None:
    app_id = call(running.cloud, "AppCreate", api_pb2.AppCreateRequest(description="x")).app_id
    refusal = refused(running, "FunctionCreate", api_pb2.FunctionCreateRequest(app_id=app_id, function=function))
    assert refusal.status in {Status.INVALID_ARGUMENT, Status.UNIMPLEMENTED}


def test_a_server_is_run(running: Running) -> None:
    app_id = call(running.cloud, "AppCreate", api_pb2.AppCreateRequest(description="x")).app_id
    request = api_pb2.FunctionCreateRequest(app_id=app_id, function=server())
    (url,) = call(running.cloud, "FunctionCreate", request).handle_metadata._experimental_flash_urls
    assert url.startswith(running.cloud.gateway_url)


def test_more_containers_than_a_machine_can_have(running: Running, known: list[str]) -> None:
    function_id = next(word for word in known if word.startswith("fu-"))
    settings = api_pb2.AutoscalerSettings(min_containers=2**32 - 1)
    request = api_pb2.FunctionUpdateSchedulingParamsRequest(function_id=function_id, settings=settings)
    assert refused(running, "FunctionUpdateSchedulingParams", request).status is Status.UNIMPLEMENTED


@pytest.mark.parametrize(
    "file",
    [
        api_pb2.VolumePutFiles2Request.File(path="a", size=2**64 - 1),
        api_pb2.VolumePutFiles2Request.File(path="a", size=1, blocks=[{"contents_sha256": b"short"}]),
        api_pb2.VolumePutFiles2Request.File(path="a" * 300, size=0),
        api_pb2.VolumePutFiles2Request.File(path="a\0b", size=0),
        api_pb2.VolumePutFiles2Request.File(path="/../../escaped", size=0),
    ],
)
def test_files_that_no_volume_can_have(
    running: Running, known: list[str], file: api_pb2.VolumePutFiles2Request.File
) -> None:
    volume_id = next(word for word in known if word.startswith("vo-"))
    request = api_pb2.VolumePutFiles2Request(volume_id=volume_id, files=[file])
    assert refused(running, "VolumePutFiles2", request).status is Status.INVALID_ARGUMENT


def test_a_folder_is_not_copied_into_itself(running: Running, known: list[str]) -> None:
    volume_id = next(word for word in known if word.startswith("vo-"))
    (running.backend.home.volumes / volume_id / "a" / "b").mkdir(parents=True)
    request = api_pb2.VolumeCopyFilesRequest(volume_id=volume_id, src_paths=["a"], dst_path="a/b", recursive=True)
    assert refused(running, "VolumeCopyFiles", request).message == "a cannot be copied into itself"


@pytest.mark.parametrize("rpc", RPCS)
def test_anything_is_answered_or_refused(
    running: Running, known: list[str], outside: Path, rpc: str, caplog: pytest.LogCaptureFixture
) -> None:
    words = Words(known, outside)
    loop = asyncio.new_event_loop()
    address = urlsplit(running.cloud.server_url)

    async def connect() -> Channel:
        return Channel(address.hostname, address.port)

    channel = loop.run_until_complete(connect())
    service = ModalClientStub(channel)
    kind = getattr(service, rpc).request_type.DESCRIPTOR
    client = {
        "x-modal-token-id": running.cloud.token_id,
        "x-modal-token-secret": running.cloud.token_secret,
    }

    def identity() -> dict[str, str]:
        """A container's, where the RPC is for containers and there is one."""
        for member in list(running.backend.worker.members.values()):
            if rpc in OF_CONTAINERS:
                if rpc == "TaskClusterHello" and not member.peers:
                    continue
                return {
                    "x-glmdeploy-task": member.task_id,
                    "x-glmdeploy-task-secret": member.launch.task_secret,
                }
        return client

    @settings(
        max_examples=examples(8 if rpc in WAITING else 60),
        database=None,
        suppress_health_check=list(HealthCheck),
        deadline=None,
    )
    @given(st.composite(lambda draw: message(draw, kind, words, 3))())
    def hostile(request: Message) -> None:
        loop.run_until_complete(ask(channel, rpc, request, identity()))

    try:
        with caplog.at_level(logging.WARNING):
            loop.run_until_complete(ask(channel, rpc, kind._concrete_class(), client))
            hostile()
    finally:
        channel.close()
        loop.close()
    assert not [record for record in caplog.records if record.exc_info]
    assert [path.name for path in outside.iterdir()] == ["a"]
    assert [path.name for path in (outside / "a").iterdir()] == ["b"]
    assert [path.name for path in (outside / "a" / "b").iterdir()] == ["home"]
