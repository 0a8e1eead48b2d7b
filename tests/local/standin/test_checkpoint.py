"""Which weights the stand-in loads: those that the safetensors library reads, and no damaged file."""

from __future__ import annotations

import json
import os
import shutil
import struct
from typing import TYPE_CHECKING

import pytest

from glmdeploy.local.standin.settings import Checkpoint, CheckpointError, read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def entry(dtype: str = "F32", shape: object = (2,), offsets: object = (0, 8)) -> bytes:
    return json.dumps({"t": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}).encode()


def directory(path: Path, weights: bytes) -> Path:
    """A model of one file."""
    (path / "config.json").write_text("{}")
    (path / "x.safetensors").write_bytes(weights)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "header too small"),
        (struct.pack("<Q", 1 << 40), "header too large"),
        (struct.pack("<Q", 100) + b"{}", "invalid header length"),
        (struct.pack("<Q", 2) + b"[]", "invalid JSON"),
        (struct.pack("<Q", 3) + b'{"t', "invalid JSON"),
        (struct.pack("<Q", 8) + b'{"t":{}}', "invalid JSON"),
        (struct.pack("<Q", len(entry())) + entry() + bytes(7), "not fully covered"),
        (struct.pack("<Q", len(entry())) + entry() + bytes(9), "not fully covered"),
        (
            struct.pack("<Q", len(entry(shape=(3,)))) + entry(shape=(3,)) + bytes(8),
            "invalid shape, data type",
        ),
        (struct.pack("<Q", len(entry(shape=(-2,)))) + entry(shape=(-2,)) + bytes(8), "expected usize"),
        (struct.pack("<Q", len(entry("F7"))) + entry("F7") + bytes(8), "unknown variant `F7`"),
        (
            struct.pack("<Q", len(entry(offsets=(8, 16)))) + entry(offsets=(8, 16)) + bytes(16),
            "invalid offset",
        ),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(CheckpointError, match=f"SafetensorError: .*{message}"):
        read_checkpoint(directory(tmp_path, content))


def test_a_whole_file_is_accepted(tmp_path: Path) -> None:
    whole = struct.pack("<Q", len(entry())) + entry() + bytes(8)
    assert read_checkpoint(directory(tmp_path, whole)) == Checkpoint(config={}, tensors=1)


def remove_model(model: Path) -> None:
    shutil.rmtree(model)


def damage_config(model: Path) -> None:
    (model / "config.json").write_text("{")


def truncate_shard(model: Path) -> None:
    shard = model / "model-00002-of-00002.safetensors"
    os.truncate(shard, shard.stat().st_size - 1)


def remove_shard(model: Path) -> None:
    (model / "model-00001-of-00002.safetensors").unlink()


def swap_shards(model: Path) -> None:
    shutil.copy(model / "model-00001-of-00002.safetensors", model / "model-00002-of-00002.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_model, "does not appear to have a file named config.json"),
        (damage_config, "is not a valid JSON file"),
        (truncate_shard, "incomplete metadata, file not fully covered"),
        (remove_shard, "No such file or directory"),
        (swap_shards, "weights that the index names"),
    ],
)
def test_a_damaged_model_is_refused(model: Path, tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    broken = tmp_path / "model"
    shutil.copytree(model, broken)
    damage(broken)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(broken)
