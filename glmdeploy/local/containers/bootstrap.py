"""The first program in a container: ties its life to the daemon's, then becomes Modal's runtime.

Run by its path, not with ``-m``: in a container the name ``glmdeploy`` belongs to whatever was deployed. For
the same reason it imports nothing of the package.

What of Modal's SDK is used here and in ``launch`` without being public stands here, and a test of this module fails
when a release of the SDK changes it.
"""

import contextlib
import os
import runpy
import signal
import sys
import time
from pathlib import Path

ENTRYPOINT = "modal._container_entrypoint"
"""The module that is a container's program."""
ARGUMENTS_VARIABLE = "MODAL_CONTAINER_ARGUMENTS_PATH"
"""Names the file of the serialized ContainerArguments."""
HEADERS_VARIABLE = "MODAL_OVERRIDE_HEADERS"
"""Headers of every request that the container sends, as ``name:value,name:value``."""

_GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL, once the daemon is gone."""


_WATCH = "watch-lifeline"
"""The argument that makes this program the watcher."""


def start_watcher(descriptor: int) -> None:
    """Start the process that ends this session when the daemon closes its end of the pipe.

    A process and not a thread, because user code may hold the interpreter's lock for as long as it likes. A program of
    its own and not a fork, which would keep the container's secrets in its environment. It is in the session, but not
    in a group that anybody signals.
    """
    quiet = [(os.POSIX_SPAWN_OPEN, standard, os.devnull, os.O_RDWR, 0) for standard in (0, 1, 2)]
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", __file__, _WATCH, str(descriptor)],
        {},
        # The container's output ends when its own processes end, not when this one does.
        file_actions=quiet,
        setpgroup=0,
        setsigmask=[signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1],
    )
    os.close(descriptor)


def watch_lifeline(descriptor: int) -> None:
    """Wait for the end of the daemon, then end the session: its first process first, in the orderly way."""
    while os.read(descriptor, 1):
        pass
    leader = os.getsid(0)
    with contextlib.suppress(ProcessLookupError):
        os.kill(leader, signal.SIGTERM)
    time.sleep(_GRACE)
    kill_session(leader, sparing=os.getpid())


def members(session: int) -> list[int]:
    """The live processes of a session, from /proc; empty where there is none (macOS)."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, _, own = (folder / "stat").read_bytes().rpartition(b")")[2].split()[:4]
            if int(own) == session and state not in {b"Z", b"X"}:
                found.append(int(folder.name))
    return found


def kill_session(session: int, *, sparing: int = 0) -> None:
    """Send SIGKILL to every process of a session but ``sparing``, those too that are started meanwhile.

    By session and not by group: an engine has a group of its own, so that it can be signalled apart from the container.
    """
    if not Path("/proc/self/stat").exists():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(session, signal.SIGKILL)
        return
    killed: set[int] = {sparing}
    while fresh := set(members(session)) - killed:
        for pid in fresh:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed |= fresh


def loopback(ifname: bytes) -> str:
    return "127.0.0.1"


def listen_on_loopback() -> None:
    """Modal's runtime waits for web servers on the container's external interface, eth0.

    A process on this machine has none of its own, and must listen on the loopback interface alone.
    """
    import modal._runtime.asgi

    modal._runtime.asgi.get_ip_address = loopback


def main() -> None:
    if sys.argv[1:2] == [_WATCH]:
        watch_lifeline(int(sys.argv[2]))
        return
    start_watcher(int(os.environ.pop("GLMDEPLOY_LOCAL_LIFELINE")))
    if "GLMDEPLOY_LOCAL_PORT" in os.environ:
        listen_on_loopback()
    sys.argv = [ENTRYPOINT]
    runpy.run_module(ENTRYPOINT, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
