"""The first program in a container: ties its life to the daemon's, then becomes Modal's runtime.

Run by its path, not with ``-m``: in a container the name ``glmdeploy`` belongs to whatever was deployed. For
the same reason it imports nothing of the package.

What of Modal's SDK is used here and in ``launch`` without being public stands here, and a test of this module fails
when a release of the SDK changes it.
"""

import os
import runpy
import signal
import sys
import time

ENTRYPOINT = "modal._container_entrypoint"
"""The module that is a container's program."""
ARGUMENTS_VARIABLE = "MODAL_CONTAINER_ARGUMENTS_PATH"
"""Names the file of the serialized ContainerArguments."""
HEADERS_VARIABLE = "MODAL_OVERRIDE_HEADERS"
"""Headers of every request that the container sends, as ``name:value,name:value``."""

_GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL, once the daemon is gone."""


def watch_lifeline(descriptor: int) -> None:
    """Leave a process behind that ends this process group when the daemon closes its end of the pipe.

    A process and not a thread, because user code may hold the interpreter's lock for as long as it likes.
    """
    if os.fork() != 0:
        os.close(descriptor)
        return
    # The container's output ends when its own processes end, not when this one does.
    quiet = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(quiet, standard)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    while os.read(descriptor, 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(_GRACE)
    os.killpg(0, signal.SIGKILL)


def loopback(ifname: bytes) -> str:
    return "127.0.0.1"


def listen_on_loopback() -> None:
    """Modal's runtime waits for web servers on the container's external interface, eth0.

    A process on this machine has none of its own, and must listen on the loopback interface alone.
    """
    import modal._runtime.asgi

    modal._runtime.asgi.get_ip_address = loopback


def main() -> None:
    watch_lifeline(int(os.environ.pop("GLMDEPLOY_LOCAL_LIFELINE")))
    if "GLMDEPLOY_LOCAL_PORT" in os.environ:
        listen_on_loopback()
    sys.argv = [ENTRYPOINT]
    runpy.run_module(ENTRYPOINT, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
