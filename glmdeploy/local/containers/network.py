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


class Network:
    """``127.A.B.0/24``, of which rank k has the host k + 1, with A and B drawn until nobody else has them.

    Linux takes any address in 127.0.0.0/8 for its loopback; other systems would have to be told each one. ``port`` was
    free on every address of the machine when the network was taken: PyTorch's store, by which the nodes of an engine
    find each other, listens on all of them (measured with SGLang 0.5.23), so that two clusters cannot have the same.

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
        with socket.socket() as probe:
            probe.bind(("", 0))
            self.port = int(probe.getsockname()[1])

    def address(self, rank: int) -> str:
        """IPv4."""
        return f"{self._prefix}.{rank + 1}"

    def close(self) -> None:
        self._hold.close()


def mapped(address: str) -> str:
    """An IPv4 address as an IPv6 one."""
    return f"::ffff:{address}"
