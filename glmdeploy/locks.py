"""One ``apply`` at a time for one app of one target, on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from glmdeploy.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def exclusive(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock ``name`` in ``folder``. Raises DeployError when another process holds it.

    The operating system frees it when the process ends in whatever way, so that no stale lock can remain.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DeployError(
            f"the lock in {folder} cannot be written: {error.strerror}",
            advice="make room or give access there, or set GLMDEPLOY_HOME to another folder",
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(descriptor, 20).decode(errors="replace").strip()
        os.close(descriptor)
        who = f" (process {owner})" if owner else ""
        raise DeployError(
            f"another apply of {name} is running on this machine{who}",
            advice="wait until it has ended, then run apply again",
        ) from None
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)
