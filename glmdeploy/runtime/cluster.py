"""A container's place among those that serve together, and what SGLang is told of it.

Modal starts the containers of a cluster together and tells each one its rank and the addresses of all
(``modal.Cluster``, modal 1.6.4, ``_cluster.py``). SGLang wants the same as options, which differ by container and are
therefore in no plan: ``--nnodes``, ``--node-rank``, and with ``--dist-init-addr`` where rank 0 is (0.5.8 to 0.5.23).
"""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glmdeploy.runtime.hosting import DIST_PORT, local_meeting_port

INTERFACE_VARIABLES = ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME")
"""Which interface NCCL, Gloo and PyTorch's tensor pipes take for what does not go by RDMA."""

SIOCGIFADDR = 0x8915
"""Linux's question for an interface's IPv4 address (``include/uapi/linux/sockios.h``)."""


class NoPlace(RuntimeError):
    """A container of a cluster does not learn its place; the message says why."""


@dataclass(frozen=True)
class Place:
    """``addresses`` are IPv4, by rank: SGLang joins one with a port by a colon."""

    cluster: str
    rank: int
    addresses: tuple[str, ...]

    @property
    def address(self) -> str:
        """This container's own."""
        return self.addresses[self.rank]

    @property
    def leads(self) -> bool:
        """Whether requests reach this container: Modal sends them to rank 0 alone."""
        return self.rank == 0

    @property
    def nodes(self) -> int:
        return len(self.addresses)


def place_of(deployed: Mapping[str, Any]) -> Place | None:
    """This container's place; None where the plan has each container serve alone.

    :raises NoPlace:
    """
    if "cluster" not in deployed:
        return None
    import modal  # what else is here is also used where there is none

    try:
        cluster = modal.Cluster.from_context()
        rank, addresses = cluster.container_rank(), cluster.container_ips(family="ipv4")
    except Exception as error:  # no part of the plan may be served by one container alone
        raise NoPlace(f"this container is in no cluster: {str(error) or type(error).__name__}") from None
    wanted = deployed["cluster"]["nodes"]
    if len(addresses) != wanted or not 0 <= rank < wanted:
        raise NoPlace(
            f"the plan has {wanted} containers to a cluster, and Modal tells rank {rank} of {len(addresses)} addresses"
        )
    return Place(cluster.object_id, rank, tuple(addresses))


def rehearsed(deployed: Mapping[str, Any]) -> Place | None:
    """A place of rank 0 for a command that is judged alone, by a container that is in no cluster."""
    return Place("none", 0, ("127.0.0.1",) * deployed["cluster"]["nodes"]) if "cluster" in deployed else None


def with_place(command: Sequence[str], place: Place | None) -> list[str]:
    """SGLang's command as this container starts it."""
    if place is None:
        return list(command)
    meeting = f"{place.addresses[0]}:{local_meeting_port(DIST_PORT)}"
    return [*command, "--nnodes", str(place.nodes), "--node-rank", str(place.rank), "--dist-init-addr", meeting]


def network(place: Place | None, environment: Mapping[str, str]) -> dict[str, str]:
    """What SGLang is told of this container's network, in variables that its ``environment`` does not have.

    Left to itself NCCL takes an interface that leads nowhere on Modal's network of clusters (Modal's own deployment of
    SGLang on two hosts, modal-projects/sglang at 62ecc49, ``modal_deployments/qwen38_max_fp8_2x8b300``), and SGLang
    tells the other ranks the address of the default route, at which they wait for ever (``get_local_ip_auto``, 0.5.8 to
    0.5.23). Nothing is told of an interface that is not found.
    """
    if place is None:
        return {}
    own = {"SGLANG_HOST_IP": place.address}
    if (name := _interface(place.address)) is not None:
        own |= dict.fromkeys(INTERFACE_VARIABLES, name) | {"NCCL_SOCKET_FAMILY": "AF_INET"}
    return {key: value for key, value in own.items() if key not in environment}


def _interface(address: str) -> str | None:
    """The interface that has an IPv4 address. All of 127.0.0.0/8 is the loopback interface's."""
    loopback = ipaddress.ip_address(address).is_loopback
    for _, name in socket.if_nameindex():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            try:
                found = fcntl.ioctl(asker.fileno(), SIOCGIFADDR, struct.pack("256s", name[:15].encode()))
            except OSError:  # it has none
                continue
        told = ipaddress.ip_address(found[20:24])
        if str(told) == address or (loopback and told.is_loopback):
            return name
    return None


def watched(health: Mapping[str, Any], place: Place | None) -> Mapping[str, Any]:
    """The settings of the watch, of the plan's ``server.health``.

    SGLang above rank 0 has a ``/health`` that always answers, no ``/v1/loads`` and no detokenizer: that it is stopped
    can be seen, and that it has ended. What else goes wrong there silences rank 0.
    """
    return health if place is None or place.leads else {**health, "decoding": "off", "ranks": 0}
