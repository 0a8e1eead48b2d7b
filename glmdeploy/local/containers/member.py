"""One container as its pool sees it: what it works on, and whether it may get more."""

from __future__ import annotations

import ast
import asyncio
import hmac
import time
from typing import TYPE_CHECKING

from modal_proto import api_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.local.containers.launch import Launch
    from glmdeploy.local.containers.process import ContainerProcess
    from glmdeploy.local.state.calls import Input

GRACE = 30.0
"""Seconds that exit hooks may take (Modal's documented limit) before the container is terminated."""


_LOOK_AGAIN = 0.05
"""Seconds between two looks at a port."""
_LONGEST_FAILURE = 500
"""Characters of a failure that are repeated when the container ends."""


class RetiredError(Exception):
    """Tells a container that asks for input that it must end."""


class StartFailedError(Exception):
    """No container could take a request; the message says why and holds no secrets."""


class Lease:
    """A web request's right to one of a container's input slots. ``cut`` is called where it ends before the request."""

    def __init__(self) -> None:
        self.member: Member | None = None
        self.granted: asyncio.Future[Member] = asyncio.get_running_loop().create_future()
        self.cut: Callable[[], None] = lambda: None

    def fail(self, status: int, message: str) -> None:
        if not self.granted.done():
            self.granted.set_exception(StartFailedError(message))


class Member:
    """``rescheduling`` says what becomes of its inputs if it ends: given to another, or failed.

    ``started_at`` is 0 as long as it waits for its GPUs. ``version`` is its app's: that of the publication that it was
    started for. ``failure`` is what its last call failed with, in one line; empty where that went well. ``server_port``
    is where the code of a Server says that it listens, 0 for what is none. ``came_up`` says of its container that its own
    part of the start is done. Of a cluster's containers ``peers`` are the others, by their ranks; ``lost`` is what has
    ended them, empty where they were told to end.
    """

    def __init__(
        self,
        *,
        launch: Launch,
        app_id: str,
        function_id: str,
        version: int,
        process: ContainerProcess,
        say: Callable[[str], None],
        server_port: int = 0,
        rank: int = 0,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self.launch = launch
        self.app_id = app_id
        self.function_id = function_id
        self.version = version
        self.say = say
        self.server_port = server_port
        self.rank = rank
        self.peers: tuple[Member, ...] = ()
        self.enqueued_at = time.time()
        self.started_at = 0.0
        self.came_up = False
        self.ready = False
        self.draining = False
        self.stopping = False
        self.gone = False
        self.rescheduling = False
        self.failure = ""
        self.lost = ""
        self.idle_since = time.monotonic()
        self.inputs: dict[str, Input] = {}
        self.leases: set[Lease] = set()
        self.canceled: set[str] = set()
        self.cancellation = asyncio.Event()
        self._process = process
        self._on_ready = on_ready
        self._web_port = 0
        self._poll: asyncio.Future[Input] | None = None

    @property
    def task_id(self) -> str:
        return self.launch.task_id

    @property
    def leader(self) -> Member:
        """Who gets the requests: of a cluster the container of rank 0."""
        return self.peers[0] if self.rank else self

    @property
    def size(self) -> int:
        """Containers that start and end with it, and it itself."""
        return 1 + len(self.peers)

    @property
    def released(self) -> bool:
        """Whether it was told to end, and not because another one of its cluster has."""
        return self.stopping and not self.lost

    def accepts_secret(self, secret: str) -> bool:
        """Whether it is this container that calls."""
        return hmac.compare_digest(secret.encode(), self.launch.task_secret.encode())

    @property
    def load(self) -> int:
        return len(self.inputs) + len(self.leases)

    def became_ready(self) -> None:
        if not self.ready:
            self.ready = True
            self._on_ready()
            self.idle_since = time.monotonic()

    def accepts(self, work: Input | Lease, per_container: float) -> bool:
        if not self.ready or self.draining:
            return False
        if isinstance(work, Lease):
            return self.load < per_container
        return self._poll is not None and not self._poll.done()

    def take(self, work: Input | Lease) -> None:
        """``accepts`` must have said yes."""
        if isinstance(work, Lease):
            self.leases.add(work)
            work.member = self
            work.granted.set_result(self)
        elif self._poll is not None:
            self.inputs[work.id] = work
            work.task_id = self.task_id
            work.started_at = time.time()
            self._poll.set_result(work)

    async def poll(self, seconds: float, changed: Callable[[], None]) -> Input | None:
        """Wait for :meth:`take`; ``changed`` is called once it may come.

        :raises RetiredError:
        """
        if self.stopping:
            raise RetiredError
        self._poll = asyncio.get_running_loop().create_future()
        changed()
        try:
            return await asyncio.wait_for(self._poll, seconds)
        except TimeoutError:
            return None
        finally:
            self._poll = None

    def drain(self) -> None:
        """No new work; the pool stops it once it is idle."""
        self.draining = True

    def stop(self, *, force: bool = False) -> None:
        """End it and its peers in the orderly way, by force after a while; ``force`` skips the orderly part."""
        for member in (self, *self.peers):
            member._stop(force=force)

    def _stop(self, *, force: bool) -> None:
        if self.gone:
            return
        first, self.stopping, self.draining = not self.stopping, True, True
        if force:
            self._process.end(after=0)
        elif first:
            if self._poll is not None and not self._poll.done():
                self._poll.set_exception(RetiredError())
            elif self.ready and self.inputs:
                self._process.interrupt()
            elif not (self.ready or self.came_up):
                self._process.end(after=0)
            elif self.server_port:
                # What a Server's container waits for, to run its exit hooks (modal 1.6.4, _container_entrypoint.py).
                self._process.terminate()
            self._process.end(after=GRACE)

    def answered(self, result: api_pb2.GenericResult) -> None:
        """Its last call has ended with ``result``."""
        kind = api_pb2.GenericResult
        well = result.status in {kind.GENERIC_STATUS_SUCCESS, kind.GENERIC_STATUS_TERMINATED}
        self.failure = "" if well else self.told(result)

    def told(self, result: api_pb2.GenericResult) -> str:
        """A failure in one line, without secrets."""
        # Masked before and after: a secret may be written with escapes, or over several lines.
        line = first_line(self.launch.redact(result.exception))
        line = line or api_pb2.GenericResult.GenericStatus.Name(result.status)
        return self.launch.redact(line)[:_LONGEST_FAILURE]

    def cancel(self, input_id: str) -> None:
        """Tell the container, with its next heartbeat, to give an input up."""
        self.canceled.add(input_id)
        self.cancellation.set()

    async def listens(self) -> bool:
        """Wait until a Server's port takes connections; False where the container has to end before."""
        while not (self.stopping or self.gone):
            if await _listening(self.launch.port) or await _listening(self.server_port):
                return True
            await asyncio.sleep(_LOOK_AGAIN)
        return False

    async def web_port(self, configured: int) -> int:
        """Where its web server listens: the port that it was given, or else the one that its code insists on.

        Code that does not know of ``GLMDEPLOY_LOCAL_PORT`` takes its own; then only one such container can
        run at a time.
        """
        if not self._web_port:
            given = self.launch.port
            unaware = not await _listening(given) and await _listening(configured)
            self._web_port = configured if unaware else given
        return self._web_port


def first_line(exception: str) -> str:
    """What Modal's runtime reports of an exception, its ``repr``, as one line that a person can read."""
    kind, _, rest = exception.partition("(")
    try:
        text = ast.literal_eval(rest.removesuffix(")"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        text = None
    if isinstance(text, str) and text.strip() and kind.isidentifier():
        return f"{kind}: {text.strip().splitlines()[0]}"
    return next(iter(exception.strip().splitlines()), "")


async def _listening(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
