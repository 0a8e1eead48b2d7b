"""One change of an app at a time on this machine."""

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
    """One command at a time: hold the lock ``name`` in ``folder``, which ends with the process, however that ends.

    :raises DeployError: when another process holds it, or ``folder`` cannot be written.
    """
    # Beside the lock and not in it: who holds it is read by those who may not touch the lock.
    owner = folder / f"{name}.pid"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            owner.touch(mode=0o600)
            owner.write_text(str(os.getpid()), encoding="ascii")
        except BlockingIOError:
            who = f" (process {owner.read_text(encoding='ascii')})" if owner.exists() else ""
            raise DeployError(
                f"another command changes {name} on this machine{who}",
                advice="wait until it has ended, then run this one again",
            ) from None
        except OSError as error:
            raise _unwritable(folder, error) from None
        yield
    finally:
        os.close(handle)  # which frees it


def _unwritable(folder: Path, error: OSError) -> DeployError:
    return DeployError(
        f"the lock in {folder} cannot be written: {error.strerror}",
        advice="make room or give access there, or set GLMDEPLOY_HOME to another folder",
    )
