"""What lines of a log, and two counts of requests, tell of an app: without a cloud."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
import pytest

from glmdeploy.cli.logs import Moment
from glmdeploy.errors import DeployError
from glmdeploy.operate import logs
from glmdeploy.operate.history import History, Version
from glmdeploy.operate.last_words import last_words
from glmdeploy.operate.logs import Found, Line, Log, Lost, Stopped, Wanted
from glmdeploy.operate.requests import Requests, merged
from glmdeploy.operate.status import as_replicas, container, start_seconds
from glmdeploy.operate.target import Target
from glmdeploy.operate.tasks import Task
from glmdeploy.operate.versions import proofs

if TYPE_CHECKING:
    from collections.abc import Iterable

AT = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)
DIGEST = "0123456789abcdef0123" + "0" * 20
OTHER = "f" * 40


def said(*texts: str, task: str = "ta-1", at: float = 0) -> list[Line]:
    """Ten seconds between two lines."""
    return [
        Line(at=AT + timedelta(seconds=at + 10 * number), text=text, task=task, source="stdout")
        for number, text in enumerate(texts)
    ]


START = ("glmdeploy start imports took 1 s", "glmdeploy start warm-up took 1 s")
READY, REFUSED = f"glmdeploy ready {DIGEST} ta-1", f"glmdeploy refused {DIGEST} ta-1: no key; wrong dtype"


@pytest.mark.parametrize(
    ("texts", "state", "stage"),
    [
        ((), "started", None),
        (("SGLang says something",), "started", None),
        (START, "starting", "warm-up took 1 s"),
        ((*START, READY), "ready", None),
        ((*START, REFUSED), "refused", "no key; wrong dtype"),
        # A child that speaks for the container is not believed: its line does not begin so.
        ((f"| {READY}",), "started", None),
    ],
)
def test_the_state_of_a_container(texts: tuple[str, ...], state: str, stage: str | None) -> None:
    task = Task(id="ta-1", enqueued=AT.timestamp(), started=AT.timestamp())
    lines = [*said(*texts), *said(READY, task="ta-2")]
    found = container(task, lines, AT - timedelta(hours=1))
    assert (found.state, found.stage, found.outdated) == (state, stage, False)


def test_a_container_that_waits_or_is_outdated() -> None:
    found = container(Task(id="ta-1", enqueued=AT.timestamp(), started=0), (), AT + timedelta(seconds=1))
    assert (found.state, found.outdated, found.started) == ("pending", True, None)


def test_how_long_the_last_start_took() -> None:
    first, second = said(*START, READY), said(START[0], READY, task="ta-2", at=100)
    assert start_seconds(first) == 20
    assert start_seconds([*first, *second]) == 10
    assert start_seconds(said(*START)) is None
    assert start_seconds(said(*START, REFUSED)) is None


def version(number: int, *, minutes: float, digits: str = DIGEST[:20], back: int = 0) -> Version:
    tag = "" if back else f"mine.{digits}"
    at = AT + timedelta(minutes=minutes)
    return Version(number=number, at=at, by="you", tag=tag, rollback_version=back)


def test_whose_version_a_verdict_is() -> None:
    past = History(
        app_id="ap-1",
        production=4,
        versions=(
            version(4, minutes=30, back=1),
            version(3, minutes=20, digits=OTHER[:20]),
            version(2, minutes=10),
            version(1, minutes=0),
        ),
    )

    def told(lines: Iterable[Line]) -> dict[int, str]:
        return proofs([*lines], past)

    assert told(said(READY, at=60)) == {1: "verified"}
    # What comes after the next version was published is of one that nobody waits for any more.
    assert told(said(READY, at=15 * 60)) == {2: "verified"}
    assert told(said(READY, at=25 * 60)) == {}
    # A rollback runs the plan of what it brought back.
    assert told(said(READY, at=31 * 60)) == {4: "verified"}
    assert told(said(READY.replace(DIGEST, OTHER), at=25 * 60)) == {3: "verified"}
    assert told(said(READY.replace(DIGEST, OTHER), at=31 * 60)) == {}
    assert told(said(REFUSED, at=60)) == {1: "refused"}
    assert told([*said(REFUSED, at=60), *said(READY, at=90)]) == {1: "verified"}
    assert told([*said(READY, at=60), *said(REFUSED, at=90)]) == {1: "verified"}
    assert told(said(READY, at=-60)) == {}


def counted(running: int, waiting: int | None, told_by: str = "Modal", *, partial: bool = False) -> Requests:
    return Requests(running=running, waiting=waiting, told_by=told_by, partial=partial)


def test_two_counts_of_requests() -> None:
    engine = counted(3, 2, "engine")
    assert merged(None, None) is None
    assert merged(counted(4, 1), None) == counted(4, 1)
    assert merged(None, engine) == engine
    assert merged(counted(4, 1), engine) == counted(3, 3, "engine")
    # One container of several knows less than Modal does of all.
    assert merged(counted(9, 1), counted(3, 2, "engine", partial=True)) == counted(9, 1)


@pytest.mark.parametrize(
    ("text", "ago"),
    [("10m", 600), ("2h", 7200), ("1h30m", 5400), ("3d", 259_200), ("45s", 45), ("1d1h1m1s", 90_061)],
)
def test_a_time_ago(text: str, ago: int) -> None:
    found = Moment().convert(text, None, None)
    assert abs((datetime.now(UTC) - found).total_seconds() - ago) < 60


def test_a_time() -> None:
    assert Moment().convert("2026-11-27T10:31+01:00", None, None) == datetime(2026, 11, 27, 9, 31, tzinfo=UTC)
    assert Moment().convert("2026-11-27", None, None) == datetime(2026, 11, 27).astimezone()


@pytest.mark.parametrize("text", ["", "10", "m", "10 m", "-5m", "1h2d", "2026-13-01", "9" * 30 + "d", "now\n"])
def test_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time"):
        Moment().convert(text, None, None)


PLACES = [f"glmdeploy start rank {rank} of 2 in cluster cu-1" for rank in (0, 1)]


def test_a_line_whose_rank_could_not_be_asked_for_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for rank in (0, 1) for line in said(f"of rank {rank}", task=f"ta-{rank}", at=60)]
    faults = [DeployError("the target does not answer")]

    def told(log: Log, line: Line) -> int:
        for fault in faults:
            faults.clear()
            raise fault
        return int(line.text[-1])

    monkeypatch.setattr(Log, "_told_rank", told)
    monkeypatch.setattr(Log, "_stream", lambda log, after: iter(lines))
    monkeypatch.setattr(logs, "find_app", lambda app, target: None)
    monkeypatch.setattr(logs, "_PAUSES", (0.0,))
    log = Log("mine", "ap-1", Target(name="modal", environment="main"), Wanted(rank=0))
    assert [*log.follow(AT)] == [Lost(reason="the target does not answer"), Found(), lines[0], Stopped()]


def test_the_last_words_are_of_the_rank_that_failed() -> None:
    leads, follows = said(PLACES[0], "of rank 0", task="ta-0"), said(PLACES[1], "of rank 1", task="ta-1")
    silent = said("glmdeploy start rank 1 ends with its cluster", "Traceback", task="ta-1", at=50)
    for rank, words in enumerate(["of rank 0", "of rank 1"]):
        refused = said(f"glmdeploy refused {DIGEST} ta-0: rank {rank}: SGLang ended", task="ta-0", at=60)
        assert last_words([*leads, *follows, *silent, *refused]) == [words]
    other = said(f"glmdeploy refused {DIGEST} ta-0: rank 2: its container is gone", task="ta-0", at=60)
    assert last_words([*leads, *follows, *other]) == ["of rank 0"], "that rank has never spoken"


def test_ranks_above_0_are_in_the_state_of_their_rank_0() -> None:
    lines = [*said(PLACES[0], f"glmdeploy ready {DIGEST} ta-0", task="ta-0"), *said(PLACES[1], task="ta-1")]
    found = [container(Task(id=f"ta-{rank}", enqueued=1, started=2), lines, AT) for rank in (0, 1)]
    assert [each.state for each in found] == ["ready", "starting"]
    assert [(each.state, each.stage) for each in as_replicas(found)] == [("ready", None)] * 2
    assert [each.state for each in as_replicas(found[1:])] == ["starting"], "rank 0 is gone"
