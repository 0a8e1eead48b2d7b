"""Completion marks in the volumes: small JSON files that are written last, so that their presence means "done"."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FOLDER = ".glmdeploy"
"""Folder in a volume's root that belongs to glmdeploy."""


def read_marker(volume: Path, name: str) -> dict[str, Any]:
    """The mark ``name`` of the volume that lies at ``volume``; empty when there is none or it cannot be read."""
    try:
        marker = json.loads((volume / FOLDER / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def write_marker(volume: Path, name: str, marker: dict[str, Any]) -> None:
    """Write the mark in one step: a reader sees the old one or the new one.

    :raises OSError:
    """
    target = volume / FOLDER / name
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{name}.new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(marker, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)
