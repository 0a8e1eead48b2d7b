"""What the engine of a version said last before it failed, of the app's log: for who must find out why."""

from __future__ import annotations

import contextlib
import re
from datetime import timedelta
from typing import TYPE_CHECKING

from glmdeploy.errors import DeployError
from glmdeploy.operate.endpoint import framed
from glmdeploy.operate.history import find_app
from glmdeploy.operate.logs import Log, Wanted
from glmdeploy.runtime.verdict import SILENT_END, read_place, read_verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from glmdeploy.operate.logs import Line
    from glmdeploy.operate.target import Target

MOST_LINES = 12
SECONDS = 10.0
"""What the log gets: the version before is to come back, and who reads it can ask again."""
CLOCK = timedelta(seconds=60)
"""The log's clock may be another one."""
_RANK = re.compile(r"rank (\d+): ")


def with_last_words(fault: DeployError, app: str, number: int | None, published: datetime, target: Target) -> None:
    """Add the last lines to the advice of ``fault``, where it has none; and how to read all of them."""
    advice = (fault.advice or "").splitlines()
    if number is not None and not any(line.startswith("  | ") for line in advice):
        with contextlib.suppress(DeployError):
            app_id = find_app(app, target)
            log = Log(app, app_id or "", target, Wanted(version=number))
            advice += framed(last_words(log.between(published - CLOCK, seconds=SECONDS)))[-MOST_LINES:]
    if number is not None and "glmdeploy logs" not in "\n".join(advice):
        advice.append(f"all of its output: {target.glmdeploy(f'logs {app} --version {number}')}")
    fault.advice = "\n".join(advice) or None


def last_words(lines: Iterable[Line]) -> Sequence[str]:
    """Of the container that was the last to give up, what others said before it did; else of the last that spoke.

    In a cluster rank 0 gives up for all: then it is the container of the rank that it names.
    """
    lines = [line for line in lines if line.task is not None]
    given_up = [line for line in lines if line.ours and line.is_error]
    task = _failed(given_up[-1], lines) if given_up else lines[-1].task if lines else None
    said = []
    for line in lines:
        if line.task == task and line.ours and (line.is_error or line.text.endswith(SILENT_END)):
            break  # what comes then is the traceback of our own exception
        if line.task == task and not line.ours and line.text.strip() and line.source != "system":
            said.append(line.text)
    return said


def _failed(refusal: Line, lines: Iterable[Line]) -> str | None:
    """The container that a refusal tells of."""
    verdict = read_verdict(refusal.text)
    named = _RANK.match(verdict.reasons[0]) if verdict and verdict.reasons else None
    places = {line.task: place for line in lines if (place := read_place(line.text))}
    own = places.get(refusal.task)
    if named is None or own is None:
        return refusal.task
    wanted = (own[0], int(named[1]))
    return next((task for task, place in places.items() if place == wanted), refusal.task)
