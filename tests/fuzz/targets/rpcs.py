"""The embedded control plane: calls in a row, of any message, each answered or refused, and a state that loads again.

An input is one call after the other: the RPC's name, ``:`` for a client or ``!`` for a container, two bytes of length,
and the message as it is on the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from google.protobuf.message import DecodeError
from grpclib import GRPCError, Status
from idle_container import Idle
from modal_proto import api_pb2
from modal_proto.api_grpc import ModalClientBase

from fuzz.messages import changed, filled
from fuzz.still import Loop, loop, run
from fuzz.target import Target
from glmdeploy.local.backend import make_backend
from glmdeploy.local.containers import launch, worker
from glmdeploy.local.control.plane import HANDLERS, control_plane
from glmdeploy.local.daemon import _resume
from glmdeploy.local.home import Credentials, Home
from glmdeploy.local.state import store as state
from glmdeploy.local.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from google.protobuf.message import Message

    from glmdeploy.local.backend import Backend

REFUSALS = frozenset(
    {
        Status.INVALID_ARGUMENT,
        Status.NOT_FOUND,
        Status.FAILED_PRECONDITION,
        Status.UNIMPLEMENTED,
        Status.ALREADY_EXISTS,
        Status.PERMISSION_DENIED,
        Status.RESOURCE_EXHAUSTED,
    }
)
WAITING = frozenset(
    {"AppGetLogs", "FunctionGetOutputs", "FunctionCallGetDataOut", "FunctionGetInputs", "TaskClusterHello"}
)
"""Those that a client may wait for, for as long as it likes."""
PATIENCE = 600.0
"""Seconds of the loop's clock for the others."""
MOST_CALLS = 12
MOST_MESSAGES = 2000

RPCS = tuple(
    sorted(
        "".join(part.capitalize() for part in name.split("_"))
        for handler in HANDLERS
        for name in vars(handler)
        if not name.startswith("_")
    )
)
TOKEN = Credentials(token_id="ak-fuzz", token_secret="as-fuzz")


@dataclass(frozen=True)
class Call:
    rpc: str
    of_container: bool
    message: bytes

    def written(self) -> bytes:
        sign = b"!" if self.of_container else b":"
        return self.rpc.encode() + sign + len(self.message).to_bytes(2, "little") + self.message


def calls_of(data: bytes) -> Iterator[Call]:
    """The calls that an input has; a name that is none of an RPC ends it."""
    for _ in range(MOST_CALLS):
        ends = [at for at in (data.find(b":"), data.find(b"!")) if at >= 0]
        if not ends:
            return
        end = min(ends)
        name = data[:end].decode("ascii", "replace")
        if name not in _types():
            return
        length = int.from_bytes(data[end + 1 : end + 3], "little")
        yield Call(name, data[end : end + 1] == b"!", data[end + 3 : end + 3 + length])
        data = data[end + 3 + length :]


@cache
def _types() -> dict[str, type[Message]]:
    """The message that each RPC takes."""

    class Nobody(ModalClientBase):
        pass

    Nobody.__abstractmethods__ = frozenset()
    mapping = Nobody().__mapping__()
    return {path.rpartition("/")[2]: handler.request_type for path, handler in mapping.items()} | {}


class _Numbered:
    """In the place of what makes ids at random: the ids of one input are always the same."""

    def __init__(self) -> None:
        self._letters: Iterator[str] = iter("")
        self._number = 0

    def choice(self, _: str) -> str:
        letter = next(self._letters, None)
        if letter is None:
            self._number += 1
            self._letters = iter(f"{self._number:022}")
            letter = next(self._letters)
        return letter


@dataclass
class Stream:
    """In the place of a connection: one message comes, and what is sent is counted."""

    data: bytes
    kind: type[Message]
    metadata: dict[str, str]
    sent: list[Message] = field(default_factory=list)

    async def recv_message(self) -> Message:
        return self.kind.FromString(self.data)

    async def send_message(self, message: Message) -> None:
        message.SerializeToString()
        self.sent.append(message)
        if len(self.sent) >= MOST_MESSAGES:
            raise asyncio.CancelledError
        await asyncio.sleep(0)


class Plane:
    """A control plane in a folder, whose state begins anew with each input."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")
        self.outside = Path(tempfile.mkdtemp(prefix="glmdeploy-fuzz-", dir=memory if memory.is_dir() else None))
        self.home = Home(root=self.outside / "a" / "b" / "home")
        self.home.create()
        self.store = Store(self.home.database)
        self.store._connection.execute("PRAGMA journal_mode = DELETE")
        self.empty = self.store._connection.serialize()
        self.begun = self.empty
        self.number = 0
        self.calls: list[Call] = []

    def backend(self) -> Backend:
        return make_backend(
            self.home,
            self.store,
            scratch=self.home.root / "scratch",
            gateway_url="http://127.0.0.1:1",
            server_url="http://127.0.0.1:2",
            hub_url="http://127.0.0.1:3",
            proxy_token=TOKEN,
            web_timeout=150.0,
        )

    def sweep(self) -> None:
        """Empty the folders that were written to."""
        for folder in self.home.directories:
            for each in list(folder.iterdir()):
                shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()

    def escaped(self) -> list[str]:
        """What lies outside of the home."""
        ways = (self.outside, self.outside / "a", self.outside / "a" / "b")
        return [str(each) for way in ways for each in way.iterdir() if each not in (*ways, self.home.root)]


@cache
def _plane() -> Plane:
    plane = Plane()
    logging.getLogger("glmdeploy").setLevel(logging.CRITICAL)
    with Beginning(plane) as (made, backend):

        def send(rpc: str, message: Message) -> Message:
            call = Call(rpc, False, message.SerializeToString())
            plane.calls.append(call)
            [answer] = _call(made, backend, call)
            return answer

        _begin(send)
    plane.begun = plane.store._connection.serialize()
    return plane


class Beginning:
    """A loop with a backend in a plane: containers are idle, ids are numbered."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def __enter__(self) -> tuple[Loop, Backend]:
        self._stack = contextlib.ExitStack()
        made = self._stack.enter_context(loop())
        self._stack.enter_context(patch.object(worker, "ContainerProcess", Idle))
        self._stack.enter_context(patch.object(launch.Launch, "prepare", lambda *_: None))
        numbers = _Numbered()
        numbers._number = self._plane.number
        self._stack.enter_context(patch.object(state, "secrets", numbers))
        self._numbers = numbers

        async def make() -> Backend:
            return self._plane.backend()

        return made, run(made, make())

    def __exit__(self, *fault: Any) -> None:
        if self._plane.begun is self._plane.empty:
            self._plane.number = 100
        self._stack.__exit__(*fault)


def _call(made: Loop, backend: Backend, call: Call) -> list[Message]:
    """What an RPC answers. :raises AssertionError: for an answer that none may give."""
    service = _service(backend)
    headers = {"x-modal-token-id": TOKEN.token_id, "x-modal-token-secret": TOKEN.token_secret}
    if call.of_container and backend.worker.members:
        member = next(iter(backend.worker.members.values()))
        headers = {"x-glmdeploy-task": member.task_id, "x-glmdeploy-task-secret": member.launch.task_secret}
    headers["x-modal-client-version"] = "1.6.4"
    stream = Stream(call.message, _types()[call.rpc], headers)

    async def answer() -> None:
        async with asyncio.timeout(PATIENCE):
            await getattr(service, call.rpc)(stream)

    try:
        run(made, answer())
    except GRPCError as refusal:
        assert refusal.status in REFUSALS, f"{call.rpc}: {refusal.status.name}: {refusal.message}"
        assert refusal.message, f"{call.rpc} is refused without a word"
    except TimeoutError:
        assert call.rpc in WAITING, f"{call.rpc} never answers"
    except asyncio.CancelledError:
        assert len(stream.sent) >= MOST_MESSAGES, f"{call.rpc} is cancelled"
    return stream.sent


def _service(backend: Backend) -> ModalClientBase:
    """The control plane of a backend, made once."""
    if not _services or _services[0][0] is not backend:
        _services[:] = [(backend, control_plane(backend, TOKEN, observer=None, fault=None))]
    return _services[0][1]


_services: list[tuple[Backend, ModalClientBase]] = []


def check(data: bytes) -> None:
    plane = _plane()
    calls = list(calls_of(data))
    if not calls:
        return
    plane.store._connection.deserialize(plane.begun)
    with Beginning(plane) as (made, backend):
        before = plane.store._connection.total_changes
        for call in calls:
            _call(made, backend, call)
        if plane.store._connection.total_changes != before:
            _loads_again(made, plane)
    escaped = plane.escaped()
    assert not escaped, f"written outside of the home: {escaped}"
    plane.sweep()


_LOOKED_AT = (
    "AppList",
    "VolumeList",
    "SecretList",
    "EnvironmentList",
    "TaskList",
)


def _loads_again(made: Loop, plane: Plane) -> None:
    """What is stored is what another process of the embedded cloud begins with."""
    store = plane.store
    tables = [each for each in vars(store).values() if isinstance(each, state.Table)]
    for table in tables:
        table.all()

    async def again() -> Backend:
        backend = plane.backend()
        backend.ledger.forget()
        _resume(backend)
        for app in backend.registry.live_apps():
            backend.registry.layout(app)
            for version in range(app.version + 1):
                backend.registry.functions(app, version)
        return backend

    backend = run(made, again())
    for rpc in _LOOKED_AT:
        if rpc in RPCS:
            _call(made, backend, Call(rpc, False, b""))
    for app in store.apps.all():
        request = api_pb2.AppDeploymentHistoryRequest(app_id=app.id)
        _call(made, backend, Call("AppDeploymentHistory", False, request.SerializeToString()))


def _begin(send: Callable[[str, Message], Any]) -> None:
    """Make things that calls can be about."""
    create = api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING
    app = send("AppCreate", api_pb2.AppCreateRequest(description="victim")).app_id
    functions = (api_pb2.Function(function_name="f", module_name="m"), _server(), _web())
    made = [send("FunctionCreate", api_pb2.FunctionCreateRequest(app_id=app, function=each)) for each in functions]
    known = send("ClassCreate", api_pb2.ClassCreateRequest(app_id=app))
    publication = api_pb2.AppPublishRequest(
        app_id=app,
        name="victim",
        app_state=api_pb2.APP_STATE_DEPLOYED,
        function_ids={each.function.function_name: each.function_id for each in made},
        definition_ids={each.function_id: each.handle_metadata.definition_id for each in made},
        class_ids={"c": known.class_id},
    )
    send("AppPublish", publication)
    publication.deployment_tag = "second"
    send("AppPublish", publication)
    send("ImageGetOrCreate", api_pb2.ImageGetOrCreateRequest())
    for version in (api_pb2.VOLUME_FS_VERSION_V1, api_pb2.VOLUME_FS_VERSION_V2):
        name = f"v{version}"
        send(
            "VolumeGetOrCreate",
            api_pb2.VolumeGetOrCreateRequest(deployment_name=name, object_creation_type=create, version=version),
        )
    secret = api_pb2.SecretGetOrCreateRequest(deployment_name="s", object_creation_type=create, env_dict={"A": "1"})
    send("SecretGetOrCreate", secret)


def _server() -> api_pb2.Function:
    return api_pb2.Function(
        function_name="g",
        module_name="m",
        is_server=True,
        is_class=True,
        startup_timeout_secs=600,
        http_config=api_pb2.HTTPConfig(port=8000, startup_timeout=60, proxy_regions=["us-east"]),
    )


def _web() -> api_pb2.Function:
    webhook = api_pb2.WebhookConfig(
        type=api_pb2.WEBHOOK_TYPE_WEB_SERVER, web_server_port=8000, web_server_startup_timeout=60
    )
    return api_pb2.Function(function_name="h", module_name="m", startup_timeout_secs=60, webhook_config=webhook)


@cache
def _names() -> tuple[str, ...]:
    """Ids and names of things that there are, and of those that calls make next."""
    store = _plane().store
    store._connection.deserialize(_plane().begun)
    tables = [each for each in vars(store).values() if isinstance(each, state.Table)]
    known = [
        str(getattr(row, name))
        for table in tables
        for row in table.all()
        for name in ("id", "name")
        if hasattr(row, name)
    ]
    begun = _plane().number
    nexts = [f"{kind}-{begun + number:022}" for kind in ("fc", "in", "ta", "ap", "fu") for number in range(1, 4)]
    return tuple(dict.fromkeys(each for each in (*known, *nexts) if each))


def seeds() -> Iterator[bytes]:
    for call in _plane().calls:
        yield call.written()
    f, g = (row.id for row in _plane().store.functions.all()[:2])
    work = api_pb2.FunctionPutInputsItem(idx=0, input=api_pb2.FunctionInput(args=b"x"))
    mapped = Call(
        "FunctionMap", False, api_pb2.FunctionMapRequest(function_id=f, pipelined_inputs=[work]).SerializeToString()
    )
    yield mapped.written()
    first = mapped.written() + Call("FunctionGetInputs", True, b"").written()
    yield first
    settings = api_pb2.AutoscalerSettings(min_containers=1)
    scaled = api_pb2.FunctionUpdateSchedulingParamsRequest(function_id=g, settings=settings)
    yield (
        Call("FunctionUpdateSchedulingParams", False, scaled.SerializeToString()).written()
        + Call("ContainerServerLifecycleReady", True, b"").written()
    )
    outputs = [api_pb2.FunctionPutOutputsItem(input_id=each) for each in _names() if each.startswith("in-")]
    put = Call("FunctionPutOutputs", True, api_pb2.FunctionPutOutputsRequest(outputs=outputs).SerializeToString())
    calls = [each for each in _names() if each.startswith("fc-")]
    for each in calls:
        got = api_pb2.FunctionGetOutputsRequest(function_call_id=each, timeout=10, max_values=5)
        yield first + put.written() + Call("FunctionGetOutputs", False, got.SerializeToString()).written()
    for rpc in RPCS:
        for number in range(3):
            chance = random.Random(f"{rpc}{number}")
            message = filled(_types()[rpc], chance, _names())
            yield Call(rpc, rpc in OF_CONTAINERS, message.SerializeToString()[:2000]).written()


OF_CONTAINERS = frozenset(
    {
        "ContainerHello",
        "ContainerHeartbeat",
        "FunctionGetInputs",
        "FunctionPutOutputs",
        "TaskResult",
        "ContainerServerLifecycleReady",
        "TaskClusterHello",
    }
)


def mutate(data: bytes, longest: int, seed: int) -> bytes:
    """Another row of calls: one more or less, in another order, or with a field of a message changed."""
    chance = random.Random(seed)
    calls = list(calls_of(data))
    for _ in range(chance.choice((1, 1, 2, 4))):
        calls = _otherwise(calls, chance)
    written = b"".join(call.written() for call in calls)
    return written if len(written) <= longest else calls[-1].written()[:longest]


def _otherwise(calls: list[Call], chance: Random) -> list[Call]:
    if not calls or chance.random() < 0.2:
        rpc = chance.choice(RPCS)
        message = filled(_types()[rpc], chance, _names()).SerializeToString()[:2000]
        call = Call(rpc, rpc in OF_CONTAINERS and chance.random() < 0.9, message)
        at = chance.randrange(len(calls) + 1)
        return [*calls[:at], call, *calls[at:]][:MOST_CALLS]
    at = chance.randrange(len(calls))
    call = calls[at]
    what = chance.random()
    if what < 0.08 and len(calls) > 1:
        return [*calls[:at], *calls[at + 1 :]]
    if what < 0.14:
        return [*calls[:at], call, call, *calls[at + 1 :]][:MOST_CALLS]
    if what < 0.2:
        chance.shuffle(calls)
        return calls
    return [*calls[:at], Call(call.rpc, call.of_container, _message(call, chance)), *calls[at + 1 :]]


def _message(call: Call, chance: Random) -> bytes:
    if chance.random() < 0.1:
        at = chance.randrange(len(call.message) + 1)
        return call.message[:at] + chance.randbytes(chance.randrange(1, 4)) + call.message[at + chance.randrange(3) :]
    try:
        message = _types()[call.rpc].FromString(call.message)
    except DecodeError:
        message = _types()[call.rpc]()
    changed(message, chance, _names())
    return message.SerializeToString()[:2000]


TARGET = Target(name="rpcs", check=check, seeds=seeds, mutate=mutate, longest=8192)
