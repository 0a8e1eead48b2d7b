"""Asks a deployed endpoint over HTTP, as a stranger would: whether it is healthy, and whether it wants a key.

How it is asked is the caller's matter: with a proxy token, where Modal's proxy wants one, or from a container
(:mod:`glmdeploy.operate.proxy`).
"""

from __future__ import annotations

import ast
import contextlib
import json
import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from glmdeploy.errors import DeployError
from glmdeploy.runtime.public import PublicAnswer, ask_public

if TYPE_CHECKING:
    from glmdeploy.operate.target import Target

Ask: TypeAlias = Callable[[str, float], PublicAnswer]
"""One GET of a URL without an API key, within so many seconds."""

POLL_SECONDS = 0.5
LINES, COLUMNS = 20, 200
"""How many of the last lines of a failed start are shown, and how much of each: SGLang prints its arguments in one."""

_ARGUMENTS = re.compile(r"\bserver_args=")
_PROTECTED = "/v1/models"
"""A route that SGLang protects, which costs it nothing (0.5.10 to 0.5.23)."""


def wait_until_healthy(url: str, target: Target, seconds: float, *, ask: Ask = ask_public) -> float:
    """Ask ``/health`` until it answers 200; returns the seconds that took.

    The path is open even with an API key (facts of SGLang 0.5.10 to 0.5.23), so that no key is needed here: a 401 is of
    Modal's proxy, which no waiting changes.

    :raises DeployError: when it does not, or a container says why it could not start.
    """
    started = time.monotonic()
    reason = "no answer"
    while (waited := time.monotonic() - started) < seconds:
        answer = ask(f"{url}/health", seconds - waited)
        if answer.status == 200:
            return time.monotonic() - started
        if answer.status is None:
            target.check_alive()
        elif answer.status == 401:
            raise refused_by_proxy(url)
        elif message := _message(answer.body):
            first, lines = failed_start(message)
            raise DeployError(f"the endpoint did not start: {first}", advice="\n".join(lines) or None)
        reason = _with_first_line(answer)
        time.sleep(POLL_SECONDS)
    raise DeployError(f"the endpoint {url} was not healthy after {seconds:.0f} s ({reason})")


def refused_by_proxy(url: str) -> DeployError:
    """What Modal's proxy answers before the endpoint gets to see a request."""
    return DeployError(
        f"Modal's proxy lets nobody through to {url}: the token was refused, or none was sent (401)",
        advice="`secrets.proxy_token` must name a secret with a proxy token of the workspace, which may use this "
        "Environment:\n`modal workspace proxy-tokens list` shows them, `modal workspace proxy-tokens create` makes one",
    )


def check_proxy(url: str, stop: str, seconds: float) -> bytes:
    """Ask without a proxy token for what SGLang gives to everybody: Modal must refuse it. Returns what it says then.

    :raises DeployError: as :func:`check_key`.
    """
    return _refusal(f"{url}/health", "proxy token", stop, seconds, ask_public, time.sleep)


def check_key(
    url: str,
    stop: str,
    seconds: float,
    *,
    ask: Ask = ask_public,
    of_proxy: bytes | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Ask a protected route without a key: it must be refused. ``stop`` is the command that stops the app.

    ``of_proxy`` is what Modal's proxy says when it refuses, where it does: that is no refusal of SGLang's.

    :raises DeployError: when it is answered, or after ``seconds`` without an answer that tells.
    """
    if _refusal(url + _PROTECTED, "key", stop, seconds, ask, pause) == of_proxy:
        raise refused_by_proxy(url)


def _refusal(url: str, lacking: str, stop: str, seconds: float, ask: Ask, pause: Callable[[float], None]) -> bytes:
    """What the endpoint says to a request that lacks something.

    :raises DeployError: when it is answered, or after ``seconds`` without an answer that tells.
    """
    deadline = time.monotonic() + seconds
    while (answer := ask(url, deadline - time.monotonic())).status != 401:
        if time.monotonic() > deadline:
            if answer.status is not None and answer.status < 300:
                break
            raise DeployError(
                f"whether {url} wants its {lacking} is not known: a request without one got {_with_first_line(answer)}",
                advice=f"ask again: curl -i {url}\nif that answers without a {lacking}, stop it: {stop}",
            )
        pause(POLL_SECONDS)
    if answer.status != 401:
        raise DeployError(
            f"the endpoint is open: {url} without a {lacking} got {answer.reason}, and should get 401",
            advice=f"stop it: {stop}\nthen look for what takes the {lacking} away: "
            "the image's own entrypoint, a patched SGLang, a proxy before it",
        )
    return answer.body


def _message(body: bytes) -> str | None:
    """Of an answer ``{"error": {"message": ...}}``: what the front door of the embedded cloud says."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)["error"]["message"])
    return None


def _with_first_line(answer: PublicAnswer) -> str:
    first = answer.body.decode(errors="replace").strip().partition("\n")[0]
    return f"{answer.reason}: {first[:200]}" if first and first[0] not in "<{" else answer.reason


def failed_start(message: str) -> tuple[str, list[str]]:
    """What a container said when it could not start: a sentence, and the lines to show below it, each once.

    Modal tells an exception as its ``repr`` (modal 1.6.4, task_lifecycle_manager.py), with line breaks written as
    ``\\n``, followed by the end of the container's log, where it stands again with its traceback.
    """
    head, _, log = message.partition("\n")
    kind, _, fault = head.partition(": ")
    text = _spoken(fault)
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        return f"{kind}: {lines[0]}", framed(lines[1:])
    logged = log.splitlines()[1:]
    if traceback := [number for number, line in enumerate(logged) if line.startswith("Traceback (most recent call")]:
        logged = logged[: traceback[0]]
    return f"{kind}: {text}" if fault else head, framed(logged)


def framed(lines: Sequence[str]) -> list[str]:
    """Lines of others as an advice shows them, without SGLang's dump of its arguments."""
    lines = [line for line in lines if not _ARGUMENTS.search(line)]
    return [f"  | {line if len(line) <= COLUMNS else line[:COLUMNS] + ' ...'}" for line in lines[-LINES:]]


def _spoken(fault: str) -> str:
    """The message of an exception that is given as its ``repr``."""
    if found := re.fullmatch(r"\w+\((?P<message>(['\"]).*\2)(, .*)?,?\)", fault, re.DOTALL):
        with contextlib.suppress(ValueError, SyntaxError):
            return str(ast.literal_eval(found["message"])).strip()
    return fault
