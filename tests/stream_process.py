"""Runs commands one after the other, each in a fork of a process that has imported what they import.

Standard input has a JSON object: ``folder`` is where they run, and ``calls`` are pairs of a list of arguments and of a
way in which a standard stream can fail. For each a line of JSON on standard output tells exit code and standard error.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from forked_command import import_all, read_all

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 600
"""After which a command is taken to go on for ever."""


def become(arguments: list[str], way: str, errors: int) -> NoReturn:
    """Be the command, with standard output in such a way: its reader is gone, its disk is full, or it is closed.

    In the way ``mute`` the disk is full for standard error too.
    """
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(errors, 2)
    match way:
        case "gone":
            reader, writer = os.pipe()
            os.dup2(writer, 1)
            os.close(writer)
            os.close(reader)
        case "full" | "mute":
            os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    if way == "mute":
        os.dup2(1, 2)
    os.closerange(3, errors)
    os.closerange(errors + 1, 256)
    if way == "closed":
        os.close(1)
    # As Python starts: the streams stand on the descriptors, and a closed one is none.
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False) if way != "closed" else None  # type: ignore[assignment,misc] # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", closefd=False)  # type: ignore[misc] # noqa: SIM115
    if arguments == ["logs", "-f"]:
        _endless()
        arguments = ["logs", "app", "-f", "--target", "local"]
    signal.alarm(SECONDS)
    sys.argv[1:] = arguments
    code: Any = 0
    try:
        runpy.run_module("glmdeploy", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    # What Python does at its end. To take apart all that was imported would be most of a command's time.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            os.write(errors, f"Exception ignored while flushing: {error}".encode())
            code = 120
    os._exit(code)


def _endless() -> None:
    """An app whose log never ends."""
    from datetime import UTC, datetime
    from types import SimpleNamespace

    import glmdeploy.cli.logs
    import glmdeploy.operate.logs

    line = glmdeploy.operate.logs.Line(at=datetime.now(UTC), task="ta-1", source="stdout", text="a line")

    class Log:
        def __init__(self, **_: Any) -> None:
            pass

        def last(self, _: int) -> list[Any]:
            return [line]

        def follow(self, *_: Any) -> Iterator[Any]:
            while True:
                yield line

    glmdeploy.operate.logs.Log = Log  # type: ignore[assignment,misc]
    glmdeploy.cli.logs.app.target_app = lambda *_, **__: SimpleNamespace(app="app", target="here")  # type: ignore[assignment,return-value]
    glmdeploy.cli.logs._app_id = lambda _: ("ap-1", True)


def main() -> None:
    asked = json.load(sys.stdin)
    os.chdir(asked["folder"])
    import_all()
    read_all()
    gc.freeze()
    running: dict[int, tuple[list[str], str, Any]] = {}
    waiting = [*asked["calls"]]
    while waiting or running:
        while waiting and len(running) < 2:
            arguments, way = waiting.pop(0)
            errors = tempfile.TemporaryFile()  # noqa: SIM115
            sys.stdout.flush()
            if not (child := os.fork()):
                become(arguments, way, errors.fileno())
            running[child] = (arguments, way, errors)
        child, status, used = os.wait4(-1, 0)
        arguments, way, errors = running.pop(child)
        text = Path(f"/proc/self/fd/{errors.fileno()}").read_text(encoding="utf-8")
        told = {
            "call": arguments,
            "way": way,
            "code": os.waitstatus_to_exitcode(status),
            "err": text,
            "cpu": round(used.ru_utime + used.ru_stime, 2),
        }
        print(json.dumps(told), flush=True)
        errors.close()


if __name__ == "__main__":
    main()
