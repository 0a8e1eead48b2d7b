"""``python -m glmdeploy`` for tests, forked from one process that has imported what the commands import.

An ``apply`` is half a second of imports and of rules read, and the tests run hundreds. What the commands do is the
same; whoever wants to see a process start, or to signal one, uses ``Shell.started``.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pkgutil
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from glmdeploy.local.containers.zygote import Handed, Recording, serve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IMPORTED = (
    *("glmdeploy.local.cloud", "glmdeploy.local.state.store", "glmdeploy.local.tiny_model"),
    *("aiohttp", "email.policy", "huggingface_hub.hf_api", "netrc", "sqlite3", "stringprep"),
    *("modal._utils.git_utils", "modal.output", "modal.runner"),
    *("rich._emoji_codes", "rich.console", "rich.live", "rich.progress", "rich.status"),
)
ROOMS = ("cli", "operate", "plan", "report")
"""All modules of these are imported, but what they have in folders."""
READ = "b200-eagle-bf16kv"
"""The profile that is planned before the first command: its release's options and the rules are read once for all."""
BEFORE_PYTHON = ("PYTHON", "LD_", "LC_", "LANG", "SSL_", "TZ")
"""What the names of variables begin with that count before anything is imported."""
A_SHELLS = ("PATH", "PWD", "OLDPWD", "SHLVL", "_")
"""What a shell sets, and no module keeps."""
ANEW = "huggingface_hub"
"""The package that works out its folders and addresses from the variables when it is imported; it is imported anew."""


class Commands:
    """Starts the process when a command is run; ``environment`` is what it sees itself."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._root = root
        self._environment = {**environment, "HOME": "/nonexistent", "PYTHONPATH": str(root)}
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._asked: set[str] = set()

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], seconds: float
    ) -> subprocess.CompletedProcess[str] | None:
        """What the command printed, and its exit code; None where it must be started afresh."""
        wanted = {"arguments": arguments, "environment": dict(environment), "folder": str(Path.cwd())}
        with contextlib.ExitStack() as stack:
            stdout, stderr = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
            nothing = stack.enter_context(Path(os.devnull).open("rb"))
            code = self.connected(wanted, (nothing.fileno(), stdout.fileno(), stderr.fileno()), seconds)
            if code is None:
                return None
            texts = [Path(f"/proc/self/fd/{each.fileno()}").read_text(encoding="utf-8") for each in (stdout, stderr)]
            return subprocess.CompletedProcess(arguments, code, *texts)

    def connected(self, wanted: Mapping[str, Any], standard: tuple[int, int, int], seconds: float) -> int | None:
        """The exit code of a command that reads and writes these descriptors; None where it must be started afresh.

        ``wanted`` has its ``arguments``, ``environment`` and ``folder``, and ``console`` for the console script.
        """
        with self._lock:
            if self._control is None:
                self._start()
        if not self._fits(wanted["environment"]):
            return None
        stdin, stdout, stderr = standard
        status, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with status, tempfile.TemporaryFile() as parameters:
            parameters.write(json.dumps(wanted).encode())
            parameters.seek(0)
            handed = Handed(parameters.fileno(), stdout, stderr, stdin, theirs.fileno())
            assert self._control is not None
            socket.send_fds(self._control, [b"1"], list(vars(handed).values()))
            theirs.close()
            status.settimeout(seconds)
            word, code = status.recv(64).decode().split()
            assert word == "ended", (word, code)
            return int(code)

    def _start(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                env=self._environment,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
            )
        self._asked = set(json.loads(self._control.recv(1 << 16)))

    def _fits(self, environment: Mapping[str, str]) -> bool:
        """Whether nothing differs that the modules have read, or Python itself."""
        names = {*environment, *self._environment}
        differing = {name for name in names if environment.get(name) != self._environment.get(name)}
        differing -= {"PYTHONPATH", *A_SHELLS}
        if "HOME" in differing and not (Path(environment["HOME"]) / ".modal.toml").exists():
            differing.remove("HOME")
        return not any(name in self._asked or name.startswith(BEFORE_PYTHON) for name in differing)


def import_all() -> None:
    for name in IMPORTED:
        import_module(name)
    for room in ROOMS:
        for module in pkgutil.iter_modules(import_module(f"glmdeploy.{room}").__path__, f"glmdeploy.{room}."):
            import_module(module.name)


def read_all() -> None:
    """Have the rules read, and the options of the release of ``READ``."""
    plan_of = import_module("glmdeploy.plan.make").plan_of
    plan_of(import_module("glmdeploy.profile.text.load").load(READ))


def become(handed: Handed) -> NoReturn:
    """Run the command as ``python -m glmdeploy`` would."""
    with os.fdopen(handed.parameters, "rb") as file:
        wanted = json.load(file)
    for standard, descriptor in enumerate((handed.lifeline, handed.stdout, handed.stderr)):
        os.dup2(descriptor, standard)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(wanted["environment"])
    os.chdir(wanted["folder"])
    sys.path.insert(0, wanted["folder"])
    sys.argv[1:] = wanted["arguments"]
    sys.modules["modal.config"].user_config_path = str(Path("~/.modal.toml").expanduser())  # type: ignore[attr-defined]
    if wanted.get("console"):
        sys.argv[0] = "glmdeploy"
        import_module("glmdeploy.cli").entry()
    runpy.run_module("glmdeploy", run_name="__main__", alter_sys=True)
    sys.exit()


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    os.environ.__class__ = Recording
    import_all()
    os.environ.__class__ = os._Environ
    read_all()
    for name in [name for name in sys.modules if name.partition(".")[0] == ANEW]:
        del sys.modules[name]
    assert threading.active_count() == 1
    control.send(json.dumps(sorted(name for name in Recording.asked if not name.startswith("HF_"))).encode())
    gc.collect()
    gc.freeze()
    handed = serve(control)
    if handed is not None:
        control.detach()
        become(handed)


if __name__ == "__main__":
    main()
