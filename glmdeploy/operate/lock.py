"""One change of an app at a time on this machine."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from glmdeploy.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def exclusive(folder: Path, name: str) -> Iterator[None]:
    """One command at a time: hold the lock ``name`` in ``folder``, which ends with the process, however that ends.

    :raises DeployError: when another process holds it, or ``folder`` cannot be written.
    """
    # Beside the lock and not in it: whoever asks for a lock empties its file (filelock 3).
    owner = folder / f"{name}.pid"
    lock = FileLock(folder / f"{name}.lock", mode=0o600)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire(timeout=0)
        owner.touch(mode=0o600)
        owner.write_text(str(os.getpid()), encoding="ascii")
    except Timeout:
        who = f" (process {owner.read_text(encoding='ascii')})" if owner.exists() else ""
        raise DeployError(
            f"another command changes {name} on this machine{who}",
            advice="wait until it has ended, then run this one again",
        ) from None
    except OSError as error:
        lock.release()
        raise DeployError(
            f"the lock in {folder} cannot be written: {error.strerror}",
            advice="make room or give access there, or set GLMDEPLOY_HOME to another folder",
        ) from None
    try:
        yield
    finally:
        lock.release()
