"""Reads a model directory as an engine does at start, and refuses one that a loader could not load."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.local import safetensors

if TYPE_CHECKING:
    from pathlib import Path

_INDEX = "model.safetensors.index.json"


class CheckpointError(Exception):
    """A model that cannot be loaded; the message is worded as the real loaders' are."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """``config`` is config.json; ``tensors`` counts the weights of all shards."""

    config: dict[str, Any]
    tensors: int


def read(directory: Path) -> Checkpoint:
    """Check config.json, and that every shard has a valid header and its whole length.

    Of the weights only the headers are read, so that hundreds of gigabytes take no time. Raises
    :class:`CheckpointError`.
    """
    config_path = directory / "config.json"
    if not config_path.is_file():
        raise CheckpointError(f"OSError: {directory} does not appear to have a file named config.json.")
    config = _json(config_path)
    index_path = directory / _INDEX
    if index_path.is_file():
        wanted: dict[str, set[str]] = {}
        for name, file in _json(index_path).get("weight_map", {}).items():
            wanted.setdefault(file, set()).add(name)
    else:
        wanted = {path.name: set() for path in directory.glob("*.safetensors")}
    if not wanted:
        raise CheckpointError(f"RuntimeError: Cannot find any model weights with `{directory}`")
    return Checkpoint(
        config=config,
        tensors=sum(_shard(directory / file, names) for file, names in sorted(wanted.items())),
    )


def _shard(path: Path, names: set[str]) -> int:
    """Check one file, which must hold ``names`` at least; returns the number of its tensors."""
    try:
        found = safetensors.check(path)
    except safetensors.SafetensorsError as error:
        raise CheckpointError(f"SafetensorError: {error} ({path})") from error
    except OSError as error:
        raise CheckpointError(f"FileNotFoundError: No such file or directory: {path}") from error
    if absent := sorted(names - found):
        raise CheckpointError(f"KeyError: {path} lacks {len(absent)} weights that the index names: {absent[0]}")
    return len(found)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"OSError: {path} is not a valid JSON file: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"OSError: {path} is not a JSON object")
    return value
