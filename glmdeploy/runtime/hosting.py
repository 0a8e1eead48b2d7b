"""Where a container's paths and ports really lie.

On Modal they are what the plan says. In the embedded cloud a container is a plain process: its volumes lie under
``GLMDEPLOY_LOCAL_ROOT``, its server listens on loopback, at the free port ``GLMDEPLOY_LOCAL_PORT``. Those of a cluster
meet at ``GLMDEPLOY_LOCAL_CLUSTER_PORT``: PyTorch listens on all addresses, which several clusters have in common here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from glmdeploy.runtime.markers import FOLDER

DIST_PORT = 20_000
"""Where SGLang's ranks meet, at rank 0; with data-parallel attention it takes some of the next ports too."""

LINK_PORT = DIST_PORT - 1
"""Where the containers of a cluster meet, at rank 0 (:mod:`glmdeploy.runtime.link`)."""

ENGINE_PYTHON, ENGINE_PYTHONPATH = "GLMDEPLOY_LOCAL_ENGINE_PYTHON", "GLMDEPLOY_LOCAL_ENGINE_PYTHONPATH"
ENGINE_RELEASE = "GLMDEPLOY_LOCAL_ENGINE_RELEASE"
"""What the embedded cloud tells its containers of the real SGLang on this machine, where it is installed."""


def local_root() -> str:
    """Prefix of every absolute path of the container; empty on Modal."""
    return os.environ.get("GLMDEPLOY_LOCAL_ROOT", "")


def local_folder(path: str) -> Path:
    """An absolute path of the container, as it is here."""
    return Path(local_root() + path)


def local_port(port: int) -> int:
    """The port to listen on where the plan says ``port``."""
    return int(os.environ.get("GLMDEPLOY_LOCAL_PORT") or port)


def local_meeting_port(port: int) -> int:
    """Where the ranks of a cluster meet, where on Modal it is ``port``."""
    return int(os.environ.get("GLMDEPLOY_LOCAL_CLUSTER_PORT") or port)


def local_env(env: dict[str, str], mounts: list[str], sglang: str) -> dict[str, str]:
    """``env`` with paths under ``mounts`` as they are here; the stand-in engine also learns its release from it."""
    if not local_root():
        return env
    moved = {key: local_path(value, mounts) for key, value in env.items()}
    return {**moved, "GLMDEPLOY_STANDIN_SGLANG_VERSION": sglang}


def local_command(command: list[str], mounts: list[str]) -> list[str]:
    """``command`` with paths under ``mounts``, the host and the port as they are here; unchanged on Modal."""
    if not local_root():
        return list(command)
    moved = [local_path(argument, mounts) for argument in command]
    for option, value in (("--host", "127.0.0.1"), ("--port", os.environ.get("GLMDEPLOY_LOCAL_PORT"))):
        if value and option in moved:
            moved[moved.index(option) + 1] = value
    return moved


def local_engine(release: str) -> tuple[str, str] | None:
    """The interpreter of the real SGLang on this machine, and the ``PYTHONPATH`` that it wants in place of any other.

    None on Modal, and where the embedded cloud has none of this release (``glmdeploy local engine install``).
    """
    if not local_root() or os.environ.get(ENGINE_RELEASE) != release:
        return None
    return os.environ[ENGINE_PYTHON], os.environ[ENGINE_PYTHONPATH]


def local_path(text: str, mounts: list[str]) -> str:
    """``text`` as a path here, when it is one of ``mounts`` or lies under one; else ``text``."""
    under = any(text == mount or text.startswith(f"{mount}/") for mount in mounts)
    return local_root() + text if under else text


@contextlib.contextmanager
def only_one(volume: Path) -> Iterator[None]:
    """Let one stage at a time write into the volume, where its file system has locks.

    In the embedded cloud containers share a volume's folder. On Modal each one has its own view of it.
    """
    folder = volume / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
