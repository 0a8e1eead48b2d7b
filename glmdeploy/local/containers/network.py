"""Addresses of a cluster's containers: a part of this machine's loopback that nobody else has while they run."""

from __future__ import annotations

import contextlib
import random
import socket
import sys

_HELD = 254
"""The host whose port is bound as long as the network is taken, by whichever embedded cloud of this machine."""
_PORT = 19_998
_TRIES = 100
_IN_A_ROW = 16
"""Ports: SGLang 0.5.23 derives six more from the first (``srt/server_args.py``, ``PortArgs``)."""
_MEETING_PORTS = range(20_032, 32_000, _IN_A_ROW)
"""Below those that Linux gives to connections (``ip_local_port_range``)."""


class Network:
    """``127.A.B.0/24``, of which rank k has the host k + 1, with A and B drawn until nobody else has them.

    Linux takes any address in 127.0.0.0/8 for its loopback; other systems would have to be told each one. ``port`` and
    those after it were free on all addresses of the machine when the network was taken: there PyTorch's store listens,
    by which the nodes of an engine find each other (measured with SGLang 0.5.23), so that no two clusters can share it.

    :raises OSError: where there is none.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise OSError("clusters of the embedded cloud need Linux: other systems have one loopback address")
        for _ in range(_TRIES):
            self._prefix = f"127.{random.randrange(16, 255)}.{random.randrange(256)}"
            self._hold = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with contextlib.suppress(OSError):
                self._hold.bind((f"{self._prefix}.{_HELD}", _PORT))
                break
            self._hold.close()
        else:
            raise OSError("no part of the loopback network is left for a cluster")
        free = (port for port in random.sample(_MEETING_PORTS, len(_MEETING_PORTS)) if _free(port))
        self.port = next(free, _MEETING_PORTS[0])

    def address(self, rank: int) -> str:
        """IPv4."""
        return f"{self._prefix}.{rank + 1}"

    def close(self) -> None:
        self._hold.close()


def _free(first: int) -> bool:
    try:
        for port in range(first, first + _IN_A_ROW):
            with socket.socket() as probe:
                probe.bind(("", port))
    except OSError:
        return False
    return True


def mapped(address: str) -> str:
    """An IPv4 address as an IPv6 one."""
    return f"::ffff:{address}"
