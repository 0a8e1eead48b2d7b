"""Counts the failed starts of a plan, so that one that fails again and again does not rent GPUs for ever.

Each failure is a file in the weights volume, ``.glmdeploy/failures/<digest>/<unix seconds>-<random>.json``, written
through Modal's API and not through the mount, which shows the server a part of the volume alone.
"""

from __future__ import annotations

import contextlib
import re

import modal

from glmdeploy.runtime.markers import FOLDER

DIGEST_LENGTH = 40
"""Digits of the digest in the name of the folder, as in the app's tag."""


def forget(volume: modal.Volume, digest: str) -> None:
    """Start the count of a plan anew; whatever the volume's API raises is raised.

    The digest may be the first 40 digits of it.
    """
    for path in _failures(volume, digest):
        with contextlib.suppress(FileNotFoundError, modal.exception.NotFoundError):  # another container forgets too
            volume.remove_file(path)


def _failures(volume: modal.Volume, digest: str) -> list[str]:
    """The paths of the plan's failures in the volume, the last one at the end."""
    try:
        entries = volume.listdir(_failure_folder(digest))
    except (FileNotFoundError, modal.exception.NotFoundError):
        return []
    return sorted((entry.path for entry in entries if _time_of(entry.path)), key=_time_of)


def _time_of(path: str) -> int:
    """When a failure was, in seconds since 1970, by its file's name; 0 for another file."""
    named = re.search(r"(?:^|/)(\d{1,12})-[0-9a-f]+\.json$", path)
    return int(named[1]) if named else 0


def _failure_folder(digest: str) -> str:
    return f"{FOLDER}/failures/{digest[:DIGEST_LENGTH]}"
