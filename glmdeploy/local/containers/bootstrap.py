"""The first program in a container: ties its life to the daemon's, then becomes Modal's runtime.

Run by its path, not with ``-m``: in a container the name ``glmdeploy`` belongs to whatever was deployed. For
the same reason it imports nothing of the package.

What of Modal's SDK is used here and in ``launch`` without being public stands here, and a test of this module fails
when a release of the SDK changes it.
"""

import contextlib
import ctypes
import errno
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

ENTRYPOINT = "modal._container_entrypoint"
"""The module that is a container's program."""
ARGUMENTS_VARIABLE = "MODAL_CONTAINER_ARGUMENTS_PATH"
"""Names the file of the serialized ContainerArguments."""
HEADERS_VARIABLE = "MODAL_OVERRIDE_HEADERS"
"""Headers of every request that the container sends, as ``name:value,name:value``."""

READ_ONLY_VARIABLE = "GLMDEPLOY_LOCAL_READ_ONLY"
"""Folders that the container may read alone, as a JSON list."""

ADDRESS_VARIABLE = "GLMDEPLOY_LOCAL_ADDRESS"
"""The address that a cluster's container has in the cluster, IPv4."""
OWN_NAME = "i6pn.modal.local"
"""By this name a container finds its own address in Modal's private network (modal 1.6.4, ``_cluster.py``)."""

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


def protect(folders: list[str]) -> None:
    """Have this process, and all that it starts, not write into the folders, which others go on writing.

    It gets a view of the file system of its own; who is not root needs a user namespace for that.

    :raises OSError: where the system does not allow it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    own_view, own_users = 0x20000, 0x10000000  # CLONE_NEWNS, CLONE_NEWUSER
    bind, again, read_only, private, recursive = 4096, 32, 1, 1 << 18, 16384  # MS_*
    kept = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME

    def asked(result: int) -> None:
        if result:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    if not hasattr(libc, "unshare"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(own_view):
        asked(libc.unshare(own_view | own_users))
        for name, text in (
            ("setgroups", b"deny"),
            ("uid_map", b"%d %d 1" % (uid, uid)),
            ("gid_map", b"%d %d 1" % (gid, gid)),
        ):
            Path(f"/proc/self/{name}").write_bytes(text)
    asked(libc.mount(b"none", b"/", None, private | recursive, None))
    for folder in map(os.fsencode, folders):
        flags = os.statvfs(folder).f_flag & kept
        asked(libc.mount(folder, folder, None, bind, None))
        asked(libc.mount(b"none", folder, None, bind | again | read_only | flags, None))


def unprotectable(folders: list[str]) -> str:
    """Why :func:`protect` would fail; empty where it would not.

    Tried in a process of its own, for half of it is no state to be in.
    """
    child = os.fork()
    if not child:
        number = 1
        try:
            protect(folders)
            number = 0
        except OSError as fault:
            number = fault.errno or errno.ENOSYS
        finally:
            os._exit(number)
    number = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return os.strerror(number) if number > 0 else "killed" if number else ""


def loopback(ifname: bytes) -> str:
    return "127.0.0.1"


def listen_on_loopback() -> None:
    """Modal's runtime waits for web servers on the container's external interface, eth0.

    A process on this machine has none of its own, and must listen on the loopback interface alone.
    """
    import modal._runtime.asgi

    modal._runtime.asgi.get_ip_address = loopback


def answer_to_own_name(address: str) -> None:
    """Let Python's resolver know :data:`OWN_NAME`, as an IPv6 address; programs that the container starts do not."""
    ask = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
        return ask(f"::ffff:{address}" if host in {OWN_NAME, OWN_NAME.encode()} else host, *arguments, **named)

    socket.getaddrinfo = getaddrinfo


def preload() -> None:
    """Import what the container's program imports, and leave the program itself to be run."""
    import modal
    import modal._runtime.asgi

    importlib.import_module(ENTRYPOINT)
    # What is run as the main program must not be there as a module too.
    delattr(modal, sys.modules.pop(ENTRYPOINT).__name__.rpartition(".")[2])


def main() -> None:
    if sys.argv[1:2] == [_WATCH]:
        watch_lifeline(int(sys.argv[2]))
        return
    start_watcher(int(os.environ.pop("GLMDEPLOY_LOCAL_LIFELINE")))
    if folders := json.loads(os.environ.pop(READ_ONLY_VARIABLE, "[]")):
        if fault := unprotectable(folders):
            print(f"volumes that are read-only on Modal can be written here: {fault}", file=sys.stderr)
        else:
            protect(folders)
    if "GLMDEPLOY_LOCAL_PORT" in os.environ:
        listen_on_loopback()
    if address := os.environ.get(ADDRESS_VARIABLE):
        answer_to_own_name(address)
    sys.argv = [ENTRYPOINT]
    runpy.run_module(ENTRYPOINT, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
