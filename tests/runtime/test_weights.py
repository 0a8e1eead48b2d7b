"""The layout of the weights volume, manifests and hashes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glmdeploy.runtime.markers import read_json, write_json
from glmdeploy.runtime.weights import inside, is_manifest, missing, shortcoming, sub_path, verify

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HEAD = {"repo": "o/m", "revision": "main", "commit": COMMIT}

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8
)
PATHS = st.lists(NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=3).map("/".join)
CONTENTS = st.binary(max_size=40)


@pytest.mark.parametrize(
    ("repo", "revision", "path"),
    [
        ("zai-org/GLM-5.1-FP8", COMMIT, f"zai-org/GLM-5.1-FP8/{COMMIT}"),
        ("zai-org/GLM-5.1-FP8", "main", "zai-org/GLM-5.1-FP8/main"),
        ("zai-org/GLM-5.1-FP8", "refs/pr/1", "zai-org/GLM-5.1-FP8/refs--pr--1"),
        ("gpt2", COMMIT, f"gpt2/{COMMIT}"),
    ],
)
def test_the_folder_of_a_version(repo: str, revision: str, path: str) -> None:
    assert sub_path(repo, revision) == path


def entry(content: bytes, *, git: bool) -> dict[str, Any]:
    if git:
        text = hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()
        return {"size": len(content), "git": text}
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def disjoint(files: dict[str, bytes]) -> dict[str, bytes]:
    """Without the files whose name is another's folder."""
    return {path: data for path, data in files.items() if not any(other.startswith(f"{path}/") for other in files)}


@settings(deadline=None)
@given(
    st.dictionaries(PATHS, st.tuples(CONTENTS, st.booleans()), max_size=6),
    st.lists(st.sampled_from(["keep", "keep", "remove", "cut", "append", "change", "folder"]), min_size=6, max_size=6),
)
def test_a_file_is_missing_for_its_size_and_wrong_for_its_content(
    files: dict[str, tuple[bytes, bool]], fates: list[str]
) -> None:
    contents = disjoint({path: content for path, (content, _) in files.items()})
    manifest = {**HEAD, "files": {path: entry(content, git=files[path][1]) for path, content in contents.items()}}
    assert is_manifest(manifest)
    sizes, hashes = set(), set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            for path, content in contents.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
        except OSError:
            return  # names that differ in case or form alone, on some file systems
        assert missing(manifest, folder) == verify(manifest, folder) == []
        for (path, content), fate in zip(contents.items(), fates, strict=False):
            file = folder / path
            if fate in ("remove", "folder"):
                file.unlink()
                if fate == "folder":
                    file.mkdir()
                sizes.add(path)
            elif fate == "append" or (fate == "cut" and content):
                file.write_bytes(content + b"x" if fate == "append" else content[:-1])
                sizes.add(path)
            elif fate == "change" and content:
                file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
                hashes.add(path)
        assert set(missing(manifest, folder)) == sizes
        assert set(verify(manifest, folder)) == sizes | hashes


def test_every_byte_is_read_and_told(tmp_path: Path) -> None:
    """More than one piece, and more files than readers."""
    manifest: dict[str, Any] = {**HEAD, "files": {}}
    for number in range(5):
        content = os.urandom(9_000_001)
        (tmp_path / str(number)).write_bytes(content)
        manifest["files"][str(number)] = entry(content, git=number % 2 == 0)
    seen: dict[str, int] = {}
    assert verify(manifest, tmp_path, seen.__setitem__, readers=2) == []
    assert seen == dict.fromkeys("01234", 9_000_001)
    with (tmp_path / "3").open("r+b") as file:
        file.seek(9_000_000)
        byte = file.read(1)
        file.seek(9_000_000)
        file.write(bytes([byte[0] ^ 128]))
    assert verify(manifest, tmp_path) == ["3"]


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_the_hash_of_a_file_outside_of_lfs_is_git_s(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}\n", encoding="utf-8")
    command = ["git", "hash-object", str(tmp_path / "config.json")]
    text = subprocess.run(command, text=True, capture_output=True, check=True).stdout.strip()
    assert verify({**HEAD, "files": {"config.json": {"size": 3, "git": text}}}, tmp_path) == []


@pytest.mark.parametrize(
    "files",
    [
        None,
        [],
        {"x": None},
        {"x": {"size": 1}},
        {"x": {"size": "1", "git": "a" * 40}},
        {"x": {"size": True, "git": "a" * 40}},
        {"x": {"size": -1, "git": "a" * 40}},
        {"x": {"size": 1, "git": "a" * 39}},
        {"x": {"size": 1, "sha256": "a" * 40}},
        {"x": {"size": 1, "git": "a" * 40, "sha256": "a" * 64}},
        {"../x": {"size": 1, "git": "a" * 40}},
        {"/x": {"size": 1, "git": "a" * 40}},
    ],
    ids=str,
)
def test_what_is_no_manifest(files: object) -> None:
    assert is_manifest({**HEAD, "files": {"x": {"size": 1, "git": "a" * 40}}})
    assert not is_manifest({**HEAD, "files": files})
    assert not is_manifest({"files": {}})


@given(st.text("./a\0\\", max_size=8))
def test_a_name_inside_stays_inside(path: str) -> None:
    if inside(path):
        assert Path(os.path.normpath(f"/volume/{path}")).is_relative_to("/volume")
        assert os.path.normpath(f"/volume/{path}") == f"/volume/{path}"


def test_a_mark_is_written_in_one_step_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_json(tmp_path / "folder" / "mark.json", {"a": 1})
    write_json(tmp_path / "folder" / "mark.json", {"a": 2})
    assert read_json(tmp_path / "folder" / "mark.json") == {"a": 2}
    with pytest.raises(TypeError):
        write_json(tmp_path / "folder" / "mark.json", {"a": object()})
    assert read_json(tmp_path / "folder" / "mark.json") == {"a": 2}
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["mark.json"]
    assert read_json(tmp_path / "none.json") == {}


def test_what_a_version_falls_short_of(tmp_path: Path) -> None:
    assert shortcoming(tmp_path, "o/m", COMMIT, "m") == f"{tmp_path} has no mark of complete weights"
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "x").write_bytes(b"1")
    (tmp_path / "m" / "y").write_bytes(b"2")
    mark = {**HEAD, "files": {"x": entry(b"1", git=True), "y": entry(b"2", git=False)}}
    write_json(tmp_path / ".glmdeploy" / "weights.json", mark)
    assert shortcoming(tmp_path, "o/m", COMMIT, "m") is None
    assert shortcoming(tmp_path, "o/m", None, "m") is None
    assert f"has o/m at {COMMIT}, not o/m at {'f' * 40}" in str(shortcoming(tmp_path, "o/m", "f" * 40, "m"))
    assert f"has o/m at {COMMIT}, not other/m at any commit" in str(shortcoming(tmp_path, "other/m", None, "m"))
    (tmp_path / "m" / "y").write_bytes(b"22")
    assert f"1 files of o/m are missing or not whole in {tmp_path}, as y" == shortcoming(tmp_path, "o/m", COMMIT, "m")
