"""Functions that carry no decorators: :func:`register` makes them an app's, as glmdeploy does with its stages."""

import contextlib
import multiprocessing
import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import modal


def inside(path: str) -> Path:
    """A path of the container, on this machine."""
    return Path(os.environ["GLMDEPLOY_LOCAL_ROOT"] + path)


def double(value: Any) -> Any:
    print(f"doubling {value!r}")
    return value * 2


def refuse(message: str) -> None:
    raise ValueError(message)


def crash() -> None:
    print(f"last words, with {os.environ['API_KEY']}", flush=True)
    os._exit(17)


def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


def count(upto: int) -> Iterator[int]:
    yield from range(upto)


def surroundings() -> dict[str, Any]:
    python = subprocess.run(
        ["python3", "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True
    )
    return {
        "environ": dict(os.environ),
        "cwd": str(Path.cwd()),
        "python3": python.stdout.strip(),
        "prefix": sys.prefix,
        "root": sorted(path.name for path in inside("/root").iterdir()),
        "baked": inside("/baked/note.txt").exists(),
    }


def write(path: str, text: str) -> None:
    inside(path).write_text(text)
    volume = modal.Volume.from_name("data")
    volume.commit()
    volume.reload()


def flaky(path: str) -> int:
    """Fails until it has been called three times."""
    counter = inside(path)
    calls = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.write_text(str(calls))
    if calls < 3:
        raise RuntimeError(f"call {calls}")
    return calls


def orphan(path: str) -> int:
    """Leaves a child behind that ignores requests to end, and never returns."""
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
        ]
    )
    inside(path).write_bytes(pickle.dumps((os.getpid(), child.pid)))
    signal.pause()
    return child.pid


def apart(path: str) -> None:
    """Leaves a child behind in a process group of its own, as an engine is, and a grandchild; never returns."""
    script = (
        "import os, signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.setpgid(0, 0); "
        "child = subprocess.Popen(['sleep', '600']); "
        "file = open(sys.argv[1] + '.new', 'w'); file.write(f'{os.getppid()} {os.getpid()} {child.pid}'); "
        "file.close(); "
        "os.rename(sys.argv[1] + '.new', sys.argv[1]); signal.pause()"
    )
    subprocess.run([sys.executable, "-c", script, str(inside(path))], check=False)


def processes() -> dict[int, dict[str, str]]:
    """The arguments and the environment of each process of this container's session."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        try:
            if os.getsid(pid) == os.getsid(0):
                found[pid] = {name: (folder / name).read_text(errors="replace") for name in ("cmdline", "environ")}
        except OSError:
            continue
    return found


def picture() -> dict[str, Any]:
    """What a process can know of how it was started."""
    proc = Path("/proc/self")
    return {
        "variables": dict(os.environ),
        "variables, as others see them": {word for word in (proc / "environ").read_bytes().split(b"\0") if word},
        "arguments, as others see them": [word for word in (proc / "cmdline").read_bytes().split(b"\0") if word],
        "arguments": sys.argv,
        "paths": sys.path,
        "flags": tuple(sys.flags),
        "folder": str(Path.cwd()),
        "descriptors": sorted(_opened(proc / "fd")),
        "signals": [str(signal.getsignal(number)).partition(" at ")[0] for number in signal.valid_signals()],
        "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "session": os.getsid(0) == os.getpgid(0) == os.getpid(),
        "streams": [(each.encoding, each.errors, each.line_buffering, each.write_through) for each in _streams()],
        "main": sys.modules["__main__"].__name__,
        "threads": threading.active_count(),
        "limits": [resource.getrlimit(number) for number in (resource.RLIMIT_NOFILE, resource.RLIMIT_STACK)],
        "umask": (os.umask(0o077), os.umask(0o077))[0],
        "zone": time.tzname,
        "folder for temporary files": tempfile.gettempdir(),
        "random": random.random(),
        "key": bytes(multiprocessing.current_process().authkey).hex(),
        "parent": Path(f"/proc/{os.getppid()}/cmdline").read_bytes().split(b"\0")[2].decode(),
    }


def _streams() -> list[Any]:
    return [sys.stdin, sys.stdout, sys.stderr]


def _opened(folder: Path) -> Iterator[str]:
    """What kinds of files are open."""
    for each in folder.iterdir():
        with contextlib.suppress(OSError):
            yield str(each.readlink()).partition(":[")[0]


def begin_and_sleep(file: str, seconds: float) -> None:
    """Sleep, once the file says that it does: a container that has an input may not have begun with it."""
    Path(file).touch()
    time.sleep(seconds)


def act(what: str, *arguments: Any) -> Any:
    """Several of the above in one container."""
    return globals()[what](*arguments)


def register(app: modal.App, volume: modal.Volume) -> None:
    secret = modal.Secret.from_dict({"API_KEY": "sk-very-secret-0123"})
    image = modal.Image.debian_slim().env({"COLOUR": "it's $blue", "HF_ENDPOINT": "https://example.invalid"})
    image = image.add_local_file(__file__, "/baked/note.txt", copy=True)
    image = image.add_local_file(__file__, "/root/mounted.txt")
    image = image.add_local_dir(Path(__file__).parent, "/root/apps", ignore=["*.pyc"])
    common: dict[str, Any] = {"image": image, "secrets": [secret], "volumes": {"/data": volume}}
    app.function(**common, max_containers=1)(act)
    for function in (crash, orphan, apart):
        app.function(**common)(function)
    app.function(**common, timeout=3, startup_timeout=600)(sleep)
    app.function(**common)(count)
    app.function(**common, retries=modal.Retries(max_retries=2, initial_delay=0.0))(flaky)
