"""Addresses of clusters: nobody has the same ones, of whatever embedded cloud, as long as they are taken."""

from __future__ import annotations

import random
import socket
import sys

import pytest

from glmdeploy.local.containers.network import _MEETING_PORTS, Network, mapped


def test_one_that_is_taken_is_not_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([77, 1, 77, 1, 78, 2, 77, 1])
    monkeypatch.setattr(random, "randrange", lambda *_: next(drawn))
    first, second = Network(), Network()
    assert (first.address(0), first.address(1)) == ("127.77.1.1", "127.77.1.2")
    assert second.address(0) == "127.78.2.1"
    first.close()
    third = Network()
    assert third.address(0) == "127.77.1.1"
    for network in (second, third):
        network.close()


def test_its_ports_are_free_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last port of the first row is taken, at another address than that of the cluster."""
    rows = list(_MEETING_PORTS)
    monkeypatch.setattr(random, "sample", lambda *_: rows)
    network = Network()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", network.port + 15))
        another = Network()
        assert another.port == network.port + 16
    for each in (network, another):
        each.close()


def test_a_container_can_listen_at_both_forms() -> None:
    network = Network()
    for family, address in ((socket.AF_INET, network.address(3)), (socket.AF_INET6, mapped(network.address(3)))):
        with socket.socket(family) as listener:
            listener.bind((address, 0))
            listener.listen()
            with socket.create_connection((network.address(3), listener.getsockname()[1])):
                pass
    network.close()


def test_only_linux_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(OSError, match="clusters of the embedded cloud need Linux"):
        Network()
