"""Counts the failed starts of a plan, so that one that fails again and again does not rent GPUs for ever.

Each failure is a file in the weights volume, ``.glmdeploy/failures/<digest>/<unix seconds>-<random>.json``, written
through Modal's API and not through the mount, which shows the server a part of the volume alone. All of it is optional:
what the volume does not answer in time is said in the log, and the start goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import modal

from glmdeploy.runtime.markers import FOLDER
from glmdeploy.runtime.output import say
from glmdeploy.runtime.verdict import DIGEST_LENGTH

MOST_FAILURES = 3
"""Failures within :data:`FAILURE_WINDOW` after which a plan is not started."""

FAILURE_WINDOW = 3600
"""Seconds in which failures are counted together, and for which a plan is not started after the last."""

CLOCK_SECONDS = 300
"""How far the clocks of two machines may be apart."""

VOLUME_SECONDS = 8
"""Patience with the volume's API."""

REASON_CHARACTERS = 2000
"""What is kept of a reason: its first line, and its end."""

Found = TypeVar("Found")


def digest_of(plan: dict[str, Any]) -> str:
    """SHA-256 of the plan's canonical JSON in hexadecimal, as ``glmdeploy.plan.plan.Plan.digest``."""
    text = json.dumps(plan, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def too_many(volume: modal.Volume, digest: str) -> str | None:
    """Why the plan is not to be started now, in lines, with the reason of its last failure; else None."""
    return _attempt("read", lambda: _too_many(volume, digest, time.time()))


def remember(volume: modal.Volume, digest: str, reason: str) -> None:
    """Count a failed start. The reason must not hold a secret."""
    _attempt("written", lambda: _remember(volume, digest, reason, time.time()))


def forget(volume: modal.Volume, digest: str) -> None:
    """Start the count of a plan anew; whatever the volume's API raises is raised.

    The digest may be the first 40 digits of it.
    """
    for path in _failures(volume, digest):
        with contextlib.suppress(FileNotFoundError, modal.exception.NotFoundError):  # another container forgets too
            volume.remove_file(path)


def forget_later(volume: modal.Volume, digest: str) -> None:
    """As :func:`forget`, in the background: nobody waits for it, and a fault is only said."""
    threading.Thread(
        target=lambda: _attempt("cleared", lambda: forget(volume, digest)), name="forget", daemon=True
    ).start()


def within(seconds: float, call: Callable[[], Found]) -> Found:
    """What ``call`` returns or raises.

    :raises TimeoutError: when that takes longer; it goes on in a thread of its own.
    """
    found: list[Found] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            found.append(call())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="within", daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not found:
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    return found[0]


def _attempt(what: str, call: Callable[[], Found]) -> Found | None:
    try:
        return within(VOLUME_SECONDS, call)
    except Exception as error:  # an API that fails must not stop a healthy start
        say(f"the count of failed starts could not be {what}: {str(error) or type(error).__name__}")
        return None


def _too_many(volume: modal.Volume, digest: str, now: float) -> str | None:
    # What lies in the future was dated by a wrong clock, and would count for ever.
    paths = [path for path in _failures(volume, digest) if _time_of(path) <= now + CLOCK_SECONDS]
    if len(paths) < MOST_FAILURES:
        return None
    first, last = (_time_of(path) for path in (paths[-MOST_FAILURES], paths[-1]))
    if last - first > FAILURE_WINDOW or now - last > FAILURE_WINDOW:
        return None
    count = sum(1 for path in paths if last - _time_of(path) <= FAILURE_WINDOW)
    try:
        reason = str(json.loads(b"".join(volume.read_file(paths[-1])))["reason"])
    except (OSError, ValueError, KeyError, TypeError, modal.exception.NotFoundError):
        reason = "(the reason cannot be read)"
    left = max(last + FAILURE_WINDOW - now, 0) / 60
    return (
        f"SGLang is not started: the last {count} starts of this plan failed within an hour. It is tried again in "
        f"{left:.0f} minutes, or after the next apply. The last one failed for this reason:\n{reason}"
    )


def _remember(volume: modal.Volume, digest: str, reason: str, now: float) -> None:
    content = json.dumps({"at": int(now), "reason": _shortened(reason)}, ensure_ascii=False).encode(errors="replace")
    with volume.batch_upload() as batch:
        batch.put_file(io.BytesIO(content), f"{_failure_folder(digest)}/{int(now)}-{secrets.token_hex(4)}.json")
    for path in _failures(volume, digest):
        if now - _time_of(path) > 2 * FAILURE_WINDOW:
            volume.remove_file(path)


def _failures(volume: modal.Volume, digest: str) -> list[str]:
    """The paths of the plan's failures in the volume, the last one at the end."""
    try:
        entries = volume.listdir(_failure_folder(digest))
    except (FileNotFoundError, modal.exception.NotFoundError):
        return []
    return sorted((entry.path for entry in entries if _time_of(entry.path)), key=_time_of)


def _time_of(path: str) -> int:
    """When a failure was, in seconds since 1970, by its file's name; 0 for another file."""
    named = re.search(r"(?:^|/)(\d{1,12})-[0-9a-f]+\.json$", path)
    return int(named[1]) if named else 0


def _failure_folder(digest: str) -> str:
    return f"{FOLDER}/failures/{digest[:DIGEST_LENGTH]}"


def _shortened(reason: str) -> str:
    if len(reason) <= REASON_CHARACTERS:
        return reason
    first = reason.partition("\n")[0][: REASON_CHARACTERS // 2]
    return f"{first}\n...\n{reason[len(first) - REASON_CHARACTERS :]}"
