"""Downloads that are killed, that run beside each other, and what they leave."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from fault_rows import NONE
from faulty_hub import (
    COMMIT,
    OTHER,
    REPO,
    SHARDS,
    SIZE,
    Stall,
    download,
    ended,
    same,
    started,
)
from support import wait_until

from glmdeploy.runtime.weights import size_of

if TYPE_CHECKING:
    from pathlib import Path

    from fault_rows import Fault
    from faulty_hub import FaultyHub


def works(volume: Path) -> list[Path]:
    return sorted((volume / ".glmdeploy" / "work").glob("*"))


def there(volume: Path) -> int:
    """Bytes in the folders of work, of parts and of complete files."""
    files = [file for work in works(volume) for kind in ("parts", "tree") for file in (work / kind).rglob("*")]
    return sum(max(size_of(file), 0) for file in files)


def complete(volume: Path) -> int:
    """Complete files in the folders of work."""
    return len([file for work in works(volume) for file in (work / "tree").rglob("*") if file.is_file()])


def killed(hub: FaultyHub, volume: Path, stalling: str = SHARDS[2], *, after: int = 1_500_000, **options: str) -> None:
    """Kill a download that has all of its files but a part of ``stalling``."""
    hub.always[stalling] = Stall(after)
    process = started(hub.url, volume, **options)
    wait_until(lambda: complete(volume) == 4 and there(volume) == 2 * SIZE + after + 29)
    process.kill()
    assert ended(process).code == -9
    hub.always.clear()


def elsewhere(volume: Path, age: float = 0) -> Path:
    """Let the one folder of work be another machine's, whose last sign of life is so many seconds old."""
    [work] = works(volume)
    alive = {"machine": "another", "pid": 1, "started": "1", "at": time.time() - age, "ended": False}
    (work / "alive.json").write_text(json.dumps(alive), encoding="utf-8")
    return work


def test_a_download_that_was_killed_goes_on_where_it_was(hub: FaultyHub, source: Path, volume: Path) -> None:
    killed(hub, volume)
    assert not (volume / REPO).exists()
    hub.asked.clear()
    assert download(hub.url, volume).manifest
    assert same(volume, source)
    assert [asked for asked in hub.asked if asked[0] != "api"] == [(SHARDS[2], f"bytes=1500000-{SIZE - 1}")]


def test_a_part_that_was_spoiled_on_the_way_is_noticed(hub: FaultyHub, source: Path, volume: Path) -> None:
    killed(hub, volume)
    [work] = works(volume)
    for part in (work / "parts").iterdir():
        part.write_bytes(bytes(part.stat().st_size))
    finished = work / "tree" / "Model" / SHARDS[0]
    finished.write_bytes(bytes(SIZE))
    done = download(hub.url, volume)
    assert f"{SHARDS[2]}: its content is not what the hub says it is; fetching it anew" in done.log
    assert same(volume, source)


def test_it_is_killed_again_and_again_and_comes_to_its_end(hub: FaultyHub, source: Path, volume: Path) -> None:
    hub.always[SHARDS[1]] = Stall(300_000)
    for times in range(1, 5):
        process = started(hub.url, volume)
        wait_until(lambda times=times: complete(volume) == 4 and there(volume) == 2 * SIZE + 29 + times * 300_000)
        process.kill()
        ended(process)
    hub.always.clear()
    assert download(hub.url, volume).manifest
    assert same(volume, source)
    assert hub.served[SHARDS[0]] == hub.served[SHARDS[2]] == hub.served[SHARDS[1]] == SIZE


def test_the_work_of_a_machine_that_gives_no_sign_is_taken_up(hub: FaultyHub, source: Path, volume: Path) -> None:
    killed(hub, volume)
    elsewhere(volume)
    hub.served.clear()
    done = download(hub.url, volume, sign_seconds=0.5)
    assert "another machine may be at work here" in done.log
    assert hub.served[SHARDS[2]] == SIZE - 1_500_000
    assert same(volume, source)


def test_the_work_of_a_machine_that_lives_is_copied(hub: FaultyHub, source: Path, volume: Path) -> None:
    """What is complete counts at once; the rest, and its room, only when it is dead."""
    killed(hub, volume)
    work = elsewhere(volume)
    hub.served.clear()
    done = download(hub.url, volume, sign_seconds=0.5, alive=str(work / "alive.json"))
    assert "4 files were copied in the volume" in done.log
    assert hub.served[SHARDS[2]] == SIZE
    assert works(volume) == [work]
    elsewhere(volume, age=601)
    assert "nothing to download" in download(hub.url, volume).log
    assert same(volume, source)


def test_two_at_once_do_not_spoil_each_other(hub: FaultyHub, source: Path, volume: Path) -> None:
    """Both have all but the end of one shard, so that both come to the renaming; then a third finds it complete."""
    hub.faults[SHARDS[2]] = [Stall(1_000_000), Stall(1_000_000)]
    processes = [started(hub.url, volume) for _ in range(2)]
    wait_until(lambda: hub.stalls == 2)
    hub.released.set()
    done = [ended(process) for process in processes]
    assert [one.code for one in done] == [0, 0], done
    assert same(volume, source)
    assert sum("another machine has completed it meanwhile" in one.log for one in done) <= 1
    assert "nothing to download" in download(hub.url, volume, verify=True).log


@pytest.mark.thorough
def test_many_at_once_with_kills_among_them(hub: FaultyHub, source: Path, volume: Path) -> None:
    processes = [started(hub.url, volume) for _ in range(6)]
    wait_until(lambda: hub.served[SHARDS[0]] > 0)
    for process in processes[:3]:
        process.kill()
    assert [ended(process).code for process in processes[3:]] == [0, 0, 0]
    for process in processes[:3]:
        ended(process)
    assert "nothing to download" in download(hub.url, volume, verify=True).log
    assert same(volume, source)


def test_the_slower_one_drops_its_own(hub: FaultyHub, source: Path, volume: Path) -> None:
    hub.faults[SHARDS[2]] = [Stall(1_000_000)]
    slow = started(hub.url, volume)
    wait_until(lambda: hub.stalls == 1)
    assert download(hub.url, volume).manifest
    hub.released.set()
    done = ended(slow)
    assert done.manifest
    assert "another machine has completed it meanwhile" in done.log
    assert same(volume, source)


def test_a_killed_download_of_another_commit_touches_nothing(hub: FaultyHub, source: Path, volume: Path) -> None:
    """A live deployment's next cold start finds its own commit whole."""
    assert download(hub.url, volume).manifest
    before = {path: path.stat() for path in (volume / REPO / COMMIT).rglob("*") if path.is_file()}
    shutil.move(volume / REPO, volume.parent / "aside")  # so that there is something to fetch
    hub.always[SHARDS[2]] = Stall(10)
    process = started(hub.url, volume, revision=OTHER)
    wait_until(lambda: hub.stalls == 1)
    shutil.move(volume.parent / "aside", volume / REPO)
    process.kill()
    ended(process)
    assert {path: path.stat() for path in (volume / REPO / COMMIT).rglob("*") if path.is_file()} == before
    assert not (volume / REPO / OTHER).exists()
    hub.asked.clear()
    assert "nothing to download" in download(hub.url, volume).log
    assert not hub.asked
    assert same(volume, source), "what the killed one has left is gone"


def test_a_dead_download_of_another_commit_is_used_and_cleaned(hub: FaultyHub, source: Path, volume: Path) -> None:
    killed(hub, volume, revision=OTHER)
    hub.served.clear()
    assert download(hub.url, volume).manifest
    assert same(volume, source)
    assert hub.served[SHARDS[0]] == 0
    assert hub.served[SHARDS[2]] == SIZE - 1_500_000


def test_leftovers_of_huggingface_hub_are_cleaned(hub: FaultyHub, source: Path, volume: Path) -> None:
    cache = volume / "Model" / ".cache" / "huggingface" / "download"
    cache.mkdir(parents=True)
    for name, age in (("old", 90_000), ("new", 0)):
        (cache / f"{name}.incomplete").write_bytes(b"x")
        os.utime(cache / f"{name}.incomplete", (time.time() - age, time.time() - age))
    assert download(hub.url, volume).manifest
    assert [path.name for path in cache.iterdir()] == ["new.incomplete"], "somebody may still write the other"


def test_a_killed_repair_leaves_the_version_as_it_was(hub: FaultyHub, source: Path, volume: Path) -> None:
    assert download(hub.url, volume).manifest
    shard = volume / REPO / COMMIT / "Model" / SHARDS[1]
    shard.write_bytes(b"short")
    hub.always[SHARDS[1]] = Stall(1_000_000)
    process = started(hub.url, volume)
    wait_until(lambda: hub.stalls == 1 and there(volume) == 1_000_000)
    process.kill()
    ended(process)
    assert shard.read_bytes() == b"short"
    hub.always.clear()
    hub.served.clear()
    assert download(hub.url, volume).manifest
    assert hub.served[SHARDS[1]] == SIZE - 1_000_000
    assert same(volume, source)


def test_a_container_that_dies_before_its_commit_has_lost_nothing(
    hub: FaultyHub, source: Path, volume: Path, fault: Fault
) -> None:
    assert download(hub.url, volume, die_in_commit=True).code == 9
    hub.asked.clear()
    assert "nothing to download" in download(hub.url, volume).log
    assert not hub.asked
    assert same(volume, source)
    fault("container killed between download and commit", "the next one finds what was written", engine=NONE)


def test_a_commit_that_fails_is_said(hub: FaultyHub, volume: Path) -> None:
    done = download(hub.url, volume, fail_in_commit=True)
    assert done.failure
    assert done.failure.startswith("the volume cannot be committed: RuntimeError: the volume is gone.")


def test_a_part_that_another_machine_took_is_begun_anew(hub: FaultyHub, source: Path, volume: Path) -> None:
    """It holds us for dead, as it may where each sees the volume as it was a while ago."""
    hub.faults[SHARDS[2]] = [Stall(1_000_000)]
    process = started(hub.url, volume)
    wait_until(lambda: complete(volume) == 4 and hub.stalls == 1 and there(volume) == 2 * SIZE + 1_000_029)
    [work] = works(volume)
    shutil.rmtree(work / "parts")
    hub.released.set()
    done = ended(process)
    assert done.manifest, done.log
    assert f"{SHARDS[2]}: another machine has taken it; fetching it anew" in done.log
    assert same(volume, source)
