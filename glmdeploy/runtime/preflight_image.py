"""Command lines, judged by the SGLang of this container's image: in a process of its own, with an end.

That process (``sglang/real/image_probe.py``) imports PyTorch and SGLang, which print, may abort, and leave behind what
they like. Its answers have a pipe for themselves; what it prints is kept for its last lines. A package that cannot be
imported without a driver ends the process; it is started again with a placeholder in the package's place.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from glmdeploy.runtime.processes import OWN_GROUP

IMAGE_PROBE = Path(__file__).parents[1] / "sglang" / "real" / "image_probe.py"
"""Where the program lies: in the package, and in the containers of the preflight, which get it with its neighbours."""

PROBE_STARTS = 6
"""How often the process is started at most: each time one more package has a placeholder."""

LAST_WORDS = 3
"""Lines of output that are shown of a process that ended before it answered."""


@dataclass(frozen=True)
class Judgement:
    """``refused`` has, by command (``server``, ``compile``), what SGLang refuses its arguments with.

    ``unjudged`` says why it was not asked, or could not answer; empty where it did. ``release`` is the installed
    SGLang, None where it does not know. ``placeholders`` are packages that could not be imported, with the reasons.
    """

    release: str | None = None
    stand_in: bool = False
    refused: dict[str, str] = field(default_factory=dict)
    unjudged: str = ""
    placeholders: dict[str, str] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        return asdict(self)


def judge_arguments(
    interpreter: str,
    environment: Mapping[str, str],
    argvs: Mapping[str, Sequence[str]],
    *,
    seconds: float,
    resolve: bool = False,
    machine: Mapping[str, Any] | None = None,
    absent: Sequence[str] = (),
) -> Judgement:
    """What the SGLang that ``interpreter`` imports with this environment makes of the words after the module's name.

    With ``resolve`` the server's arguments are resolved too, as on the GPUs of ``machine``. ``absent`` are packages
    that shall seem to be installed. All of it may take ``seconds``.
    """
    deadline = time.monotonic() + seconds
    request = {"argvs": {name: list(words) for name, words in argvs.items()}, "resolve": resolve, "machine": machine}
    hidden: dict[str, str] = {}
    for _ in range(PROBE_STARTS):
        answers, ended = _answers(interpreter, environment, {**request, "absent": absent, "hidden": hidden}, deadline)
        hurdle = next((answer for answer in answers if answer.get("culprit") and answer["culprit"] not in hidden), None)
        if hurdle is None:
            return _judgement(answers, ended, resolve=resolve)
        hidden = {**hidden, hurdle["culprit"]: hurdle["failed"]}
    return _judgement(answers, ended, resolve=resolve)


def write_nvidia_smi(folder: Path, machine: Mapping[str, Any]) -> None:
    """Put a program there that tells of the machine's GPUs what SGLang asks ``nvidia-smi``: their memory, in MiB.

    :raises OSError:
    """
    program = folder / "nvidia-smi"
    lines = " ".join([str(machine["memory_mib"])] * machine["count"])
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' {lines}\n", encoding="utf-8")
    program.chmod(0o755)


def _judgement(answers: list[dict[str, Any]], ended: str, *, resolve: bool) -> Judgement:
    steps = {answer["step"]: answer for answer in answers}
    release = steps.get("release", {})
    refused = {answer["command"]: answer["refused"] for answer in answers if answer.get("refused")}
    failures = [answer["failed"] for answer in answers if answer.get("failed")]
    if steps.get("imported", {}).get("failed"):
        unjudged = f"it cannot be imported: {failures[0]}"
    elif failures:
        unjudged = f"its resolution failed without a verdict: {failures[0]}"
    elif ended and not refused:
        unjudged = ended
    elif release.get("stand_in") and resolve:
        unjudged = "a stand-in resolves nothing"
    else:
        unjudged = ""
    return Judgement(
        release=release.get("release"),
        stand_in=bool(release.get("stand_in")),
        refused=refused,
        unjudged="" if refused else unjudged,
        placeholders=steps.get("imported", {}).get("placeholders", {}),
    )


def _answers(
    interpreter: str, environment: Mapping[str, str], request: Mapping[str, Any], deadline: float
) -> tuple[list[dict[str, Any]], str]:
    """The answers of one process, and why they are not all: empty where they are."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        variables = {**environment, "CUDA_VISIBLE_DEVICES": ""}
        if request["machine"]:
            write_nvidia_smi(folder, request["machine"])
            variables["PATH"] = f"{folder}:{variables.get('PATH', os.defpath)}"
        source, sink = os.pipe()
        with (folder / "output").open("wb") as output, os.fdopen(source, "rb") as pipe:
            try:
                process = subprocess.Popen(
                    [interpreter, str(IMAGE_PROBE), str(folder / "request.json"), str(sink)],
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(sink,),
                    **OWN_GROUP,
                )
            except OSError as error:
                return [], f"{interpreter} cannot be run: {error.strerror}"
            finally:
                os.close(sink)
            text, in_time = _read(pipe.fileno(), deadline)
            code = _end(process, deadline if in_time else 0)
        answers = [
            json.loads(line) for line in text.decode(errors="replace").splitlines(keepends=True) if line[-1] == "\n"
        ]
        if not in_time:
            return answers, "it did not answer in time"
        return answers, _ended(code, folder / "output") if code else ""


def _read(source: int, deadline: float) -> tuple[bytes, bool]:
    """All that comes until the last writer has closed the pipe, and whether that was before the deadline."""
    text = b""
    while (left := deadline - time.monotonic()) > 0:
        if select.select([source], [], [], left)[0]:
            piece = os.read(source, 65536)
            if not piece:
                return text, True
            text += piece
    return text, False


def _end(process: subprocess.Popen[bytes], deadline: float) -> int:
    """The exit code; what is left of the process's group is killed."""
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0, deadline - time.monotonic()))
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _ended(code: int, output: Path) -> str:
    """How the process ended without an answer: the signal, or its last lines."""
    how = f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"
    lines = [line.strip() for line in output.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return ": ".join([how, *([" / ".join(lines[-LAST_WORDS:])] if lines else [])])
