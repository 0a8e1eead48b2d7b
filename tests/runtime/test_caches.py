"""The kernel caches of the compile stage, carried to a server as one file: all of it, or nothing."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.runtime.caches import DamagedCaches, caches_archive, make_caches, pack_caches, unpack_caches

if TYPE_CHECKING:
    from pathlib import Path

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..") and not name.endswith(".lock") and name not in ("lock", "locks", "tmp")
)


def tree(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """The files below a folder: content, time in nanoseconds, whether they can be run."""
    return {
        str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_mode & 0o100)
        for file in folder.rglob("*")
        if file.is_file()
    }


@given(
    files=st.dictionaries(st.tuples(NAMES, NAMES), st.tuples(st.binary(max_size=3000), st.integers(0, 2**31 * 10**9))),
    run=st.booleans(),
)
@settings(max_examples=examples(50), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_packed_comes_out_as_it_was(
    files: dict[tuple[str, str], tuple[bytes, int]], run: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("caches")
    caches, archive = folder / "caches", folder / "volume" / caches_archive("abc")
    for names, (content, time) in files.items():
        file = caches.joinpath(*names)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o755 if run else 0o644)
        os.utime(file, ns=(time, time))
    before = tree(caches)
    packed = pack_caches(caches, archive)
    assert archive.exists() == bool(files)
    if files:
        assert packed["bytes"] == archive.stat().st_size
        assert unpack_caches(archive, packed, folder / "there") == packed["files"] == len(files)
        assert tree(folder / "there") == before


def test_what_is_unfinished_or_a_lock_stays_behind(tmp_path: Path) -> None:
    """PyTorch waits for ever for a file ``lock`` whose owner is gone."""
    caches = tmp_path / "caches"
    left = ("inductor/x/lock", "jit/a.lock", "triton/tmp.pid_1_ab/k.cubin", "jit/.staging-1/k.so", "deep_gemm/tmp/k.cu")
    for name in (*left, "triton/ab/k.cubin"):
        (caches / name).parent.mkdir(parents=True, exist_ok=True)
        (caches / name).write_text(name)
    packed = pack_caches(caches, tmp_path / "a.tar")
    unpack_caches(tmp_path / "a.tar", packed, tmp_path / "there")
    assert list(tree(tmp_path / "there")) == ["triton/ab/k.cubin"]


def test_the_folders_of_the_variables_are_made(tmp_path: Path) -> None:
    """The CUDA driver makes no folder of several new ones."""
    caches = tmp_path / "caches"
    named = {"CUDA_CACHE_PATH": f"{caches}/nv", "HOME": str(tmp_path / "home"), "EMPTY": "", "OTHER": f"{caches}-x/y"}
    make_caches(named, caches)
    make_caches(named, caches)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["caches", "nv"]


def test_no_caches_no_archive(tmp_path: Path) -> None:
    assert pack_caches(tmp_path / "none", tmp_path / "a.tar") == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "another", "one bit", "longer"])
def test_nothing_is_left_of_a_damaged_archive(tmp_path: Path, damage: str) -> None:
    (tmp_path / "caches").mkdir()
    for number in range(20):
        (tmp_path / "caches" / f"{number}.cubin").write_bytes(bytes([number]) * 4000)
    archive, there = tmp_path / "a.tar", tmp_path / "there"
    packed = pack_caches(tmp_path / "caches", archive)
    content = bytearray(archive.read_bytes())
    if damage == "cut":
        content = content[:30_000]
    elif damage == "another":
        (tmp_path / "caches" / "0.cubin").write_bytes(b"another")
        pack_caches(tmp_path / "caches", archive)
        content = bytearray(archive.read_bytes())
    elif damage == "one bit":
        content[content.index(bytes([7]) * 4000) + 100] ^= 1
    else:
        content += b"\0" * 512
    archive.write_bytes(content)
    with pytest.raises(DamagedCaches):
        unpack_caches(archive, packed, there)
    assert not there.exists()


def test_nothing_is_written_outside_of_the_folder(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("../outside", "/outside", "in/../../outside", "inside"):
            entry = tarfile.TarInfo(name)
            entry.size = 4
            tar.addfile(entry, io.BytesIO(b"text"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)

    packed = {"sha256": hashlib.sha256(archive.read_bytes()).hexdigest()}
    assert unpack_caches(archive, packed, tmp_path / "there") == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar", "inside", "there"]


def test_a_volume_that_is_full_leaves_no_half_archive(tmp_path: Path) -> None:
    (tmp_path / "caches").mkdir()
    (tmp_path / "caches" / "k.cubin").write_bytes(b"kernel")
    (tmp_path / "volume").write_text("no folder")
    with pytest.raises(OSError, match=r"volume"):
        pack_caches(tmp_path / "caches", tmp_path / "volume" / "a.tar")
