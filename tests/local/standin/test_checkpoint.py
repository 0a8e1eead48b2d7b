"""Which weights the stand-in loads: those that the safetensors library reads, and no damaged file."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pytest

from glmdeploy.local.standin.settings import Checkpoint, CheckpointError, read_checkpoint

if TYPE_CHECKING:
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
