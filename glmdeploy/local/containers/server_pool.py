"""The containers of a Server (``@app.server``): requests never wait for one, and streams end with their containers.

What Modal says of it, and what is taken for granted here where it says nothing, stands in docs/embedded-cloud.md.
"""

from __future__ import annotations

import asyncio
import time
from hashlib import sha256
from typing import TYPE_CHECKING

from glmdeploy.local.containers.member import Lease
from glmdeploy.local.containers.pool import Pool

if TYPE_CHECKING:
    from modal_proto import api_pb2

    from glmdeploy.local.containers.limits import Limits
    from glmdeploy.local.containers.member import Member
    from glmdeploy.local.state.registry import LiveFunction


class RefusedError(Exception):
    """A request that gets no container. ``failure`` says why the last one could not start, and holds no secrets."""

    def __init__(self, status: int, message: str, *, failure: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.failure = failure


class ServerPool(Pool):
    """``failure`` is why the last container could not start; empty once one could."""

    failure = ""
    _asked = False
    """Whether a request has come while there was no container at all."""
    _short_since: float | None = None
    """Since when more containers are wanted than there are."""

    def admit(self, session: str) -> Lease:
        """A slot in a container that is ready; those of one ``session`` get the same container if they can.

        :raises RefusedError: 503 where none is ready, which makes one start; 429 where all have what they may have.
        """
        ready = [member for member in self.members if member.ready and not member.draining]
        if not ready:
            self._asked = all(member.draining for member in self.members)
            self.balance()
            raise RefusedError(503, "no container is ready: one starts, ask again", failure=self.failure)
        free = [member for member in ready if member.load < self.limits.per_container]
        if not free:
            raise RefusedError(429, f"every container has its {self.limits.per_container:g} requests (max_concurrency)")
        lease = Lease()
        if session:
            chosen = max(free, key=lambda member: sha256(f"{session} {member.task_id}".encode()).digest())
        else:
            chosen = min(free, key=lambda member: member.load)
        chosen.take(lease)
        self.balance()
        return lease

    async def serves(self, member: Member) -> None:
        """The container's enter hooks are done: requests may come once its port takes connections.

        Of a cluster those of all ranks must be. The port of a rank above 0 gets no requests and is not waited for.
        """
        if not member.rank and not await member.listens():
            return
        member.came_up, leader = True, member.leader
        if member.rank:
            member.became_ready()
        if leader.stopping or not all(each.came_up for each in (leader, *leader.peers)):
            return
        leader.became_ready()
        if not self._outdated(leader):
            self.failure = ""
        self._succeeded(leader)
        self.balance()

    def redefine(self, live: LiveFunction, limits: Limits) -> None:
        self.failure = ""
        super().redefine(live, limits)

    def ended(self, member: Member, *, crashed: bool, reason: str, result: api_pb2.GenericResult | None) -> None:
        if not (member.ready or member.released or self._outdated(member)):
            self.failure = reason
        super().ended(member, crashed=crashed, reason=reason, result=result)

    def _start_missing(self, live: LiveFunction, current: list[Member], fresh: list[Member], wanted: int) -> None:
        """Start what is missing of this version: the first one at once, more once they are wanted for long enough."""
        now = time.monotonic()
        if self._asked or len(current) > len(fresh):
            wanted = max(wanted, min(1, self.limits.maximum))
        missing = wanted - len(fresh)
        at_once = min(wanted, max(self.limits.minimum, 1)) - len(fresh)
        self._short_since = (self._short_since or now) if missing > max(at_once, 0) else None
        if self._short_since is not None and now - self._short_since < self.limits.scaleup_window:
            missing = at_once
        if now >= self._not_before and self._start_some(live, missing):
            self._asked = False

    def let_go(self, member: Member) -> None:
        """No new requests; those that run get the grace period."""
        member.drain()
        if member.load:
            member.say(f"container {member.task_id} has to go: its requests have {self.limits.exit_grace:g}s")
            asyncio.get_running_loop().call_later(self.limits.exit_grace, self._cut, member)

    def _cut(self, member: Member) -> None:
        for lease in list(member.leases):
            lease.cut()
        member.stop()

    def _moments(self) -> list[float]:
        short = [] if self._short_since is None else [self._short_since + self.limits.scaleup_window]
        return [*super()._moments(), *short]
