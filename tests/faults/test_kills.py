"""Kills at any moment: of the command, of the engine, of a container, of the embedded cloud.

After each of them the next command converges, what ran before answers, and nothing is left. A few kills in every run;
``pytest tests/faults/test_kills.py --kills 1000`` for more.
"""

from __future__ import annotations

import collections
import contextlib
import os
import random
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from support import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from fault_rows import Fault
    from support import Shell

APPLY = ("apply", "b200-eagle-bf16kv", "--target", "local", "--yes", "--no-preflight", "--make-secrets")
SEED = 20261128


def processes(home: Path) -> dict[int, str]:
    """The live processes whose command line, folder or environment names the home: pid and command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] in "ZX":
                continue
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environ = (folder / "environ").read_bytes().decode(errors="replace")
            here = os.readlink(folder / "cwd")  # noqa: PTH115 (a deleted folder is none)
            if any(str(home) in text for text in (words, here)) or f"{home}/" in environ or f"={home}\0" in environ:
                found[int(folder.name)] = words.strip()
    found.pop(os.getpid(), None)
    return found


def kill(pid: int) -> bool:
    """Whether there was something to kill."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def answers(url: str) -> bool:
    """Whether the endpoint serves: its health is good, and it wants a key."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=PATIENCE) as answer:
            healthy = answer.status == 200
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(f"{url}/v1/models", timeout=PATIENCE).close()
            return False
    except (urllib.error.HTTPError, OSError):
        return False
    return healthy


def victims(shell: Shell, tool: int) -> dict[str, Callable[[], list[int]]]:
    """What can be killed, and how to find it."""

    def having(*words: str) -> list[int]:
        return [pid for pid, line in processes(shell.home).items() if all(word in line for word in words)]

    return {
        "the command": lambda: [tool] if Path(f"/proc/{tool}/exe").exists() else [],
        "the engine": lambda: having("--served-model-name"),
        "a container": lambda: having("bootstrap.py"),
        "the embedded cloud": lambda: having("glmdeploy.local.daemon"),
    }


def test_kills(fresh: Shell, pytestconfig: pytest.Config, fault: Fault) -> None:
    chance = random.Random(SEED)
    url = fresh.json(*APPLY)["url"]
    assert answers(url)
    count, number = pytestconfig.getoption("--kills"), 0
    killed: collections.Counter[str] = collections.Counter()
    while killed.total() < count:
        number += 1
        # Another value each time, so that there is something to do; sometimes weights and kernels too.
        sets = ["--set", f"server.scaledown_window={300 + number}"]
        if chance.random() < 0.2:
            sets += ["--set", f"model.revision='{chance.getrandbits(160):040x}'"]
        with fresh.started(*APPLY, *sets) as process:
            for name in chance.sample(["the command", "the engine", "a container", "the embedded cloud"], 2):
                time.sleep(chance.random() * 2)
                for pid in victims(fresh, process.pid)[name]():
                    killed[name] += kill(pid)
            _, stderr = process.communicate(timeout=PATIENCE)
        assert "Traceback" not in stderr, stderr
        result = fresh.json(*APPLY, *sets)
        assert answers(result["url"]), (number, killed)
    assert len(killed) == 4 or count < 40, killed
    fresh.stop()
    wait_until(lambda: not processes(fresh.home))  # containers of a killed cloud have three seconds after its end
    locks = [path for path in (fresh.home / "locks").glob("*.pid") if processes(fresh.home)]
    assert not locks
    fault(
        "kill -9 of command, engine, container and embedded cloud, again and again, at any moment",
        f"after each of {killed.total()}: the next `apply` converges, the endpoint answers and wants its key; at the "
        "end no process is left",
    )
