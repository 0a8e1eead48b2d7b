"""Every way in which the hub, the token or the disk fails a download, and what the user reads then."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from faulty_hub import (
    COMMIT,
    REPO,
    SHARDS,
    SIZE,
    Cut,
    Redirect,
    Short,
    Stall,
    Status,
    Trickle,
    Wrong,
    download,
    ended,
    faulty,
    same,
    started,
)
from support import one_in, some, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import fault_rows
    from faulty_hub import Fault, FaultyHub

SECRET = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz"
PLACE = "key `HF_TOKEN` of the Modal secret `huggingface-secret`"
WITH_TOKEN = {"token": SECRET, "token_place": PLACE}
QUICK = {"GLMDEPLOY_STALL_SECONDS": "1.5"}
FEW = {**QUICK, "GLMDEPLOY_TRIES": "3"}


PASSING: dict[str, tuple[list[Fault], str, int]] = {
    "503": ([Status(503)], "answered 503; trying again", SIZE),
    "several 5xx": ([Status(500), Status(502), Status(504)], "answered 504; trying again", SIZE),
    "rate limit": ([Status(429, {"RateLimit": '"resolvers";r=0;t=1'})], "answered 429; trying again in 1 s", SIZE),
    "429": ([Status(429, {"Retry-After": "1"})], "answered 429; trying again in 1 s", SIZE),
    "cut body": ([Cut(1_500_000)], "was cut after 1,500,000 of 2,000,003 bytes", SIZE),
    "reset": ([Cut(0, reset=True), Cut(0, reset=True)], "the connection failed (Connection reset by peer)", SIZE),
    "stall": ([Stall(1_000_000)], "sent no byte for 1.5 s", SIZE),
    "no answer": ([Stall()], "sent no byte for 1.5 s", SIZE),
    "wrong bytes": ([Wrong()], "its content is not what the hub says it is; fetching it anew", 2 * SIZE),
    "truncated": ([Short()], f"was cut after {SIZE // 2:,} of 2,000,003 bytes", SIZE),
}


@pytest.mark.parametrize("name", some(PASSING, "503", "cut body", "stall", "wrong bytes", "truncated"))
def test_a_fault_that_passes_costs_no_byte_twice(hub: FaultyHub, source: Path, volume: Path, name: str) -> None:
    faults, said, bytes_served = PASSING[name]
    hub.faults[SHARDS[1]] = [*faults]
    stalls = any(isinstance(fault, Stall) for fault in faults)
    done = download(hub.url, volume, QUICK if stalls else None)
    assert done.manifest, done.log
    assert f"{SHARDS[1]}: " in done.log
    assert said in done.log
    assert same(volume, source)
    if stalls:  # where the machine hangs for as long, others are asked for again too
        begins = [int(wanted[6:].partition("-")[0]) for name, wanted in hub.asked if name == SHARDS[1]]
        assert begins[:2] == [0, faults[0].after or 0]
        return
    del hub.served["api"]
    assert hub.served == {SHARDS[0]: SIZE, SHARDS[1]: bytes_served, SHARDS[2]: SIZE, "README.md": 8, "config.json": 21}


@pytest.mark.parametrize("fault", one_in(3, [Status(503), Status(429), Stall(), Cut(10)]))
def test_the_hub_s_answers_about_the_repository_are_asked_for_again(
    hub: FaultyHub, source: Path, volume: Path, fault: Fault
) -> None:
    hub.faults["api"] = [fault]
    assert download(hub.url, volume, QUICK).manifest
    assert same(volume, source)


LASTING: dict[str, tuple[Fault, str]] = {
    "503": (Status(503), "answered 503, 3 times in a row"),
    "reset": (Cut(0, reset=True), "the connection failed (Connection reset by peer), 3 times in a row"),
    "stall": (Stall(0), "sent no byte for 1.5 s, 3 times in a row"),
    "no answer": (Stall(), "sent no byte for 1.5 s, 3 times in a row"),
    "wrong bytes": (Wrong(), "its content is not what the hub says it is, 3 times"),
}


@pytest.mark.parametrize("name", LASTING)
def test_a_fault_that_lasts_ends_with_one_message(hub: FaultyHub, volume: Path, name: str) -> None:
    fault, said = LASTING[name]
    hub.always = dict.fromkeys(SHARDS, fault)
    done = download(hub.url, volume, FEW if isinstance(fault, Stall) else {"GLMDEPLOY_TRIES": "3"})
    assert done.code == 1
    assert done.failure
    assert done.failure.partition(": ")[0] in SHARDS
    assert said in done.failure
    assert f"the download failed: {done.failure}\n" in done.log
    assert "Traceback" not in done.log
    assert not (volume / REPO).exists(), "nothing refers to what is not complete"


def test_a_hub_that_sends_a_byte_now_and_then_hangs_too(hub: FaultyHub, volume: Path) -> None:
    hub.always = dict.fromkeys(SHARDS, Trickle())
    done = download(hub.url, volume, {"GLMDEPLOY_STALL_SECONDS": "2", "GLMDEPLOY_TRIES": "1"})
    assert done.failure
    assert re.match(r"model-\d.safetensors: sent \d+ bytes in \d\S* s, 1 times in a row", done.failure)


def test_a_lasting_fault_of_one_file_keeps_the_others(hub: FaultyHub, source: Path, volume: Path) -> None:
    hub.always[SHARDS[1]] = Cut(100_000)
    assert download(hub.url, volume, {"GLMDEPLOY_TRIES": "3"}).failure
    hub.always.clear()
    assert download(hub.url, volume).manifest
    assert same(volume, source)
    assert hub.served[SHARDS[1]] == SIZE, "what came before the cuts was kept"


@pytest.mark.parametrize("fault", [Stall(), Status(503), Cut(5)])
def test_a_hub_that_never_answers_ends_the_download(hub: FaultyHub, volume: Path, fault: Fault) -> None:
    hub.always["api"] = fault
    done = download(hub.url, volume, FEW)
    assert done.failure
    assert done.failure.startswith(f"the hub at {hub.url}: ")
    assert "3 times in a row" in done.failure


def test_no_hub_at_all(volume: Path) -> None:
    done = download("http://127.0.0.1:9", volume, FEW)
    assert done.failure
    assert "the hub at http://127.0.0.1:9: the connection failed (Connection refused), 3 times in a row" in done.failure


def test_a_hub_that_dies_and_comes_back_sends_nothing_twice(source: Path, volume: Path) -> None:
    with faulty(source.parents[1], always={SHARDS[2]: Stall(500_000)}) as hub:
        process = started(hub.url, volume, {"GLMDEPLOY_TRIES": "2"})
        wait_until(lambda: hub.stalls == 1)
    failed = ended(process)
    assert failed.failure, failed.log
    with faulty(source.parents[1]) as again:
        assert download(again.url, volume).manifest
    assert same(volume, source)
    for shard in SHARDS:
        assert hub.served[shard] + again.served[shard] <= SIZE + 1, shard
    assert 0 < again.served[SHARDS[2]] <= SIZE - 100_000


REFUSED: dict[str, tuple[int, str, str]] = {
    "gated": (403, "GatedRepo", f"{REPO} is gated.\nAccept its conditions at https://huggingface.co/{REPO} with "),
    "gated 401": (401, "GatedRepo", f"{REPO} is gated.\nAccept its conditions at https://huggingface.co/{REPO} with "),
    "missing": (404, "RepoNotFound", f"the hub shows no model {REPO}.\nCorrect `model.repo`; where it is private, "),
    "private": (401, "RepoNotFound", f"the hub shows no model {REPO}.\nCorrect `model.repo`; where it is private, "),
    "vanished": (404, "RevisionNotFound", f"{REPO} has no revision `{COMMIT}` (any more).\nChoose one of https://"),
}


@pytest.mark.parametrize("options", [{}, WITH_TOKEN], ids=["no token", "token"])
@pytest.mark.parametrize("asked", some(["api", SHARDS[0]], "api"))
@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_final_and_says_what_to_do(
    hub: FaultyHub, volume: Path, name: str, asked: str, options: dict[str, str]
) -> None:
    status, code, said = REFUSED[name]
    hub.always[asked] = Status(status, {"X-Error-Code": code, "X-Error-Message": "No."})
    done = download(hub.url, volume, **options)
    assert done.failure
    assert done.failure.startswith(said), done.failure
    assert [name for name, _ in hub.asked].count(asked) == 1
    if name != "vanished":
        assert (PLACE if options else "modal secret create huggingface-secret HF_TOKEN=") in done.failure
    assert SECRET not in done.log


def test_a_token_that_the_hub_does_not_know(hub: FaultyHub, volume: Path) -> None:
    hub.always["api"] = Status(401, {"X-Error-Message": "Invalid credentials in Authorization header"})
    done = download(hub.url, volume, **WITH_TOKEN)
    assert done.failure
    assert done.failure.startswith(f"the hub does not take the token: {PLACE}.\nPut one of https://huggingface.co/")
    assert SECRET not in done.log


@pytest.mark.parametrize(
    ("token", "why"),
    [(None, "is missing"), ("", "is empty"), (f"{SECRET}\n", "has a line break"), (f"{SECRET}é", "has characters")],
)
def test_a_text_that_cannot_be_a_token_is_not_sent(hub: FaultyHub, volume: Path, token: str | None, why: str) -> None:
    done = download(hub.url, volume, token=token, token_place=PLACE)
    assert done.failure
    assert done.failure.startswith(f"the token of the Hugging Face Hub {why}")
    assert PLACE in done.failure
    assert SECRET not in done.log
    assert not hub.asked


def test_the_token_goes_to_the_hub_and_not_to_its_storage(hub: FaultyHub, source: Path, volume: Path) -> None:
    with faulty(source.parents[1]) as storage:
        hub.always[SHARDS[0]] = Redirect(storage.url)
        assert download(hub.url, volume, **WITH_TOKEN).manifest
        assert storage.served == {SHARDS[0]: SIZE}
        assert set(storage.tokens) == {""}
    assert set(hub.tokens) == {f"Bearer {SECRET}"}


def test_an_address_of_the_storage_that_expired_is_asked_for_anew(hub: FaultyHub, source: Path, volume: Path) -> None:
    with faulty(source.parents[1], faults={SHARDS[0]: [Status(403)]}) as storage:
        hub.always[SHARDS[0]] = Redirect(storage.url)
        assert download(hub.url, volume).manifest
    assert same(volume, source)


@pytest.mark.parametrize(
    "answer",
    [
        {"error": "no list"},
        [{"type": "file", "path": "../../outside", "size": 1, "oid": "a" * 40}],
        [{"type": "file", "path": "/etc/x", "size": 1, "oid": "a" * 40}],
        [{"type": "file", "path": "x", "size": -1, "oid": "a" * 40}],
        [{"type": "file", "path": "x", "size": 1, "oid": "no hash"}],
        [{"type": "file"}],
        [],
    ],
    ids=str,
)
def test_a_strange_listing_is_refused(hub: FaultyHub, volume: Path, answer: object) -> None:
    hub.answers["api"] = [({}, answer)]
    done = download(hub.url, volume)
    assert done.failure
    assert "does not name the files of" in done.failure


def test_too_little_room_is_said_before_the_first_byte(
    hub: FaultyHub, source: Path, volume: Path, fault: fault_rows.Fault
) -> None:
    done = download(hub.url, volume, room=3 * SIZE)
    assert done.failure
    assert done.failure.startswith("there is no room: 0.01 GiB of org/Model are to come, and the volume has 0.01 GiB.")
    assert set(hub.served) == {"api"}
    assert download(hub.url, volume, {"GLMDEPLOY_FREE_SPACE": "unchecked"}, room=3 * SIZE).manifest
    assert same(volume, source)
    fault("volume without room for the weights", done.failure, engine="none")


def test_a_full_disk_is_said_and_what_was_fetched_is_kept(
    hub: FaultyHub, source: Path, volume: Path, fault: fault_rows.Fault
) -> None:
    """A limit of the size of a file stands for the disk: the system call fails in the same way."""
    done = download(hub.url, volume, largest_file=1_500_000)
    assert done.failure
    assert "cannot be written: there is no room left" in done.failure
    assert "Traceback" not in done.log
    assert download(hub.url, volume).manifest
    assert same(volume, source)
    [full] = [shard for shard in SHARDS if done.failure.startswith(shard)]
    assert hub.served[full] == SIZE + (SIZE - 1_500_000), "the part was kept"
    fault("disk full in mid-download", done.failure, engine="none")


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_patience_that_is_no_number(hub: FaultyHub, volume: Path, text: str) -> None:
    done = download(hub.url, volume, {"GLMDEPLOY_STALL_SECONDS": text})
    assert done.failure
    assert done.failure.startswith(f"`download.env.GLMDEPLOY_STALL_SECONDS` is '{text}'")
