"""The containers of one replica of a clustered Server: they start together, know each other, and end together.

The pool sees the one of rank 0 alone, which gets all requests. What Modal says of clusters, and what is taken for
granted here where it says nothing, stands in docs/embedded-cloud.md.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.local.state.store import new_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modal_proto import api_pb2

    from glmdeploy.local.containers.member import Member
    from glmdeploy.local.containers.network import Network


@dataclass(frozen=True, kw_only=True)
class End:
    """How a container has ended: ``told`` in a clause, for logs; ``reason`` for clients, with the end of its log.

    ``result`` is what it reported before, if it did.
    """

    crashed: bool
    told: str
    reason: str
    result: api_pb2.GenericResult | None


class Gang:
    """``members`` are in the order of their ranks; ``first`` is the end that ended the others, if one has."""

    def __init__(self, network: Network, members: Sequence[Member]) -> None:
        self.id = new_id("cu")
        self.network = network
        self.members = tuple(members)
        self.app_id = members[0].app_id
        self.started_at = time.time()
        self.first: End | None = None
        self._greeted: set[int] = set()
        self._complete = asyncio.Event()
        for member in members:
            member.peers = tuple(other for other in members if other is not member)

    @property
    def addresses(self) -> list[str]:
        """By rank, IPv4."""
        return [self.network.address(rank) for rank in range(len(self.members))]

    async def greeted(self, rank: int) -> None:
        """A container says hello: wait until all have."""
        self._greeted.add(rank)
        if len(self._greeted) == len(self.members):
            self._complete.set()
        await self._complete.wait()

    def ended(self, member: Member, end: End) -> None:
        """One has ended: where nobody had told the gang to, that is why all others do."""
        if self.first is not None or member.leader.released:
            return
        self.first = end
        member.lost = end.told
        member.drain()
        for other in member.peers:
            other.lost = f"rank {member.rank}, container {member.task_id}, {end.told}"
            other.say(f"container {other.task_id} ends with its cluster: {other.lost}")
        member.stop()
