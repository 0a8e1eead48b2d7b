"""The safetensors file format: a length, a JSON header of that length, the raw data.

The length is 8 bytes, little-endian. The format is described in the README of huggingface/safetensors, and
the refusals of :func:`check` are those of its reader: the tensors must cover the data without gap or rest.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_LENGTH = struct.Struct("<Q")
_MAX_HEADER = 100_000_000
_ITEM_SIZES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}


class SafetensorsError(ValueError):
    """A file that the safetensors reader refuses; the message has its words."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """``data`` holds the values in row-major order, little-endian."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: bytes


def write(path: Path, tensors: Iterable[Tensor]) -> None:
    # Wide types first, so that every tensor starts at a multiple of its item size in a mapped file.
    ordered = sorted(tensors, key=lambda tensor: (-_ITEM_SIZES[tensor.dtype], tensor.name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in ordered:
        end = offset + len(tensor.data)
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(_LENGTH.pack(len(text)) + text)
        file.writelines(tensor.data for tensor in ordered)


def check(path: Path) -> frozenset[str]:
    """The names of the tensors in ``path``, after checking that the file is whole.

    Reads the header alone, whatever the file's size. Raises :class:`SafetensorsError`, or OSError.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(_LENGTH.size)
        if len(prefix) < _LENGTH.size:
            raise SafetensorsError("Error while deserializing header: header too small")
        (length,) = _LENGTH.unpack(prefix)
        if length > _MAX_HEADER:
            raise SafetensorsError("Error while deserializing header: header too large")
        if _LENGTH.size + length > size:
            raise SafetensorsError("Error while deserializing header: invalid header length")
        text = file.read(length)
    entries = _entries(text)
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        start, stop = entry["data_offsets"]
        if start != end or stop - start != math.prod(entry["shape"]) * _ITEM_SIZES[entry["dtype"]]:
            raise SafetensorsError(f"Error while deserializing header: invalid offset for tensor {name!r}")
        end = stop
    if _LENGTH.size + length + end != size:
        raise SafetensorsError(
            "Error while deserializing header: incomplete metadata, file not fully covered "
            f"({size} bytes, the header describes {_LENGTH.size + length + end})"
        )
    return frozenset(entries)


def _entries(text: bytes) -> dict[str, dict[str, Any]]:
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        for entry in header.values():
            start, stop = entry["data_offsets"]
            numbers = (start, stop, *entry["shape"])
            if not all(isinstance(number, int) and number >= 0 for number in numbers):
                raise ValueError("negative or fractional number")
            if entry["dtype"] not in _ITEM_SIZES:
                raise ValueError(f"unknown dtype {entry['dtype']}")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SafetensorsError(f"Error while deserializing header: invalid JSON in header: {error}") from error
    return dict(header)
