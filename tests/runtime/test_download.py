"""The download of weights, in processes of their own, from the embedded hub."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

import pytest
from faulty_hub import COMMIT, OTHER, REPO, SHARDS, SIZE, Cut, Whole, download, faulty, repository, same
from support import one_in

if TYPE_CHECKING:
    from pathlib import Path

    from faulty_hub import FaultyHub

VERSION = f"{REPO}/{COMMIT}"


def files(hub: FaultyHub) -> set[str]:
    """The files of which it sent something."""
    return hub.served.keys() - {"api"}


def test_a_version_has_its_own_folder_and_a_mark_with_hashes(hub: FaultyHub, source: Path, volume: Path) -> None:
    done = download(hub.url, volume)
    assert same(volume, source)
    mark = json.loads((volume / VERSION / ".glmdeploy" / "weights.json").read_text(encoding="utf-8"))
    assert mark == done.manifest
    assert (mark["repo"], mark["revision"], mark["commit"]) == (REPO, COMMIT, COMMIT)
    shard, config = (source / SHARDS[0]).read_bytes(), (source / "config.json").read_bytes()
    assert mark["files"][SHARDS[0]] == {"size": SIZE, "sha256": hashlib.sha256(shard).hexdigest()}
    blob = hashlib.sha1(b"blob %d\0%s" % (len(config), config), usedforsecurity=False).hexdigest()
    assert mark["files"]["config.json"] == {"size": len(config), "git": blob}


def test_what_is_complete_asks_nobody_and_wants_no_token(hub: FaultyHub, volume: Path) -> None:
    first = download(hub.url, volume)
    hub.asked.clear()
    second = download(hub.url, volume, token="", token_place="key `HF_TOKEN` of the Modal secret `huggingface-secret`")
    assert second.manifest == first.manifest
    assert "is complete, nothing to download" in second.log
    assert not hub.asked


def test_a_branch_is_resolved_and_lies_under_its_name(hub: FaultyHub, source: Path, volume: Path) -> None:
    done = download(hub.url, volume, revision="main")
    assert done.manifest is not None
    assert done.manifest["revision"] == "main"
    assert len(done.manifest["commit"]) == 40
    assert same(volume, source, commit="main")
    hub.asked.clear()
    assert "nothing to download" in download(hub.url, volume, revision="main").log
    assert [name for name, _ in hub.asked] == ["api"]


def test_a_branch_that_moved_replaces_its_folder(source: Path, volume: Path, tmp_path: Path) -> None:
    with faulty(source.parents[1]) as hub:
        download(hub.url, volume, revision="main")
    moved = repository(tmp_path / "moved", readme="Now better.")
    moved.with_name(f"{moved.name}.main").write_text(OTHER)
    with faulty(tmp_path / "moved") as hub:
        download(hub.url, volume, revision="main")
        assert files(hub) == {"README.md"}
    assert same(volume, moved, commit="main")


def test_a_resolved_commit_decides_where_it_lies(hub: FaultyHub, source: Path, volume: Path) -> None:
    download(hub.url, volume, revision="main", commit=OTHER)
    assert same(volume, source, commit=OTHER)


def test_another_commit_that_changes_a_readme_fetches_the_readme(source: Path, volume: Path, tmp_path: Path) -> None:
    with faulty(source.parents[1]) as hub:
        download(hub.url, volume)
    newer = repository(tmp_path / "newer", readme="Now with a licence.")
    with faulty(tmp_path / "newer") as hub:
        done = download(hub.url, volume, revision=OTHER)
        assert files(hub) == {"README.md"}
    assert same(volume, newer, commit=OTHER)
    assert same(volume, source), "the other commit is as it was"
    assert "4 files were copied in the volume" in done.log


def test_two_organisations_with_the_same_name_share_nothing(source: Path, volume: Path, tmp_path: Path) -> None:
    other = repository(tmp_path / "hub", "another/Model", seed="other")
    with faulty(source.parents[1]) as hub:
        download(hub.url, volume)
    with faulty(tmp_path / "hub") as hub:
        download(hub.url, volume, repo="another/Model")
    assert same(volume, source)
    assert same(volume, other, repo="another/Model")


@pytest.mark.parametrize("marked", [True, False])
def test_the_folder_of_an_earlier_release_is_copied_and_left_alone(
    hub: FaultyHub, source: Path, volume: Path, marked: bool
) -> None:
    old = volume / "Model"
    old.mkdir(parents=True)
    for path in source.iterdir():
        (old / path.name).write_bytes(path.read_bytes())
    (old / SHARDS[1]).write_bytes(bytes(SIZE))
    (old / SHARDS[2]).write_bytes(b"half")
    if marked:
        (volume / ".glmdeploy").mkdir()
        sizes = {path.name: path.stat().st_size for path in source.iterdir()}
        mark = {"repo": REPO, "revision": COMMIT, "commit": COMMIT, "files": sizes}
        (volume / ".glmdeploy" / "weights-Model.json").write_text(json.dumps(mark), encoding="utf-8")
    download(hub.url, volume)
    assert same(volume, source)
    assert files(hub) == {SHARDS[1], SHARDS[2]}, "one was wrong, one not whole"
    assert (old / SHARDS[1]).read_bytes() == bytes(SIZE)


def test_the_folder_of_an_earlier_release_for_another_repository_is_none(
    hub: FaultyHub, source: Path, volume: Path
) -> None:
    (volume / "Model").mkdir(parents=True)
    (volume / ".glmdeploy").mkdir()
    (volume / "Model" / SHARDS[0]).write_bytes((source / SHARDS[0]).read_bytes())
    mark = {"repo": "another/Model", "revision": "main", "commit": OTHER, "files": {}}
    (volume / ".glmdeploy" / "weights-Model.json").write_text(json.dumps(mark), encoding="utf-8")
    download(hub.url, volume)
    assert hub.served[SHARDS[0]] == SIZE


def test_a_shard_that_lost_its_end_is_fetched_alone(hub: FaultyHub, source: Path, volume: Path) -> None:
    """Its time is what it was: huggingface_hub took it for complete, and every apply failed."""
    download(hub.url, volume)
    shard = volume / VERSION / "Model" / SHARDS[1]
    times = shard.stat()
    shard.write_bytes(shard.read_bytes()[:1000])
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    hub.served.clear()
    download(hub.url, volume)
    assert files(hub) == {SHARDS[1]}
    assert hub.served[SHARDS[1]] == SIZE
    assert same(volume, source)


def test_wrong_content_is_found_where_every_byte_is_wanted(hub: FaultyHub, source: Path, volume: Path) -> None:
    download(hub.url, volume)
    folder = volume / VERSION / "Model"
    (folder / SHARDS[0]).write_bytes(bytes(SIZE))
    (folder / "README.md").write_text("a model.", encoding="utf-8")
    hub.served.clear()
    assert "nothing to download" in download(hub.url, volume).log
    done = download(hub.url, volume, verify=True)
    assert f"{SHARDS[0]}: is missing or not as the hub has it" in done.log
    assert files(hub) == {SHARDS[0], "README.md"}
    assert same(volume, source)
    assert "nothing to download" in download(hub.url, volume, verify=True).log


@pytest.mark.parametrize("text", one_in(2, ["{", "", '{"files": {"../x": {"size": 1}}}', "[]", '{"files": {}}']))
def test_a_damaged_mark_costs_no_download(hub: FaultyHub, source: Path, volume: Path, text: str) -> None:
    download(hub.url, volume)
    (volume / VERSION / "Model" / SHARDS[2]).unlink()
    (volume / VERSION / ".glmdeploy" / "weights.json").write_text(text, encoding="utf-8")
    hub.served.clear()
    download(hub.url, volume)
    assert files(hub) == {SHARDS[2]}
    assert same(volume, source)


def test_a_folder_that_a_mount_made_is_no_hindrance(hub: FaultyHub, source: Path, volume: Path) -> None:
    (volume / VERSION).mkdir(parents=True)
    download(hub.url, volume)
    assert same(volume, source)


def test_what_is_no_version_goes_out_of_the_way(hub: FaultyHub, source: Path, volume: Path) -> None:
    (volume / VERSION / "other").mkdir(parents=True)
    (volume / VERSION / "other" / "file").write_text("x", encoding="utf-8")
    download(hub.url, volume)
    assert same(volume, source)


def test_the_volume_is_committed_in_steps_and_at_the_end(hub: FaultyHub, volume: Path, tmp_path: Path) -> None:
    download(hub.url, volume, commits=str(tmp_path / "commits"), commit_seconds=0.0001)
    assert len((tmp_path / "commits").read_text(encoding="utf-8").splitlines()) >= 2


def test_a_hub_that_knows_no_ranges(hub: FaultyHub, source: Path, volume: Path) -> None:
    hub.always[SHARDS[0]] = Whole()
    hub.faults[SHARDS[0]] = [Cut(1_500_000)]
    download(hub.url, volume)
    assert same(volume, source)


def test_a_listing_has_pages(hub: FaultyHub, source: Path, volume: Path) -> None:
    """The second page is asked of the hub that was chosen, whatever address the first one names."""
    pages = []
    for path in sorted(source.iterdir()):
        content = path.read_bytes()
        oid = hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()
        headers = {"Link": '<https://huggingface.co/api/models/org/Model/tree/main?cursor=x>; rel="next"'}
        pages.append((headers, [{"type": "file", "path": path.name, "size": len(content), "oid": oid}]))
    folder = {"type": "directory", "path": "folder", "size": 0, "oid": "a" * 40}
    hub.answers["api"] = [*pages[:-1], ({}, [folder, *pages[-1][1]])]
    assert download(hub.url, volume).manifest
    assert same(volume, source)
