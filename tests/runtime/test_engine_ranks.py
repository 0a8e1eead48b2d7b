"""Two containers of a cluster, each with an engine: what ends one ends both, and nobody else has to see to it.

Modal ends the others too, and so does the embedded cloud; here nobody does.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from engine_process import PROGRAM, put_engine, running
from support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from container_process import Container

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="127.0.0.0/8 is loopback on Linux alone")

RANK = (
    PROGRAM.replace("proof=", "link=link, proof=").replace("    key =", "    engines.ENDING_SECONDS = 1\n    key =")
    + """
    from glmdeploy.runtime.cluster import Place
    from glmdeploy.runtime.exits import lost_a_peer
    from glmdeploy.runtime.link import Link
    link = Link(Place("cu-1", int(os.environ["RANK"]), tuple(os.environ["ADDRESSES"].split())), cause=1)
    link.open(time.monotonic() + 60)
    try:
        engine = begin()
    except EngineError as error:
        own = str(error)
        end = link.end or link.fail(own, error.reasons, follows=lost_a_peer(own))
        say(f"failed: {end.says}")
        link.told()
        sys.exit(1)
    say("ready")
    while not os.path.exists("stop"):
        time.sleep(0.02)
    engine.stop()
    say("stopped")
    sys.exit(0)
"""
)
"""A container of a cluster, as ``glmdeploy.runtime.server`` has it; it ends when it is asked to, as Modal's do."""

ONE = [pytest.param(0, marks=pytest.mark.thorough), 1]
"""Which of two; rank 0, from which the others hear, with ``--all``."""

_numbers = itertools.count(os.getpid() % 100 * 500)


@contextlib.contextmanager
def cluster(folder: Path, *does: str) -> Iterator[list[Container]]:
    """The containers of a cluster, by rank, whose engines do this."""
    high, low = divmod(next(_numbers) % 50_000, 240)
    addresses = " ".join(f"127.{high % 250 + 2}.{low + 2}.{rank + 101}" for rank in range(len(does)))
    with contextlib.ExitStack() as stack:
        found = []
        for rank, each in enumerate(does):
            put_engine(folder / str(rank))
            more = {"RANK": str(rank), "ADDRESSES": addresses}
            found.append(stack.enter_context(running(folder / str(rank), RANK, each, **more)))
        yield found


def last(one: Container) -> str:
    return one.output().splitlines()[-1]


@pytest.mark.parametrize("rank", ONE)
def test_a_crash_ends_both_with_one_reason(tmp_path: Path, rank: int) -> None:
    does = ["well", "well", "well"]
    does[rank] = "crash later"
    with cluster(tmp_path, *does) as ranks:
        for one in ranks:
            one.said("ready")
        (tmp_path / str(rank) / "crash").touch()
        assert [one.wait() for one in ranks] == [1, 1, 1]
        assert not any(one.members() for one in ranks)
        told = {last(one) for one in ranks}
        assert len(told) == 1
        assert told.pop().startswith(f"rank {rank}: SGLang ended")


@pytest.mark.parametrize("rank", ONE)
def test_a_start_that_fails_fails_for_both(tmp_path: Path, rank: int) -> None:
    does = ["well", "well"]
    does[rank] = "end at once"
    with cluster(tmp_path, *does) as ranks:
        assert [one.wait() for one in ranks] == [1, 1]
        for one in ranks:
            told = one.output().partition("failed: ")[2].splitlines()
            assert told[0].startswith(f"rank {rank}: SGLang ended while starting: exit code 1")
            assert told[-1] == "ValueError: no such model"
            assert "--api-key=***" in one.output(), "what one rank tells another is as hidden as what it prints"
            assert "ecret" not in one.output()
        assert not any(one.members() for one in ranks)


@pytest.mark.parametrize("rank", [0, 1, pytest.param(2, marks=pytest.mark.thorough)])
def test_who_is_asked_to_end_takes_all_others_along(tmp_path: Path, rank: int) -> None:
    """Without a word of Modal to the others, and without a reason that is none."""
    with cluster(tmp_path, "well", "well", "well") as ranks:
        for one in ranks:
            one.said("ready")
        (tmp_path / str(rank) / "stop").touch()
        ended = [one.wait() for one in ranks]
        assert ended == [0 if each == rank else 1 for each in range(3)]
        for each, one in enumerate(ranks):
            assert last(one) == ("stopped" if each == rank else "ending the container: its cluster is not complete")
            assert "SGLang ended" not in one.output()
        assert not any(one.members() for one in ranks)


def test_all_may_be_asked_at_once(tmp_path: Path) -> None:
    with cluster(tmp_path, "well", "well") as ranks:
        for one in ranks:
            one.said("ready")
        for rank in (0, 1):
            (tmp_path / str(rank) / "stop").touch()
        assert [one.wait() for one in ranks] == [0, 0]
        assert [last(one) for one in ranks] == ["stopped", "stopped"]


@pytest.mark.parametrize("rank", ONE)
def test_who_loses_a_container_ends(tmp_path: Path, rank: int) -> None:
    with cluster(tmp_path, "well", "well") as ranks:
        for one in ranks:
            one.said("ready")
        for pid in ranks[rank].members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        other = ranks[1 - rank]
        assert other.wait() == 1
        assert last(other) == f"rank {rank}: its container is gone; ending the container"
        wait_until(lambda: not other.members())
