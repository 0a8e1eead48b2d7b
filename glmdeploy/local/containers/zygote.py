"""The program that containers are forked from: it has imported what each of them imports, and nothing of the user's.

Run by its path, as ``bootstrap`` is, and for the same reason it imports nothing of the package but that file. The
daemon's side is ``forks``. Neither the variables nor the secrets of a container get into this process: the child that
becomes the container reads them itself. They speak in packets: first what :func:`hello` says, then each request is one
byte and the descriptors of :class:`Handed`, over whose ``status`` come ``started PID``, ``failed ERRNO`` and
``ended CODE``.
"""

import contextlib
import ctypes
import gc
import importlib
import importlib.util
import json
import os
import select
import site
import socket
import sys
import tempfile
import threading
import time
from dataclasses import astuple, dataclass
from pathlib import Path
from types import ModuleType

BOOTSTRAP = Path(__file__).with_name("bootstrap.py")


@dataclass(frozen=True)
class Handed:
    """Descriptors of one request. ``parameters`` is a file of JSON; the others lead to the daemon."""

    parameters: int
    stdout: int
    stderr: int
    lifeline: int
    status: int


class Recording(os._Environ[str]):
    """``os.environ``, while it notes the names that are asked for."""

    asked: "set[str]" = set()  # noqa: RUF012 (there is one object of this class)

    def __getitem__(self, key: str) -> str:
        self.asked.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)


def load_bootstrap() -> ModuleType:
    """A container's first program, as a module."""
    spec = importlib.util.spec_from_file_location("bootstrap", BOOTSTRAP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hello(asked: "set[str]") -> "dict[str, object]":
    """What the daemon must know to decide who can be forked; ``asked`` are the variables that were read.

    ``room`` is how many bytes of variables a container may have, ``refusal`` why there can be none at all.
    """
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 (one of them is this one's own)
    start, end = shown_memory()[1]
    refusal = f"it has {threads} threads ({threading.enumerate()})" if threads > 1 else ""
    return {
        "modules": sorted({name.partition(".")[0] for name in sys.modules} - {"__main__", "bootstrap"}),
        "variables": sorted(asked),
        "room": end - start,
        "refusal": refusal,
    }


def serve(control: socket.socket) -> "Handed | None":
    """Fork on request: in a child what it was started for, in the zygote None once the daemon is gone."""
    poll = select.poll()  # not epoll, which children would share
    poll.register(control, select.POLLIN)
    running: dict[int, tuple[int, int]] = {}
    ended: dict[int, int] = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in running:
                pid, status = running.pop(descriptor)
                poll.unregister(descriptor)
                os.close(descriptor)
                _tell(status, f"ended {_exit_code(pid)}")
                # Its number is not given to another one until the daemon has let go of it.
                ended[status] = pid
                poll.register(status, select.POLLIN)
            elif descriptor in ended:
                poll.unregister(descriptor)
                os.close(descriptor)
                os.waitpid(ended.pop(descriptor), 0)
            else:
                message, received, _, _ = socket.recv_fds(control, 1, len(Handed.__annotations__))
                if not message:
                    return None
                handed = Handed(*received)
                try:
                    pid = os.fork()
                except OSError as fault:
                    _tell(handed.status, f"failed {fault.errno}")
                    os.close(handed.status)
                else:
                    if not pid:
                        return handed
                    pidfd = os.pidfd_open(pid)
                    running[pidfd] = pid, handed.status
                    poll.register(pidfd, select.POLLIN)
                for other in astuple(handed)[:-1]:
                    os.close(other)


def _tell(status: int, text: str) -> None:
    with contextlib.suppress(OSError):  # the daemon may have let go of it
        os.write(status, text.encode())


def _exit_code(pid: int) -> int:
    """Of a process that has ended and is not waited for; negative for a signal."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert found is not None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def become(handed: Handed) -> None:
    """Make this process what ``python -P bootstrap.py`` is in the folder and with the variables of the parameters."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for standard, descriptor in enumerate((nothing, handed.stdout, handed.stderr)):
        os.dup2(descriptor, standard)
    with os.fdopen(handed.parameters, "rb") as file:
        parameters = json.loads(file.read())
    environment = parameters["environment"]
    os.environ.clear()
    os.environ.update(environment)
    show([sys.executable, "-P", str(BOOTSTRAP)], [f"{name}={value}" for name, value in environment.items()])
    os.chdir(parameters["folder"])
    _tell(handed.status, f"started {os.getpid()}")
    os.set_inheritable(handed.lifeline, True)
    os.closerange(3, handed.lifeline)
    os.closerange(handed.lifeline + 1, os.sysconf("SC_OPEN_MAX"))
    os.environ["GLMDEPLOY_LOCAL_LIFELINE"] = str(handed.lifeline)
    forget()


def forget() -> None:
    """Have anew what Python and the SDK have worked out from the variables of the zygote, or made up once."""
    paths = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]  # noqa: PTH100
    sys.path[:] = dict.fromkeys([*paths, *sys.path])
    importlib.invalidate_caches()
    time.tzset()
    tempfile.tempdir = None
    site.USER_BASE = site.USER_SITE = None
    sys.modules["modal.config"].user_config_path = str(Path("~/.modal.toml").expanduser())  # type: ignore[attr-defined]
    if processes := sys.modules.get("multiprocessing.process"):
        processes.current_process().authkey = os.urandom(32)


def shown_memory() -> "tuple[tuple[int, int], tuple[int, int]]":
    """Where /proc finds the arguments and the variables of this process: the first address, and the one after the last.

    proc_pid_stat(5), fields 48 to 51.
    """
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    arguments, arguments_end, variables, variables_end = map(int, fields[45:49])
    return (arguments, arguments_end), (variables, variables_end)


def show(words: "list[str]", variables: "list[str]") -> None:
    """Have /proc, and so ``ps``, show these arguments and variables; nothing else uses that memory any more."""
    for (start, end), texts in zip(shown_memory(), (words, variables), strict=True):
        block = b"".join(os.fsencode(text) + b"\0" for text in texts)
        if len(block) > end - start:
            raise ValueError("more arguments or variables than the zygote has room for")
        ctypes.memmove(start, block.ljust(end - start, b"\0"), end - start)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    os.environ.__class__ = Recording
    bootstrap = load_bootstrap()
    bootstrap.preload()
    os.environ.__class__ = os._Environ
    control.send(json.dumps(hello(Recording.asked)).encode())
    gc.collect()
    gc.freeze()  # children share what a collection would touch
    handed = serve(control)
    if handed is None:
        return
    control.detach()
    become(handed)
    bootstrap.main()


if __name__ == "__main__":
    main()
