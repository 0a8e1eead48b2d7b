"""Completion marks in the volumes: small JSON files that are written last, so that their presence means "done"."""

from __future__ import annotations

import json
import os
from typing import Any

FOLDER = ".glmdeploy"
"""Folder in a volume's root that belongs to glmdeploy."""


def read_marker(folder: str, name: str) -> dict[str, Any]:
    """The mark ``name`` of the volume at ``folder``; empty when there is none or it cannot be read."""
    try:
        with open(os.path.join(folder, FOLDER, name), encoding="utf-8") as file:
            marker = json.load(file)
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def write_marker(folder: str, name: str, marker: dict[str, Any]) -> None:
    """Write the mark in one step: a reader sees the old one or the new one. Raises OSError."""
    os.makedirs(os.path.join(folder, FOLDER), exist_ok=True)
    path = os.path.join(folder, FOLDER, name)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(marker, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.new", path)
