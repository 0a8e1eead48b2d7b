"""Completion marks in the volumes: small JSON files that are written last, so that their presence means "done"."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from pathlib import Path
from typing import Any

FOLDER = ".glmdeploy"
"""Folder that belongs to glmdeploy, in a volume's root and in the folder of each version of a model."""


def read_marker(volume: Path, name: str) -> dict[str, Any]:
    """The mark ``name`` of the volume that lies at ``volume``; empty when there is none or it cannot be read."""
    return read_json(volume / FOLDER / name)


def write_marker(volume: Path, name: str, marker: dict[str, Any]) -> None:
    """Write the mark in one step: a reader sees the old one or the new one.

    :raises OSError:
    """
    write_json(volume / FOLDER / name, marker)


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in the file; empty when there is none or it cannot be read."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def write_json(target: Path, data: dict[str, Any]) -> None:
    """Write the JSON object into the file in one step, so that it survives the machine. Makes its folder.

    :raises OSError:
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: two machines may write the same mark.
    draft = target.with_name(f"{target.name}.{secrets.token_hex(4)}.new")
    try:
        with draft.open("w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)
            file.flush()
            sync_file(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(target.parent)


def sync_file(handle: int) -> None:
    """Make what was written survive the machine, where the file system can do that: some of user space cannot.

    :raises OSError: where it was not written, as on a full disk.
    """
    try:
        os.fsync(handle)
    except OSError as fault:
        if fault.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise


def sync_folder(folder: Path) -> None:
    """Make the names in the folder survive the machine, where its file system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
