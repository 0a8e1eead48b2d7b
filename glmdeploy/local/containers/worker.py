"""Runs the containers of everything that is deployed: a pool per function, a process per container."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from modal_proto import api_pb2

from glmdeploy.local.containers import telling
from glmdeploy.local.containers.gang import End, Gang
from glmdeploy.local.containers.launch import Seat
from glmdeploy.local.containers.limits import cluster_size, limits
from glmdeploy.local.containers.member import Member
from glmdeploy.local.containers.network import Network
from glmdeploy.local.containers.pool import Pool
from glmdeploy.local.containers.process import ContainerProcess
from glmdeploy.local.containers.server_pool import ServerPool
from glmdeploy.local.state.store import Run

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from glmdeploy.local.containers.launch import Launch, Planner
    from glmdeploy.local.containers.limits import Limits
    from glmdeploy.local.containers.quota import Quota
    from glmdeploy.local.state.files import FileStore
    from glmdeploy.local.state.ledger import Ledger
    from glmdeploy.local.state.logbook import LogBook
    from glmdeploy.local.state.registry import LiveFunction, Registry
    from glmdeploy.local.state.store import App

log = logging.getLogger(__name__)

_LINES_IN_MESSAGES = 15
_PRINTED = frozenset({api_pb2.FILE_DESCRIPTOR_STDOUT, api_pb2.FILE_DESCRIPTOR_STDERR})


@dataclass(frozen=True, kw_only=True)
class Container:
    """One that was asked for, with its process and what is written down of it."""

    member: Member
    process: ContainerProcess
    run: Run


class Worker:
    """``members`` are the containers that exist, by task id; ``gangs`` the clusters, by their own."""

    def __init__(
        self, *, registry: Registry, planner: Planner, files: FileStore, logs: LogBook, ledger: Ledger, quota: Quota
    ) -> None:
        self.members: dict[str, Member] = {}
        self.gangs: dict[str, Gang] = {}
        self.quota = quota
        self._ledger = ledger
        self._registry = registry
        self._planner = planner
        self._files = files
        self._logs = logs
        self._pools: dict[str, Pool] = {}
        self._member_pools: dict[str, Pool] = {}
        self._results: dict[str, api_pb2.GenericResult] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def pool(self, function_id: str) -> Pool | None:
        """Of a live function."""
        if function_id not in self._pools:
            live = self._registry.function(function_id)
            if live is None:
                return None
            kind = ServerPool if live.proto.is_server else Pool
            self._pools[function_id] = kind(live, self._limits(live), self._start)
        return self._pools[function_id]

    def of_app(self, app: App) -> list[Member]:
        """The containers that an app has."""
        return [member for member in self.members.values() if member.app_id == app.id]

    def loads(self) -> dict[tuple[str, str], int]:
        """How many inputs and requests each container works on, by its function's id and its own."""
        return {(each.function_id, each.task_id): each.load for each in self.members.values() if each.load}

    def server_pool(self, member: Member) -> ServerPool | None:
        """Of a Server's container that exists."""
        pool = self._member_pools[member.task_id]
        return pool if isinstance(pool, ServerPool) else None

    def pool_of(self, member: Member) -> Pool:
        """Of a container that exists, even where its function is no longer live."""
        return self._member_pools[member.task_id]

    def gang_of(self, member: Member) -> Gang | None:
        """The cluster that a container is part of."""
        return next((gang for gang in self.gangs.values() if member in gang.members), None)

    def refresh(self, app: App) -> None:
        """Follow a publication, or changed autoscaler settings."""
        functions = {live.id: live for live in self._registry.functions(app)}
        for function_id, live in functions.items():
            known = self._pools.get(function_id)
            if known is not None and isinstance(known, ServerPool) != live.proto.is_server:
                del self._pools[function_id]
                known.close("the function has become a Server, or a Server a function")
            pool = self.pool(function_id)
            if pool is not None:
                pool.redefine(live, self._limits(live))
        # Who has asked for a function of one version goes on with it.
        pinned = {id_ for id_, pool in self._pools.items() if pool.live is not None and pool.live.pinned}
        self._close(app, "is no longer part of its app", keep=functions.keys() | pinned)

    def _limits(self, live: LiveFunction) -> Limits:
        found = limits(live.proto, self._registry.autoscaler(live.id))
        return replace(found, minimum=0, buffer=0) if live.pinned else found

    def stop(self, app: App) -> None:
        self._close(app, "was stopped with its app", keep=set())

    def _close(self, app: App, message: str, *, keep: set[str]) -> None:
        for function_id, pool in list(self._pools.items()):
            if pool.app_id == app.id and function_id not in keep:
                del self._pools[function_id]
                pool.close(f"the function {message}")

    def report(self, task_id: str, result: api_pb2.GenericResult) -> None:
        """What a container says about itself before it ends: its start or its exit hooks have failed."""
        self._results[task_id] = result

    def refuse(self, message: str) -> None:
        """Fail whatever waits for a container with ``message``."""
        for pool in self._pools.values():
            pool.refuse(message)

    async def close(self, grace: float) -> None:
        """Stop every container: in the orderly way for ``grace`` seconds, then by force."""
        for pool in self._pools.values():
            pool.close("the embedded cloud is stopping")
        self._pools.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for member in self.members.values():
            member.stop(force=True)
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self, live: LiveFunction, pool: Pool) -> Member:
        """Start a container, or a cluster of them: all or nothing. The one that gets the requests."""
        size = cluster_size(live.proto) if live.proto._experimental_group_size else 0
        network = Network() if size else None
        try:
            seats = (
                [Seat(address=network.address(rank), port=network.port) for rank in range(size)] if network else [None]
            )
            launches = [self._planner.plan(live, self._layout(live), seat) for seat in seats]
        except BaseException:
            if network is not None:
                network.close()
            raise
        containers = [self._container(live, launch, rank) for rank, launch in enumerate(launches)]
        gang = Gang(network, [each.member for each in containers]) if network else None
        if gang is not None:
            self.gangs[gang.id] = gang
        for each in containers:
            self.members[each.member.task_id] = each.member
            self._ledger.open(each.run)
            self._member_pools[each.member.task_id] = pool
        self.attend(self._run(containers, gang, pool))
        return containers[0].member

    def _layout(self, live: LiveFunction) -> api_pb2.AppLayout:
        return self._registry.layout(live.app, live.version if live.pinned else 0)

    def _container(self, live: LiveFunction, launch: Launch, rank: int) -> Container:
        app_id, function_id = live.app.id, live.id

        def write(texts: list[str], source: int) -> None:
            calls = {each.call.id for each in member.inputs.values()}
            self._logs.append(
                app_id,
                *texts,
                source=source,
                function_id=function_id,
                task_id=launch.task_id,
                call_id=calls.pop() if len(calls) == 1 else "",
            )

        def output(lines: list[str], error: bool) -> None:
            write(lines, api_pb2.FILE_DESCRIPTOR_STDERR if error else api_pb2.FILE_DESCRIPTOR_STDOUT)

        process = ContainerProcess(launch, output)
        member = Member(
            launch=launch,
            app_id=app_id,
            function_id=function_id,
            version=live.version,
            process=process,
            say=lambda text: write([text], api_pb2.FILE_DESCRIPTOR_INFO),
            server_port=live.proto.http_config.port if live.proto.is_server else 0,
            rank=rank,
            on_ready=lambda: self._ledger.ready(launch.task_id),
        )
        run = Run(
            id=launch.task_id,
            app_id=app_id,
            environment=live.app.environment,
            function_id=function_id,
            gpu=live.gpu.gpu_type,
            gpus=live.gpu.count,
            enqueued_at=member.enqueued_at,
        )
        return Container(member=member, process=process, run=run)

    def attend(self, what: Coroutine[Any, Any, None]) -> None:
        """Do it beside everything else; it ends with its container."""
        task = asyncio.get_running_loop().create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, containers: list[Container], gang: Gang | None, pool: Pool) -> None:
        """One replica, from the wait for its GPUs to its end."""
        leader, environment = containers[0].member, containers[0].run.environment
        gpus = sum(each.run.gpus for each in containers)
        if self.quota.most is not None and self.quota.used(environment) + gpus > self.quota.most:
            for each in containers:
                each.member.say(f"container {each.member.task_id} waits for {gpus} of the {self.quota.most} GPUs")
        if await self.quota.take(environment, gpus, lambda: leader.stopping):
            try:
                if gang is None:
                    end = await self._to_its_end(containers[0], gang, pool)
                else:
                    ends = await asyncio.gather(*(self._to_its_end(each, gang, pool) for each in containers))
                    end = gang.first or ends[0]
            finally:
                self.quota.give_back(environment, gpus)
        else:
            [end, *_] = [self._ended(each, 0, "was stopped before it had a GPU", late=False) for each in containers]
        if gang is not None:
            gang.network.close()
            del self.gangs[gang.id]
        pool.ended(leader, crashed=end.crashed, reason=end.reason, result=end.result)

    async def _to_its_end(self, one: Container, gang: Gang | None, pool: Pool) -> End:
        code, ending, late = await self._live(one.member, one.process, gang, pool)
        end = self._ended(one, code, ending, late=late)
        if gang is not None:
            gang.ended(one.member, end)
        return end

    def _ended(self, one: Container, code: int, ending: str, *, late: bool) -> End:
        member = one.member
        member.gone = True
        result = self._results.pop(member.task_id, None)
        failed = telling.failed(member, result)
        # The process may have ended well where what it was for has not.
        told = f"ended after {failed}" + (f" ({ending})" if code or late else "") if failed else ending
        member.say(f"container {member.task_id} {told}")
        del self.members[member.task_id], self._member_pools[member.task_id]
        self._ledger.ended(member.task_id, telling.outcome(member, code, result).SerializeToString())
        return End(crashed=code != 0, told=told, reason=self._explain(member, ending, result), result=result)

    async def _live(
        self, member: Member, process: ContainerProcess, gang: Gang | None, pool: Pool
    ) -> tuple[int, str, bool]:
        """From the start to the end: the exit code, how it ended in words, and whether it was too slow to start."""
        member.started_at = time.time()
        self._ledger.started(member.task_id)
        member.say(f"container {member.task_id} starts")
        for remark in [*telling.seat(gang, member), *telling.remarks(pool), *telling.replaced(member)]:
            member.say(remark)
        limit = pool.limits.startup_timeout
        late: list[str] = []

        def give_up() -> None:
            if not (member.ready or member.came_up):
                late.append(f"it was not ready within its startup timeout of {limit:g}s")
                process.end(after=0)

        clock = asyncio.get_running_loop().call_later(limit, give_up)
        try:
            await asyncio.to_thread(member.launch.prepare, self._files)
            code = await process.run()
            ending = telling.describe(code)
        except Exception as fault:
            # Whatever it was, the pool must hear that this container is not there.
            log.exception("container %s could not be started", member.task_id)
            code, ending = 1, f"could not be started: {fault}"
        finally:
            clock.cancel()
        return code, "; ".join([ending, *late]), bool(late)

    def tick(self) -> None:
        """Write down that what runs does: after a ``kill -9`` that is all that is known."""
        self._ledger.alive([task_id for task_id, member in self.members.items() if member.started_at])

    def _explain(self, member: Member, ending: str, result: api_pb2.GenericResult | None) -> str:
        kind = "container ended" if member.leader.ready else "container failed to start"
        rank = f" (rank {member.rank} of its cluster)" if member.peers else ""
        message = f"{kind}{rank}: {ending}"
        if result is not None and result.exception:
            message = f"{kind}{rank}: {result.exception}"
        lines = self._logs.tail(member.app_id, member.task_id, sources=_PRINTED, count=_LINES_IN_MESSAGES)
        text = "\n".join([message, "the last lines of its log:", *lines] if lines else [message])
        return member.launch.redact(text)
