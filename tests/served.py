"""What tests ask of a deployment that serves on the embedded cloud, and how they see a container come and go."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from support import PATIENCE, wait_until

if TYPE_CHECKING:
    from support import Shell

APP = "glm51-fp8"
APPLY = ("apply", "b200-eagle-bf16kv", "--target", "local", "--yes", "--no-preflight", "--make-secrets")
QUICK = ("--set", "server.health={interval: 1, timeout: 6, limit: 5}")
"""A deployment that notices hangs within seconds."""


def key(shell: Shell) -> str:
    return shell.run("local", "secret", "glm51-api-key", "API_KEY").stdout.strip()


def status(url: str, path: str = "/health") -> int:
    try:
        with urllib.request.urlopen(f"{url}{path}", timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def engines(shell: Shell) -> list[int]:
    """The processes that serve."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--served-model-name" in words and any(str(shell.home).encode() in word for word in words):
            found.append(int(folder.name))
    return found


def log(shell: Shell) -> str:
    return shell.modal("app", "logs", APP, "--tail", "400").stdout


def noticed(shell: Shell, url: str, pid: int) -> float:
    """Seconds until the container of the engine is gone; then the next request is served by another one."""
    started = time.monotonic()
    before = shell.containers(APP)
    wait_until(lambda: not before & shell.containers(APP))
    seconds = time.monotonic() - started
    assert status(url) == 200
    assert pid not in engines(shell)
    assert len(engines(shell)) == 1
    return seconds


def last_line(shell: Shell, words: str) -> str:
    return [line for line in log(shell).splitlines() if words in line][-1]
