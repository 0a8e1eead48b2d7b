"""What the containers of a cluster tell each other: who is ready, that all serve, and one reason for the end of all."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples, wait_until

from glmdeploy.runtime.cluster import Place
from glmdeploy.runtime.link import Link, NotMet

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="127.0.0.0/8 is loopback on Linux alone")

CLUSTER = "cu-1"
SOON = 10.0
_numbers = itertools.count(os.getpid() % 200 * 250)


def places(nodes: int) -> list[Place]:
    """Each test's cluster has addresses of its own: they all use the same port."""
    high, low = divmod(next(_numbers) % 60_000, 240)
    addresses = tuple(f"127.{high % 250 + 2}.{low + 2}.{rank + 1}" for rank in range(nodes))
    return [Place(CLUSTER, rank, addresses) for rank in range(nodes)]


def later() -> float:
    return time.monotonic() + SOON


def opened(nodes: int = 2, *, silent: float = 60.0, cause: float = 10.0) -> list[Link]:
    """The links of a cluster, by rank, each of which the first one has heard of."""
    links = [Link(place, silent=silent, cause=cause) for place in places(nodes)]
    for link in links:
        link.open(later())
    wait_until(lambda: len(links[0]._peers) == nodes - 1)
    return links


def at_once(*calls: Callable[[], object]) -> list[object]:
    """What each returns or raises, called at the same time."""

    def called(call: Callable[[], object]) -> object:
        try:
            return call()
        except NotMet as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result(SOON) for each in [pool.submit(called, call) for call in calls]]


def told(link: Link) -> str:
    """Why the cluster ends, as far as this rank has heard."""
    wait_until(lambda: link.end is not None)
    assert link.end is not None
    return link.end.says


def hang_up(link: Link) -> None:
    """What the end of a container's process does to its connections."""
    for peer in link._peers.values():
        peer.shutdown(socket.SHUT_RDWR)


def test_all_are_ready_and_serve() -> None:
    links = opened(3)

    def one(link: Link) -> Callable[[], object]:
        def come() -> str:
            link.meet(later())
            link.serve(later())
            return "serves"

        return come

    assert at_once(*map(one, links)) == ["serves"] * 3
    assert [link.end for link in links] == [None] * 3


def test_rank_0_waits_until_all_are_ready() -> None:
    first, second = opened()
    met = threading.Event()
    threading.Thread(target=lambda: (first.meet(later()), met.set()), daemon=True).start()
    assert not met.wait(0.3)
    second.meet(later())
    assert met.wait(SOON)


def test_who_is_not_ready_in_time_is_named() -> None:
    first, *_ = [Link(place) for place in places(3)]
    second = Link(Place(CLUSTER, 1, first.place.addresses))
    first.open(later())
    second.open(later())
    wait_until(lambda: 1 in first._peers)
    with pytest.raises(NotMet, match="not all ranks were ready in time: rank 1, never heard of rank 2"):
        first.meet(time.monotonic() + 0.1)


def test_a_rank_without_rank_0_speaks_for_itself() -> None:
    _, second = [Link(place) for place in places(2)]
    with pytest.raises(NotMet, match=rf"rank 0 is not there at {second.place.addresses[0]}:19999: "):
        second.open(time.monotonic() + 0.3)
    assert second.lost
    began = time.monotonic()
    second.told()
    assert time.monotonic() - began < SOON, "it has said so itself"


def test_a_rank_that_waits_for_rank_0_does_so_for_so_long() -> None:
    _, second = opened()
    with pytest.raises(NotMet, match="rank 0 did not say in time that the cluster serves"):
        second.serve(time.monotonic() + 0.1)


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_one_reason_ends_all(rank: int) -> None:
    links = opened(3)
    ended: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for link in links:
        link.ends(ended[link.place.rank].append)
    end = links[rank].fail("SGLang ended with exit code 1\nits last line", ("SGLang ended",))
    assert end.says == f"rank {rank}: SGLang ended with exit code 1\nits last line"
    assert end.reasons == (f"rank {rank}: SGLang ended",)
    assert {told(link) for link in links} == {end.says}
    others = [number for number in ended if number != rank]
    wait_until(lambda: all(ended[number] for number in others))
    assert ended == {number: [] if number == rank else [end.says] for number in ended}
    assert not any(link.lost for link in links)


def test_the_first_reason_counts() -> None:
    first, second, third = opened(3)
    second.fail("it broke")
    assert told(third) == "rank 1: it broke"
    assert third.fail("it lost the others").says == "rank 1: it broke"
    assert first.fail("so did it").says == "rank 1: it broke"


@pytest.mark.parametrize("follower", [0, 1])
def test_who_seems_to_follow_another_waits_for_its_reason(follower: int) -> None:
    links = opened()
    found = threading.Thread(target=lambda: links[follower].fail("connection reset by peer", follows=True), daemon=True)
    found.start()
    time.sleep(0.3)
    assert [link.end for link in links] == [None, None]
    links[1 - follower].fail("it broke")
    assert {told(link) for link in links} == {f"rank {1 - follower}: it broke"}
    found.join(SOON)


@pytest.mark.parametrize("follower", [0, 1])
def test_where_nobody_has_a_better_reason_it_counts(follower: int) -> None:
    links = opened(cause=0.2)
    end = links[follower].fail("connection reset by peer", follows=True)
    assert {told(link) for link in links} == {end.says} == {f"rank {follower}: connection reset by peer"}


def test_a_container_that_is_gone_ends_all() -> None:
    first, second, third = opened(3)
    hang_up(second)
    assert {told(first), told(third)} == {"rank 1: its container is gone"}


def test_without_rank_0_each_one_ends_and_says_so() -> None:
    first, second = opened()
    hang_up(first)
    assert told(second) == "rank 0: its container is gone"
    assert second.lost
    assert second.fail("SGLang ended").says == "rank 0: its container is gone"


def test_an_end_that_rank_0_has_told_is_no_loss_of_it() -> None:
    first, second = opened()
    first.fail("it broke")
    assert told(second) == "rank 0: it broke"
    hang_up(first)
    time.sleep(0.2)
    assert not second.lost


def test_a_container_that_says_nothing_any_more_ends_all() -> None:
    [place, other] = places(2)
    first = Link(place, silent=0.5)
    first.open(later())
    with socket.create_connection((place.addresses[0], 19_999)) as quiet:
        quiet.sendall(json.dumps({"hello": [other.rank, CLUSTER]}).encode() + b"\n")
        assert told(first) == "rank 1: its container gave no sign of life for 0.5 s"


def test_a_quiet_cluster_lives_on() -> None:
    links = opened(silent=0.4)
    time.sleep(1.2)
    assert [link.end for link in links] == [None, None]


def test_a_rank_that_is_asked_to_end_waits_for_rank_0() -> None:
    first, second = opened()
    left = threading.Event()
    threading.Thread(target=lambda: (second.leave(SOON), left.set()), daemon=True).start()
    assert first.left()
    assert not left.wait(0.3)
    first.done()
    assert left.wait(SOON)
    hang_up(second)
    time.sleep(0.2)
    assert first.end is None


def test_a_rank_that_is_asked_to_end_waits_no_longer_than_it_may() -> None:
    _, second = opened()
    began = time.monotonic()
    second.leave(0.2)
    assert time.monotonic() - began < 2


def test_nobody_waits_for_one_that_is_asked_to_end_when_all_has_ended() -> None:
    first, _ = opened()
    threading.Timer(0.2, first.done).start()
    assert not first.left()


STRANGERS = [
    b"",
    b"\n",
    b"GET / HTTP/1.1\r\n\r\n",
    json.dumps({"hello": [1, "cu-2"]}).encode() + b"\n" + json.dumps({"failed": {}}).encode() + b"\n",
    json.dumps({"hello": [0, CLUSTER]}).encode() + b"\n",
    json.dumps({"hello": [2, CLUSTER]}).encode() + b"\n",
    json.dumps({"hello": [True, CLUSTER]}).encode() + b"\n",
    json.dumps({"hello": [[1], CLUSTER]}).encode() + b"\n",
    json.dumps({"hello": {"1": CLUSTER}}).encode() + b"\n",
    b"[" * 70_000,
    b"[" * 50_000 + b"\n",
    b"\xff\xfe\n",
]


@pytest.mark.parametrize("says", STRANGERS)
def test_a_stranger_ends_nothing(says: bytes) -> None:
    first, second = opened()
    with socket.create_connection((first.place.addresses[0], 19_999)) as stranger:
        stranger.settimeout(SOON)
        with contextlib.suppress(OSError):  # it hung up with some of it unread
            stranger.sendall(says)
            stranger.shutdown(socket.SHUT_WR)
            assert stranger.recv(1) == b""
    assert [first.end, second.end] == [None, None]
    second.meet(later())
    first.meet(later())


def test_a_rank_is_heard_once() -> None:
    first, second = opened()
    with socket.create_connection((first.place.addresses[0], 19_999)) as again:
        again.sendall(json.dumps({"hello": [1, CLUSTER]}).encode() + b"\n")
        again.settimeout(SOON)
        assert again.recv(1) == b""
    second.meet(later())
    first.meet(later())


@settings(max_examples=examples(60))
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["failed", "end", "says", "reasons", "ready", "x"]), inner)
        ),
        max_leaves=8,
    )
)
def test_whatever_a_rank_says_is_read(message: object) -> None:
    place, other = places(2)
    first = Link(place)
    first.open(later())
    with socket.create_connection((place.addresses[0], 19_999)) as peer:
        peer.sendall(json.dumps({"hello": [other.rank, CLUSTER]}).encode() + b"\n")
        peer.sendall(json.dumps(message).encode() + b"\n")
        peer.sendall(json.dumps({"failed": {"says": "rank 1: over", "reasons": []}}).encode() + b"\n")
        assert told(first)


def test_who_comes_after_the_end_is_told_it() -> None:
    first, second = [Link(place) for place in places(2)]
    first.open(later())
    first.fail("the API key is missing")
    second.open(later())
    assert told(second) == "rank 0: the API key is missing"
    assert not second.lost


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("letter", ["x", "█", "😀"])
def test_a_long_reason_arrives_with_its_first_line_and_its_last(rank: int, letter: str) -> None:
    links = opened()
    lines = [f"{number:03d} {letter * 1990}" for number in range(30)]
    says = "\n".join(["SGLang ended while starting: exit code 1", *lines, "ValueError: no such model"])
    links[rank].fail(says, tuple(letter * 900 for _ in range(9)))
    for link in links:
        first, *_, last = told(link).splitlines()
        assert first == f"rank {rank}: SGLang ended while starting: exit code 1"
        assert last == "ValueError: no such model"
        assert link.end is not None
        assert len(link.end.says) <= 8000
        assert sum(map(len, link.end.reasons)) <= 4000
        assert link.end.reasons[:3] == (f"rank {rank}: {letter * 900}",) * 3
        assert not link.lost


def test_a_rank_whose_start_failed_waits_until_rank_0_has_said_so() -> None:
    first, second = opened()
    second.fail("it broke")
    left = threading.Event()
    threading.Thread(target=lambda: (second.told(), left.set()), daemon=True).start()
    assert not left.wait(0.3)
    first.told()
    assert left.wait(SOON)


def test_nobody_waits_for_the_word_of_a_rank_0_that_is_gone() -> None:
    first, second = opened()
    second.fail("it broke")
    threading.Timer(0.2, hang_up, [first]).start()
    began = time.monotonic()
    second.told()
    assert time.monotonic() - began < SOON


def test_all_leave_when_rank_0_is_asked_to_end() -> None:
    first, second, third = opened(3)
    first.leave(SOON)
    assert second.left()
    assert third.left()
    left = threading.Event()
    threading.Thread(target=lambda: (second.leave(SOON), left.set()), daemon=True).start()
    assert not left.wait(0.3)
    first.done()
    assert left.wait(SOON)
    hang_up(first)
    time.sleep(0.2)
    assert [second.end, third.end] == [None, None], "nothing failed"


def test_a_connection_that_cannot_be_taken_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = [Link(place) for place in places(2)]
    faults = iter([OSError(24, "Too many open files")])
    accept = socket.socket.accept

    def refuse_once(listener: socket.socket) -> tuple[socket.socket, object]:
        for fault in faults:
            raise fault
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", refuse_once)
    first.open(later())
    second.open(later())
    second.meet(later())
    first.meet(later())


def test_a_port_that_is_taken_is_told() -> None:
    [place, _] = places(2)
    refused = pytest.raises(NotMet, match=rf"it cannot listen at {place.addresses[0]}:19999: .*in use")
    with socket.create_server((place.addresses[0], 19_999)), refused:
        Link(place).open(later())
