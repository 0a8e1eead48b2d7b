"""The containers of one function: how many there are, and which of them gets which input or request.

Those of a cluster are one here: the one of rank 0 stands for all.

Everything happens in the event loop and in one place, :meth:`Pool.balance`, which is called after every
change: it hands out what waits, starts containers for what still waits, and retires those not needed.

A publication makes the containers that there are outdated. They go on, and count towards ``max_containers``, until
containers of the new version are ready: those take their places one by one. What Modal says of it, and what is taken
for granted here where it says nothing, stands in docs/embedded-cloud.md.
"""

from __future__ import annotations

import asyncio
import logging
import time
from math import ceil
from typing import TYPE_CHECKING

from modal_proto import api_pb2

from glmdeploy.local.containers.member import Lease, Member
from glmdeploy.local.state.calls import Input

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from glmdeploy.local.containers.limits import Limits
    from glmdeploy.local.state.registry import LiveFunction


log = logging.getLogger(__name__)

_LONG_POLL = 50.0
"""Seconds after which a container that waits for an input gets an empty answer and asks again."""

_RESTART_DELAYS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before a container that nobody waits for is started again, after so many failures in a row."""


class Pool:
    def __init__(
        self,
        live: LiveFunction,
        limits: Limits,
        start: Callable[[LiveFunction, Pool], Member],
    ) -> None:
        self.live: LiveFunction | None = live
        self.app_id = live.app.id
        self.limits = limits
        self.members: list[Member] = []
        self.waiting: list[Input | Lease] = []
        self._start = start
        self._timer: asyncio.TimerHandle | None = None
        self._failures = 0
        self._not_before = 0.0

    # What changes from outside

    def redefine(self, live: LiveFunction, limits: Limits) -> None:
        """A new publication, or other limits: the old containers serve until new ones are ready."""
        self.live = live
        self.limits = limits
        self._failures = 0
        self._not_before = 0.0
        self.balance()

    def close(self, message: str) -> None:
        """The function is gone: what waits and what runs ends with ``message``."""
        self.live = None
        self.refuse(message)
        for member in self.members:
            for work in list(member.inputs.values()):
                work.fail(api_pb2.GenericResult.GENERIC_STATUS_TERMINATED, message)
            member.inputs.clear()
            member.stop()
        self.balance()

    def refuse(self, message: str) -> None:
        """What waits ends with ``message``; what runs goes on."""
        waiting, self.waiting = self.waiting, []
        for work in waiting:
            work.fail(api_pb2.GenericResult.GENERIC_STATUS_TERMINATED, message)

    def submit(self, work: Input | Lease) -> None:
        self.waiting.append(work)
        self.balance()

    def withdraw(self, work: Input | Lease) -> bool:
        """Whether it was still waiting."""
        if isinstance(work, Lease) and work.member is not None:
            return False
        if work in self.waiting:
            self.waiting.remove(work)
            self.balance()
            return True
        return False

    def release(self, lease: Lease) -> None:
        """A request is done."""
        if lease.member is not None:
            lease.member.leases.discard(lease)
            lease.member.idle_since = time.monotonic()
            self._succeeded(lease.member)
        self.balance()

    def let_go(self, member: Member) -> None:
        """It finishes what it has, and ends."""
        member.drain()

    # What containers say

    async def next_input(self, member: Member) -> Input | None:
        """Wait for an input; None where none came for a while.

        :raises RetiredError: where it must end.
        """
        member.became_ready()
        given = set(member.inputs)
        try:
            return await member.poll(_LONG_POLL, self.balance)
        except asyncio.CancelledError:
            # The container has hung up: what it was just about to get is for another one.
            for undelivered in [member.inputs.pop(id_) for id_ in set(member.inputs) - given]:
                self.waiting.insert(0, undelivered)
            raise

    def finished(self, member: Member, work: Input, output: api_pb2.FunctionGetOutputsItem) -> None:
        """A member has answered; a failure is tried again where the function's retry policy says so."""
        if member.inputs.pop(work.id, None) is not None:
            work.stop_clock()
            member.answered(output.result)
            member.idle_since = time.monotonic()
            self._succeeded(member)
            self._settle(work, output)
        self.balance()

    def ended(self, member: Member, *, crashed: bool, reason: str, result: api_pb2.GenericResult | None) -> None:
        """A member's process has ended; ``result`` is what it reported before, if it did."""
        self.members.remove(member)
        failure = result or api_pb2.GenericResult(
            status=api_pb2.GenericResult.GENERIC_STATUS_INTERNAL_FAILURE, exception=reason
        )
        for work in list(member.inputs.values()):
            if member.released and member.rescheduling:
                self.waiting.insert(0, work)
            else:
                self._settle(work, work.answer(failure))
        outdated = self._outdated(member)
        if (crashed or not member.ready) and not (member.released or outdated):
            self._failures += 1
            delay = _RESTART_DELAYS[min(self._failures, len(_RESTART_DELAYS)) - 1]
            self._not_before = time.monotonic() + delay
        if not (member.ready or member.released or outdated or self._served):
            self._fail_waiting(failure, reason)
        self.balance()

    @property
    def _served(self) -> bool:
        """Whether a container is ready, be it of an older version."""
        return any(member.ready and not member.draining for member in self.members)

    def _outdated(self, member: Member) -> bool:
        return self.live is not None and member.version != self.live.version

    def _succeeded(self, member: Member) -> None:
        """What it has done says nothing about a newer version, whose start may fail again and again."""
        if not self._outdated(member):
            self._failures = 0

    def _fail_waiting(self, failure: api_pb2.GenericResult, reason: str) -> None:
        """Nobody else can do it, and the next container would most likely fail to start in the same way."""
        waiting, self.waiting = self.waiting, []
        for work in waiting:
            if isinstance(work, Lease):
                work.fail(failure.status, reason)
            else:
                work.finish(work.answer(failure))

    def _settle(self, work: Input, output: api_pb2.FunctionGetOutputsItem) -> None:
        succeeded = output.result.status in {
            api_pb2.GenericResult.GENERIC_STATUS_SUCCESS,
            api_pb2.GenericResult.GENERIC_STATUS_TERMINATED,
        }
        policy = self.live.proto.retry_policy if self.live else api_pb2.FunctionRetryPolicy()
        if succeeded or work.attempt >= policy.retries:
            work.finish(output)
            return
        delay = policy.initial_delay_ms * max(policy.backoff_coefficient, 1.0) ** work.attempt
        work.attempt += 1
        asyncio.get_running_loop().call_later(
            min(delay, policy.max_delay_ms or delay) / 1000, self._retry, work, output
        )

    def _retry(self, work: Input, output: api_pb2.FunctionGetOutputsItem) -> None:
        if self.live is None:
            work.finish(output)
        elif work.output is None:
            self.submit(work)

    # The balance

    def balance(self) -> None:
        self._assign()
        if self.live is not None:
            current = [member for member in self.members if not member.draining]
            fresh = [member for member in current if not self._outdated(member)]
            wanted = self.limits.wanted(len(self.waiting) + sum(member.load for member in current))
            self._start_missing(self.live, current, fresh, wanted)
            self._replace(current, fresh, wanted)
            self._retire_idle([member for member in current if not member.draining], wanted)
        for member in self.members:
            if member.draining and member.load == 0:
                member.stop()
        self._schedule()

    def _start_missing(self, live: LiveFunction, current: list[Member], fresh: list[Member], wanted: int) -> None:
        """Start what is missing of this version, one after another where the last start has failed."""
        # Who waits for an answer gets a start at once; a start that nobody waits for can take its time.
        urgent = self.waiting and not self._served
        if urgent or time.monotonic() >= self._not_before:
            self._start_some(live, wanted - len(fresh))

    def _start_some(self, live: LiveFunction, count: int) -> bool:
        """Start ``count`` containers, or fewer: whether there was one.

        All that exist count, whatever their version: where they are as many as there may be, the next one starts when
        one has ended. A cluster of an older version may have had another size.
        """
        count = min(count, self.limits.maximum - self._room_of(self.members))
        if count > 0:
            # After a failure one at a time, not to repeat it in parallel.
            self._add(live, 1 if self._failures else count)
        return count > 0

    def _room_of(self, members: Iterable[Member]) -> int:
        """How many of this version's have room where these are."""
        return sum(ceil(member.size / self.limits.size) for member in members)

    def _replace(self, current: list[Member], fresh: list[Member], wanted: int) -> None:
        """Let containers of an older version go, the least busy first, for each of this one that is ready.

        As many stay as there are still missing: a larger one would leave no room for these.
        """
        ready = sum(member.ready for member in fresh)
        old = sorted((member for member in current if self._outdated(member)), key=lambda member: member.load)
        while ready and old and self._room_of(old) > wanted - ready:
            self.let_go(old.pop(0))

    def _add(self, live: LiveFunction, count: int) -> None:
        try:
            for _ in range(count):
                self.members.append(self._start(live, self))
        except Exception as fault:
            log.exception("no container of %s could be started", live.id)
            self._failures += 1
            self._not_before = time.monotonic() + _RESTART_DELAYS[-1]
            reason = f"no container could be started: {fault}"
            status = api_pb2.GenericResult.GENERIC_STATUS_INTERNAL_FAILURE
            self._fail_waiting(api_pb2.GenericResult(status=status, exception=reason), reason)

    def _assign(self) -> None:
        refused: set[type[Input | Lease]] = set()
        for work in list(self.waiting):
            if type(work) in refused:
                continue  # whether a member accepts work is the same for all of a kind
            candidates = [member for member in self.members if member.accepts(work, self.limits.per_container)]
            if candidates:
                self.waiting.remove(work)
                min(candidates, key=lambda member: member.load).take(work)
                if isinstance(work, Input):
                    self._start_clock(work)
            else:
                refused.add(type(work))

    def _retire_idle(self, current: list[Member], wanted: int) -> None:
        """Of those that are ready as many stay as are wanted: one that starts is no help yet, and may never be."""
        now = time.monotonic()
        ready = [member for member in current if member.ready]
        idle = [member for member in ready if member.load == 0]
        idle.sort(key=lambda member: (not self._outdated(member), member.idle_since))
        for member in idle[: max(len(ready) - wanted, 0)]:
            if now - member.idle_since >= self.limits.scaledown_window:
                member.drain()

    def _schedule(self) -> None:
        """Come back when the next idle container's time is up, or a failed start may be repeated."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.live is None:
            return
        now = time.monotonic()
        moments = [moment for moment in self._moments() if moment > now]
        if moments:
            delay = min(moments) - now + 0.01
            self._timer = asyncio.get_running_loop().call_later(delay, self.balance)

    def _moments(self) -> list[float]:
        """When something is to be looked at again, by the monotonic clock."""
        idle = [member for member in self.members if member.ready and not member.draining and member.load == 0]
        return [self._not_before, *(member.idle_since + self.limits.scaledown_window for member in idle)]

    # The time limit of an input

    def _start_clock(self, work: Input) -> None:
        work.stop_clock()
        if self.limits.timeout is not None:
            work.clock = asyncio.get_running_loop().call_later(self.limits.timeout, self._time_out, work)

    def _time_out(self, work: Input) -> None:
        member = next((member for member in self.members if work.id in member.inputs), None)
        if member is None:
            return
        message = f"Task's current input {work.id} hit its timeout of {self.limits.timeout:g}s"
        member.say(message)
        del member.inputs[work.id]
        result = api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_TIMEOUT, exception=message)
        self._settle(work, work.answer(result))
        # An input cannot be ended without its container: others that run there are given to another one.
        member.rescheduling = True
        member.stop(force=True)
        self.balance()
